#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All tests, from a fresh clone: installs what it needs from the
# distribution's packages, builds and runs everything.
#
#   tests/run.sh           everything
#   tests/run.sh --quick   format, release build, unit tests
set -euo pipefail

FUZZ_SECONDS=${FUZZ_SECONDS:-30}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

quick=no
case ${1:-} in
  '') ;;
  --quick) quick=yes ;;
  *) echo "usage: tests/run.sh [--quick]" >&2; exit 2 ;;
esac

failed=()
# step NAME COMMAND...: runs one part, goes on to the next if it fails. What it
# prints is kept in build/run-logs as well.
step() {
  local name=$1 start=$SECONDS
  shift
  echo "=== $name"
  if "$@" 2>&1 | tee "build/run-logs/$name.log"; then
    echo "=== $name: ok, $((SECONDS - start)) s"
  else
    echo "=== $name: FAILED, $((SECONDS - start)) s"
    failed+=("$name")
  fi
}

# build PRESET [TARGETS...]: all of it, or what is named. Quiet unless it fails.
# JOBS: how many at once, if not all.
build() {
  local log=build/$1.log targets=()
  (($# == 1)) || targets=(--target "${@:2}")
  mkdir -p build
  {
    cmake --preset "$1" &&
      cmake --build --preset "$1" ${JOBS:+-j "$JOBS"} "${targets[@]}"
  } >"$log" 2>&1 || { tail -n 60 "$log"; return 1; }
}
# The builds that follow, as far as they get while the VMs run: with what no
# VM wants of one processor. What fails here fails, and is shown, later. In a
# process group of its own, to be ended with all it has started.
build_ahead() {
  chrt --idle --pid 0 "$BASHPID"
  JOBS=1
  build asan-ubsan unit_tests || true
  build tsan threaded_tests || true
  build fuzz ring_fuzz ctrl_fuzz state_fuzz || true
} >/dev/null 2>&1
# tests PRESET LABEL
tests() {
  ctest --test-dir "build/$1" -L "$2" --output-on-failure -j 2
}
# A scenario counts packets and interrupts in an emulated VM, which the host's
# other work disturbs: one that fails runs up to twice more, and all runs are
# shown. What is wrong fails each time.
scenarios() {
  ctest --test-dir build/release -L vm --output-on-failure \
    --repeat until-pass:3
}
sources() {
  git ls-files -co --exclude-standard '*.h' '*.cc'
}
format() {
  sources | xargs clang-format-14 --dry-run --Werror
}
fuzz() {
  local name=$1 corpus
  corpus=$(mktemp -d)
  "build/fuzz/tests/fuzz/$name" -max_total_time="$FUZZ_SECONDS" \
    -print_final_stats=1 -verbosity=0 -artifact_prefix="build/$name-" \
    "$corpus" "tests/fuzz/corpus/${name%_fuzz}" \
    "tests/fuzz/crashes/${name%_fuzz}" || {
    echo "an input that fails is kept as build/$name-*: mend the code and" \
      "move it to tests/fuzz/crashes/${name%_fuzz}"
    return 1
  }
  rm -rf "$corpus"
}
# Two at once: each has a core.
fuzz_all() {
  local ring status=0
  fuzz ring_fuzz &
  ring=$!
  fuzz ctrl_fuzz || status=1
  wait "$ring" || status=1
  fuzz state_fuzz || status=1
  return "$status"
}
mkdir -p build/run-logs
step packages scripts/install-deps.sh
step format format
if [[ $quick == yes ]]; then
  step build-release build release unit_tests
  step unit tests release unit
else
  # All of the unit tests run with sanitizers, below.
  step build-release build release vduse-net vm_tools benchmarks
  # The VM first: nothing of weight should run beside it.
  set -m
  build_ahead &
  ahead=$!
  set +m
  trap 'kill -- "-$ahead" 2>/dev/null || true' EXIT
  step vm scenarios
  step matrix ctest --test-dir build/release -L matrix --verbose
  kill -- "-$ahead" 2>/dev/null || true
  wait "$ahead" 2>/dev/null || true
  step build-asan-ubsan build asan-ubsan unit_tests
  step unit-asan-ubsan tests asan-ubsan unit
  step build-tsan build tsan threaded_tests
  step unit-tsan tests tsan threads
  step build-fuzz build fuzz ring_fuzz ctrl_fuzz state_fuzz
  step fuzz fuzz_all
  step clang-tidy tests/tidy.sh
fi

echo "=== all of it took $SECONDS s"
if ((${#failed[@]} > 0)); then
  for name in "${failed[@]}"; do
    echo "=== $name, what failed and its last lines:"
    grep -E 'CHECK FAIL|\*\*\*(Failed|Timeout)|: Failure$|error:' \
      "build/run-logs/$name.log" | tail -n 20 || true
    tail -n 40 "build/run-logs/$name.log"
  done
  echo "FAILED: ${failed[*]}"
  exit 1
fi
echo "everything passed"
