#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Which folder may include which. The arrows point down and do not turn:
#   daemon -> net -> vduse, coalesce -> base
#   daemon -> tune -> simulate -> coalesce
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
failures=0

# only FOLDER ALLOWED...: of the project's own folders, FOLDER's files include
# none but ALLOWED.
only() {
  local folder=$1
  shift
  local allowed
  allowed=$(IFS='|'; echo "$*")
  local own='base|vduse|coalesce|simulate|tune|net|daemon|tests|examples'
  local bad
  bad=$(grep -rnE '^[[:space:]]*#[[:space:]]*include' "$folder" \
          --include='*.h' --include='*.cc' |
        grep -E "\"($own)/" | grep -vE "\"($allowed)/" || true)
  if [[ -n $bad ]]; then
    echo "$folder may include only: $*"
    echo "$bad"
    failures=$((failures + 1))
  fi
}

only base base
only vduse vduse base
only coalesce coalesce
only simulate simulate coalesce base
only tune tune simulate coalesce
only net net vduse coalesce base
only daemon daemon net tune simulate vduse coalesce base

# coalesce is pure policy: the standard library's headers have neither a
# folder nor a suffix.
bad=$(grep -rnE '^[[:space:]]*#[[:space:]]*include' coalesce \
        --include='*.h' --include='*.cc' |
      grep -vE '"coalesce/|<[a-z_]+>' || true)
if [[ -n $bad ]]; then
  echo "coalesce includes more than the standard library:"
  echo "$bad"
  failures=$((failures + 1))
fi

exit $((failures > 0))
