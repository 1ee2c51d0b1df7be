#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All benchmarks; docs/measurements/ says what they mean. Leaves in
# build/bench:
#   report.md    the tables, which are printed, too
#   chart.svg    the same as bars, with the spread
#   figures.tsv  median, least and most of every figure
#   sweep-notifications.svg, sweep-wait.svg
#                what rx-usecs does, theory beside measurement
#   dim.svg      what DIM chose over time
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
  --rounds N     of each; 5 at least count for anything    (default: 9, VM: 5);
                 not of what goes by icount, which repeats itself
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
{
  cmake --preset release && cmake --build --preset release
} >"$out/build.log" 2>&1 || { tail -n 60 "$out/build.log" >&2; exit 1; }

# boot LOG MODULE KERNEL SCENARIO [ARGS...]: runs a scenario; its rows are in its
# log.
boot() {
  tests/vm/boot.sh --build "$build" --module "$2" --kernel "$3" --no-checks \
    --timeout 1800 --scenario "tests/vm/scenarios/$4.sh" --log "$1" \
    --env "ROUNDS=${rounds:-5}" "${@:5}" >&2
}

# Prints all tables; fails if one is missing.
tables() {
  local failed=0 scenario module kernel options args poll log title
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
    while read -r module kernel scenario options; do
      read -ra args <<<"$options"
      log=$out/$scenario.$kernel.log title=$kernel
      if [[ $options == --icount* ]]; then
        log=$out/$scenario.$kernel.icount.log title="$kernel (icount)"
      fi
      # What failed may have its rows all the same.
      boot "$log" "$module" "$kernel" "$scenario" "${args[@]}" </dev/null ||
        failed=1
      grep -qs ' ROW ' "$log" || { failed=1; continue; }
      awk -v tsv="$out/figures.tsv" -v kernel="$title" \
        -f tests/bench/vm_table.awk "$log"
    done <<'RUNS'
stock 6.12 bench
open 6.12 bench_notify
open 7.3 bench_notify
open 6.12 bench_notify --icount --env ROUNDS=0 --env TCP_ROUNDS=24 --env TCP_SETTINGS=0/1,100/64
open 7.3 bench_notify --icount --env ROUNDS=0 --env TCP_ROUNDS=24 --env TCP_SETTINGS=0/1,100/64
open 6.12 dim --icount --env ROUNDS=3 --env SECONDS_EACH=4 --env LOADS=low,paced,in_turn,full,in_turn_again,low_again
RUNS
    if grep -qs ' CHOICE ' "$out/dim.6.12.icount.log"; then
      awk -f tests/bench/dim_chart.awk "$out/dim.6.12.icount.log" \
        >"$out/dim.svg" || failed=1
    fi
  fi
  return "$failed"
}

: >"$out/figures.tsv"
status=0
tables | tee "$out/report.md" || status=1
awk -F '\t' -f tests/bench/chart.awk "$out/figures.tsv" >"$out/chart.svg"
echo "run.sh: $out/report.md, $out/chart.svg" >&2
exit "$status"
