#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Which folder may include which: what its arrows in docs/architecture.md lead
# to, directly or not. The picture there is the rule, so it cannot be wrong.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
picture=docs/architecture.md
failures=0
wrong() { echo "$*"; failures=$((failures + 1)); }

# includes FOLDER: every #include in it, as file:line:#include "...".
includes() {
  grep -rnE '^[[:space:]]*#[[:space:]]*include' "$1" \
    --include='*.h' --include='*.cc'
}

# --- The picture ----------------------------------------------------------------

# In Mermaid's words a folder is "net_device", and an arrow "a --> b & c".
# shellcheck disable=SC2016  # backquotes of Markdown
drawing=$(sed -n '/^```mermaid$/,/^```$/p' "$picture")
declare -A arrows
while read -r from to; do
  arrows[$from]+=" $to"
done < <(sed -nE 's/^ *([a-z_]+)(\["[^"]*"\])? --> ([a-z_& ]+)$/\1 \3/p' \
  <<<"$drawing" | tr '_&' '/ ')
((${#arrows[@]} >= 8)) || wrong "$picture: only ${#arrows[@]} folders have arrows"

# below FOLDER: all that its arrows lead to. An arrow that comes back to where
# it began ends in a depth that no layer has.
below() {
  local to depth=${2:-0}
  ((depth < 20)) || { echo "circle"; return; }
  for to in ${arrows[$1]:-}; do
    echo "$to"
    below "$to" $((depth + 1))
  done
}

# --- The folders ----------------------------------------------------------------

mapfile -t folders < <(git ls-files -co --exclude-standard '*.h' '*.cc' |
  sed -E 's|/[^/]*$||' | grep -Ev '^(tests|examples)(/|$)' | sort -u)
((${#folders[@]} >= 10)) || wrong "only ${#folders[@]} folders were found"
own=$(IFS='|'; echo "${folders[*]}|tests|examples")
for folder in "${folders[@]}"; do
  grep -qE "(^| )${folder//\//_}(\\[| |$)" <<<"$drawing" ||
    wrong "the picture in $picture lacks $folder"
  allowed=$(below "$folder" | sort -u)
  if grep -q circle <<<"$allowed"; then
    wrong "$picture: the arrows of $folder run in a circle"
    continue
  fi
  allowed=$(echo "$folder" "$allowed" | tr ' \n' '||')
  bad=$(includes "$folder" | grep -E "\"($own)/" |
    grep -vE "\"(${allowed%|})/[^/]+\"" || true)
  [[ -z $bad ]] || wrong "$folder may include only ${allowed%|}:"$'\n'"$bad"
done

# coalesce is pure policy: the standard library's headers have neither a
# folder nor a suffix.
bad=$(includes coalesce | grep -vE '"coalesce/|<[a-z_]+>' || true)
[[ -z $bad ]] ||
  wrong "coalesce includes more than the standard library:"$'\n'"$bad"

exit $((failures > 0))
