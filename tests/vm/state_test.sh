#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A device's state goes from Linux 7.3 to 6.12 and back, one VM each.
#   state_test.sh BUILD_DIR
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1
state=
for series in 7.3 6.12 7.3; do
  log=$build/vm-logs/state.$series${state:+.restored}.log
  "$here/boot.sh" --build "$build" --module open --kernel "$series" \
    --scenario "$here/scenarios/state.sh" --log "$log" --env "STATE=$state"
  state=$(sed -n 's/.* STATE //p' "$log" | tail -n 1)
  [[ -n $state ]] || { echo "$log holds no state"; exit 1; }
done
