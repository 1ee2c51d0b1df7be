#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: packaging_test.sh PROGRAM FOLDER
#
# What packaging/ brings, as CMake has configured it in FOLDER: systemd accepts
# the unit, the program the example of a configuration, and bash completes what
# the program has.
set -euo pipefail

program=$1
built=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
failures=0
wrong() { echo "$*"; failures=$((failures + 1)); }

# --- The unit -----------------------------------------------------------------

unit=$built/vduse-net@.service
installed=$(sed -nE 's/^ExecStart=([^ ]+) .*/\1/p' "$unit")
[[ $installed == /*/sbin/vduse-net ]] || wrong "ExecStart is $installed"
grep -q "^ExecReload=$installed upgrade %i$" "$unit" ||
  wrong "ExecReload is another program's"
if command -v systemd-analyze >/dev/null; then
  sed "s|$installed|$program|" "$unit" >"$temp/vduse-net@.service"
  systemd-analyze verify --man=no --recursive-errors=no \
    "$temp/vduse-net@vn0.service" >"$temp/verify" 2>&1 ||
    wrong "systemd refuses the unit"
  ! grep "$temp/vduse-net@" "$temp/verify" ||
    wrong "systemd complains of the unit"
else
  echo "left out: there is no systemd-analyze"
fi

# --- The example --------------------------------------------------------------

# Also with all that is commented out.
cp "$root/packaging/example.conf" "$temp/vn0.conf"
sed -E 's/^#([a-z-]+ = )/\1/' "$temp/vn0.conf" >"$temp/vn1.conf"
cmp -s "$temp/vn0.conf" "$temp/vn1.conf" && wrong "the example has no options"
for device in vn0 vn1; do
  "$program" config check "$temp/$device.conf" >/dev/null ||
    wrong "the example is refused"
done

# --- Completion ---------------------------------------------------------------

mkdir "$temp/bin"
ln -s "$program" "$temp/bin/vduse-net"
PATH=$temp/bin:$PATH
# shellcheck source=packaging/bash-completion
. "$root/packaging/bash-completion"

# completes WANTED WORD...: the last word is to be completed.
completes() {
  local wanted=$1
  shift
  COMP_WORDS=(vduse-net "$@")
  COMP_CWORD=$#
  COMPREPLY=()
  _vduse_net
  [[ $(printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ') == "$wanted " ]] ||
    wrong "'$*' completes to '${COMPREPLY[*]}', not to '$wanted'"
}
completes "coalesce config" co
completes "set show" coalesce s
completes "--tap --tap-lost --target-latency-usecs" run --ta
completes "--mtu" run --name vn0 --tap lo --mt
completes "--state-dir" coalesce show vn0 --st
completes "$temp/vn0.conf" run --config "$temp/vn0"
completes "lo" run --tap lo

((failures == 0)) && echo "the unit, the example and the completion are sound"
exit $((failures > 0))
