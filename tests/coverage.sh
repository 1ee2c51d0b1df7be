#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Which lines of the product the unit tests run: a line per folder, and
# build/coverage/report.html. What only a kernel with VDUSE reaches (the VM's
# scenarios) is not counted.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install-deps.sh --build-only
command -v gcovr >/dev/null || {
  echo "coverage.sh: no gcovr: apt-get install gcovr" >&2
  exit 1
}
cmake --preset coverage
cmake --build --preset coverage --target unit_tests
find build/coverage -name '*.gcda' -delete
ctest --test-dir build/coverage -L unit -j "$(nproc)"
gcovr --root . --exclude '(tests|build)/' --exclude-throw-branches \
  --html-details build/coverage/report.html --csv build/coverage/report.csv \
  build/coverage
awk -F, 'NR > 1 {
    folder = $1
    sub(/\/[^\/]*$/, "", folder)
    lines[folder] += $2; hit[folder] += $3
    all += $2; all_hit += $3
  }
  END {
    for (folder in lines)
      printf "%-12s %5.1f %% of %d lines\n", folder,
        100 * hit[folder] / lines[folder], lines[folder] | "sort"
    close("sort")
    printf "%-12s %5.1f %% of %d lines\n", "all", 100 * all_hit / all, all
  }' build/coverage/report.csv
