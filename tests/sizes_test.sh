#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# No file is longer than 400 lines and no function longer than 60: both are read
# in one sitting. Relies on clang-format: a function's brace closes in the
# column in which its first line begins.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
MAX_FILE=400
MAX_FUNCTION=60

mapfile -t sources < <(git ls-files -co --exclude-standard \
  '*.h' '*.cc' '*.sh' 'tests/vm/guest/*' '.ci/run')
((${#sources[@]} > 100)) || { echo "only ${#sources[@]} files"; exit 1; }

awk -v max_file="$MAX_FILE" -v max_function="$MAX_FUNCTION" '
  function too_long(what, lines, max) {
    printf "%s: %d lines, more than %d\n", what, lines, max
    failures++
  }
  FNR == 1 {
    if (file != "" && lines > max_file) too_long(file, lines, max_file)
    file = FILENAME
    depth = 0
    fresh = 1
  }
  { lines = FNR }

  # Where the statement or declaration begins that this line belongs to.
  !/^ *(\/\/|#|$|template <)/ {
    if (fresh) {
      match($0, /^ */)
      head = $0
      head_line = FNR
      head_indent = RLENGTH
    }
    code = $0
    sub(/ *\/\/.*/, "", code)
    fresh = code ~ /[;{}:]$/
  }
  /^ *(\/\/|#|$|template <)/ { fresh = 1 }
  # Its opening brace: of a function, not of a type, namespace or table.
  /\{$/ && /[)a-z] *\{$/ && !depth && head_indent <= 4 &&
  head !~ /^ *(inline )?(namespace|class|struct|enum|union|extern template|case) / &&
  head ~ /\(/ {
    depth = 1
    indent = head_indent
    start = head_line
    name = head
  }
  /^ *\}/ && depth {
    match($0, /^ */)
    if (RLENGTH == indent) {
      if (FNR - start + 1 > max_function)
        too_long(file ":" start ":" name, FNR - start + 1, max_function)
      depth = 0
    }
  }
  END {
    if (lines > max_file) too_long(file, lines, max_file)
    exit failures > 0
  }' "${sources[@]}"
