#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# conformance_test.sh PROGRAM...: every test that docs/conformance.md names is
# one of these programs' or a check of a scenario, and every row names one.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
table=docs/conformance.md
failures=0
wrong() { echo "$table: $*"; failures=$((failures + 1)); }

# Suite.Test, without the names that an instantiation adds.
unit_tests=$(for program; do "$program" --gtest_list_tests; done |
  awk '/^[^ ].*\.( |$)/ { split($1, part, "/")
                          suite = part[2] == "" ? part[1] : part[2]; next }
       /^  /            { split($1, part, "/"); print suite part[1] }' |
  sort -u)
# scenario.sh:check; a check in a loop has a variable in its name.
checks=$(cd tests/vm/scenarios &&
  grep -oE '^ *check "?[^" ]+' -- *.sh | sed -E 's/: *check "?/:/')

exists() {
  if [[ $1 != *.sh:* ]]; then
    grep -qxF "$1" <<<"$unit_tests"
    return
  fi
  local check
  while read -r check; do
    # shellcheck disable=SC2053  # a pattern, made of the variables
    [[ $1 == $(sed -E 's/\$\{?[A-Za-z_]+\}?/*/g' <<<"$check") ]] && return 0
  done <<<"$checks"
  return 1
}

rows=0
while IFS= read -r row; do
  rows=$((rows + 1))
  # shellcheck disable=SC2016  # the table's backquotes
  names=$(grep -oE '`([A-Za-z]+\.[A-Za-z0-9_]+|[a-z_]+\.sh:[^`]+)`' \
            <<<"${row##*| }" | tr -d '`' || true)
  [[ -n $names ]] || wrong "no test: $row"
  for name in $names; do
    exists "$name" || wrong "no such test: $name"
  done
done < <(grep -E '^\| (MUST|SHOULD|MAY|described|beyond) ' "$table")
((rows > 30)) || wrong "only $rows rows were found"

exit $((failures > 0))
