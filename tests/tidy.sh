#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# clang-tidy over the sources, without compiling them.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: tidy.sh [--tests]
  --tests  the tests; without it, the product
Exit status: 0 nothing found, 1 something found, 2 wrong arguments.
USAGE
}

tests=no
case ${1:-} in
  '') ;;
  --tests) tests=yes ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p build
cmake --preset tidy -DBUILD_TESTING=ON >build/tidy.log ||
  { cat build/tidy.log; exit 1; }
if [[ $tests == yes ]]; then
  pattern='/build/tidy/tests/'
else
  pattern='/build/tidy/(?!tests/)'
fi
# Of the compile commands' sources. clang-tidy counts the warnings that it has
# suppressed, which nobody wants to know.
mapfile -t sources < <(
  sed -n 's/^ *"file": "\(.*\)".*/\1/p' build/tidy/compile_commands.json |
    grep -P "$pattern")
((${#sources[@]} > 0)) || { echo "tidy.sh: nothing to check" >&2; exit 1; }
printf '%s\0' "${sources[@]}" |
  xargs -0 -P "$(nproc)" -n 1 clang-tidy-14 --quiet -p build/tidy 2>&1 |
  { grep -v ' warnings\? generated\.$' || true; }
