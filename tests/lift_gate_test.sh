#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Feeds scripts/lift-gate.sh small made-up files and looks at what it does.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

gate='(config->device_id == VIRTIO_ID_NET) &&
      (config->features & BIT_ULL(VIRTIO_NET_F_CTRL_VQ))'
other='(config->device_id == VIRTIO_ID_BLOCK) && fancy(config)'

# try NAME accept|refuse: runs the script on stdin; what it leaves must then
# have no CTRL_VQ (accept), or be untouched (refuse).
try() {
  local name=$1 want=$2 got=accept file=$work/input.c
  cat >"$file"
  cp "$file" "$work/before.c"
  "$root/scripts/lift-gate.sh" --edit-only "$file" 2>"$work/error" ||
    got=refuse
  local why=
  [[ $got == "$want" ]] || why="wanted $want, got $got: $(<"$work/error")"
  if [[ -z $why && $want == accept ]]; then
    ! grep -q CTRL_VQ "$file" || why="the check is still there"
    grep -q 'keep_me' "$file" || why="too much was dropped"
    [[ $(grep -c 'return false' "$file") == \
      $(($(grep -c 'return false' "$work/before.c") - 1)) ]] ||
      why="not exactly one 'return false' was dropped"
  elif [[ -z $why ]]; then
    cmp -s "$file" "$work/before.c" || why="refused, but changed the file"
    [[ -s $work/error ]] || why="refused without a message"
  fi
  if [[ -n $why ]]; then
    echo "FAIL $name: $why"
    failures=$((failures + 1))
  else
    echo "ok $name"
  fi
}

try 'an else-if branch' accept <<END
static bool features_is_valid(struct thing *config)
{
  if ($other)
    return false;
  else if ($gate)
    return false;

  return keep_me(config);
}
END

try 'an else-if branch with braces, on one line' accept <<END
static bool features_is_valid(struct thing *config) {
  if ($other) {
    return false;
  } else if (config->device_id==VIRTIO_ID_NET && (config->features &
      BIT_ULL( VIRTIO_NET_F_CTRL_VQ ))) {
    return false;
  }
  return keep_me(config);
}
END

try 'a branch of its own' accept <<END
static bool features_is_valid(struct thing *config)
{
  if ($other)
    return false;
  if ($gate)
    return false;
  return keep_me(config);
}
END

try 'no place' refuse <<END
static bool features_is_valid(struct thing *config)
{
  if ($other)
    return false;
  return keep_me(config);
}
END

try 'two places' refuse <<END
static bool features_is_valid(struct thing *config)
{
  if ($gate)
    return false;
  else if ($gate)
    return false;
  return keep_me(config);
}
END

try 'a branch that an else follows' refuse <<END
static bool features_is_valid(struct thing *config)
{
  if ($gate)
    return false;
  else if ($other)
    return false;
  return keep_me(config);
}
END

try 'a second place in another function' refuse <<END
static bool features_is_valid(struct thing *config)
{
  if ($other)
    return false;
  else if ($gate)
    return false;
  return keep_me(config);
}

static bool elsewhere(struct thing *config)
{
  if ($gate)
    return false;
  return true;
}
END

try 'the only place in another function' refuse <<END
static bool elsewhere(struct thing *config)
{
  if ($gate)
    return false;
  return keep_me(config);
}
END

try 'a condition that asks for more' refuse <<END
static bool features_is_valid(struct thing *config)
{
  if ($gate &&
      !module_parameter)
    return false;
  return keep_me(config);
}
END

try 'a condition the other way round' refuse <<END
static bool features_is_valid(struct thing *config)
{
  if (config->device_id != VIRTIO_ID_NET ||
      (config->features & BIT_ULL(VIRTIO_NET_F_CTRL_VQ)))
    return false;
  return keep_me(config);
}
END

try 'a branch that does something else' refuse <<END
static bool features_is_valid(struct thing *config)
{
  if ($gate)
    return true;
  return keep_me(config);
}
END

try 'an empty file' refuse </dev/null

((failures == 0)) || { echo "$failures failed"; exit 1; }
