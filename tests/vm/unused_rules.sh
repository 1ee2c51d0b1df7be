#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs scenarios with every system call of the program traced, and fails if a
# rule of the sandbox (daemon/syscall_rules.cc) is for a process in service and
# none of them uses it. Tracing takes time, so checks that measure may fail:
# that is shown, and is not what is judged here.
#   unused_rules.sh BUILD [SCENARIO:MODULE:KERNEL...]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1
runs=("${@:2}")
if ((${#runs[@]} == 0)); then
  runs=(control:open:6.12 supervise:open:6.12 frames:open:6.12
    tap_life:open:6.12 tap_adopt:open:6.12 operator:open:6.12
    process:open:6.12 detach:open:6.12 huge_pages:open:6.12
    multiqueue:open:6.12 vhost_vdpa:open:6.12 vhost_vdpa:open:7.3
    qemu_generic:open:6.12)
fi

logs=()
for run in "${runs[@]}"; do
  IFS=: read -r scenario module kernel <<<"$run"
  logs+=("$build/vm-logs/rules.$scenario.$module.$kernel.log")
  echo "--- $run"
  "$here/boot.sh" --build "$build" --module "$module" --kernel "$kernel" \
    --timeout 600 --env TRACE_RULES=1 --log "${logs[-1]}" \
    --scenario "$here/scenarios/$scenario.sh" >"${logs[-1]}.out" 2>&1 ||
    grep 'CHECK FAIL' "${logs[-1]}.out" || true
  grep -q 'USED ' "${logs[-1]}" ||
    { echo "$run has traced nothing"; exit 1; }
done
"$build/tests/tools/unused_rules" list "${logs[@]}"
