#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All benchmarks; docs/performance.md says what they mean. Leaves in
# build/bench:
#   report.md    the tables, which are printed, too
#   chart.svg    the same as bars, with the spread
#   figures.tsv  median, least and most of every figure
#   sweep-notifications.svg, sweep-wait.svg
#                what rx-usecs does, theory beside measurement
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: run.sh [--native | --vm] [--rounds N] [--engine NAME]
  --native       one queue pair and two against raw loops, where the time goes,
                 how late notifications are, adaptive coalescing, and a sweep
                 of rx-usecs, on this machine; as root, or where any user may
                 have namespaces and /dev/net/tun
  --vm           against DPDK and a bare copier, what coalescing does, and what
                 DIM chooses, in VMs without KVM
  --rounds N     of each; 5 at least count for anything    (default: 9, VM: 5)
  --engine NAME  of the device, natively                   (default: auto)
Nothing else should run on the machine meanwhile.
USAGE
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
native=1 vm=1 rounds='' engine=auto
while (($# > 0)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --native) vm=0 ;;
    --vm) native=0 ;;
    --rounds) rounds=${2:?$(usage)}; shift ;;
    --engine) engine=${2:?$(usage)}; shift ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

build=$root/build/release
out=$root/build/bench
mkdir -p "$out"
launcher=()
if command -v ccache >/dev/null; then
  launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
{
  cmake --preset release "${launcher[@]}" && cmake --build --preset release
} >"$out/build.log" 2>&1 || { tail -n 60 "$out/build.log" >&2; exit 1; }

# boot MODULE KERNEL SCENARIO: runs a scenario; its rows are in its log.
boot() {
  tests/vm/boot.sh --build "$build" --module "$1" --kernel "$2" --no-checks \
    --timeout 1200 --scenario "tests/vm/scenarios/$3.sh" \
    --log "$out/$3.$2.log" --env "ROUNDS=${rounds:-5}" >&2
}

# Prints all tables; fails if one is missing.
tables() {
  local failed=0 scenario module kernel poll
  if ((native)); then
    if "$build/tests/bench/native_bench" --engine "$engine" \
      --rounds "${rounds:-9}" --tsv "$out/native.tsv"; then
      cat "$out/native.tsv" >>"$out/figures.tsv"
    else
      failed=1
    fi
    "$build/tests/bench/packet_profile" --engine "$engine" \
      --rounds "${rounds:-9}" || failed=1
    for poll in 0 100; do
      "$build/tests/bench/timing_bench" --rounds "${rounds:-9}" \
        --timer-poll-usecs "$poll" || failed=1
    done
    "$build/tests/bench/adaptive_bench" --rounds "${rounds:-9}" || failed=1
    "$build/tests/bench/sweep_bench" --rounds "${rounds:-9}" --charts "$out" ||
      failed=1
  fi
  if ((vm)); then
    while read -r module kernel scenario; do
      boot "$module" "$kernel" "$scenario" </dev/null ||
        { failed=1; continue; }
      awk -v tsv="$out/figures.tsv" -v kernel="$kernel" \
        -f tests/bench/vm_table.awk "$out/$scenario.$kernel.log"
    done <<'RUNS'
stock 6.12 bench
open 6.12 bench_notify
open 7.3 bench_notify
open 6.12 bench_dim
RUNS
  fi
  return "$failed"
}

: >"$out/figures.tsv"
status=0
tables | tee "$out/report.md" || status=1
awk -F '\t' -f tests/bench/chart.awk "$out/figures.tsv" >"$out/chart.svg"
echo "run.sh: $out/report.md, $out/chart.svg" >&2
exit "$status"
