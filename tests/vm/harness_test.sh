#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Boots the selftest scenario in every mode and looks at what boot.sh makes of
# it. usage: harness_test.sh BUILD_DIR
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${1:?usage: harness_test.sh BUILD_DIR}
output=$(mktemp)
trap 'rm -f "$output"' EXIT
failures=0

# try MODE WANTED_STATUS WANTED_TEXT [BOOT_ARGS...]
try() {
  local mode=$1 want=$2 text=$3 status=0
  shift 3
  "$here/boot.sh" --build "$build" --scenario "$here/scenarios/selftest.sh" \
    --log "$build/vm-logs/selftest.$mode.log" --env "MODE=$mode" \
    --timeout 60 "$@" >"$output" 2>&1 || status=$?
  if ((status == want)) && grep -qF -- "$text" "$output"; then
    echo "CHECK ok harness-$mode: status $status, $(tail -n 1 "$output")"
  else
    echo "CHECK FAIL harness-$mode: status $status, wanted $want and '$text'"
    cat "$output"
    failures=$((failures + 1))
  fi
}

try ok 0 'CHECK ok iperf-udp' --module open
try ok 0 'CHECK ok iperf-udp' --module stock
try fail 1 'CHECK FAIL deliberate: this check fails on purpose' --module open
try early 1 'CHECK FAIL end: the scenario did not reach its end' --module open
try hang 1 'CHECK FAIL timeout: not finished after 8 s' --module open \
  --timeout 8
try warning 1 'CHECK FAIL kernel: ' --module open
try panic 1 'CHECK FAIL kernel: ' --module open
VDUSE_NET_VM_ATTEMPT=2 try emulator 1 'once more' --module open
try nothing 1 'CHECK FAIL checks: the scenario checked nothing' --module open
try nothing 0 '0 ok' --module open --no-checks

((failures == 0)) || { echo "$failures failed"; exit 1; }
