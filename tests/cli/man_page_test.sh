#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: man_page_test.sh PROGRAM
#
# docs/vduse-net.8 has every command and option of `PROGRAM help`, below its
# command and with its range and default, and no others; and the exit codes of
# base/exit_codes.h.
set -euo pipefail

program=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
page=${MAN_PAGE:-$root/docs/vduse-net.8}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
failures=0
wrong() { echo "$*"; failures=$((failures + 1)); }

# same WHAT FILE FILE: two sorted lists, of the program and of the page.
same() {
  local line
  while IFS= read -r line; do
    wrong "$1 is not in the man page: $line"
  done < <(comm -23 "$2" "$3")
  while IFS= read -r line; do
    wrong "$1 is in the man page alone: $line"
  done < <(comm -13 "$2" "$3")
}

# --- The program --------------------------------------------------------------

# commands [COMMAND...]: what stands below "Subcommands:", and below those.
commands() {
  local name
  "$program" help "$@" |
    awk '/^[A-Za-z]+:/ { on = tolower($1) == "subcommands:"; next }
         on && /^  [a-z]/ { print $1 }' |
    while read -r name; do
      echo "$*${1:+ }$name"
      commands "$@" "$name"
    done
}

# facts [COMMAND...]: a line for each option, "COMMAND|--option", and for each
# range, default and "required" that the help says of it. Numbers without a
# bound of their own go up to what 32 or 64 bits hold: that is no fact.
facts() {
  "$program" help "$@" | awk -v command="$*" '
    function finish(  range, parts) {
      if (names == "") return
      count = split(names, name, " ")
      for (i = 1; i <= count; ++i) print command "|" name[i]
      long = command "|" name[count]
      if (match(text, /UINT:[0-9]+ to [0-9]+/)) {
        range = substr(text, RSTART + 5, RLENGTH - 5)
        if (range !~ / (4294967295|18446744073709551615)$/)
          print long "|" range
      }
      if (match(text, /(TEXT|UINT[^=]*)=[^ ]+/)) {
        split(substr(text, RSTART, RLENGTH), parts, "=")
        print long "|default is " parts[2]
      } else if (match(text, /default: [0-9]+\)/)) {
        print long "|default is " substr(text, RSTART + 9, RLENGTH - 10)
      }
      if (text ~ / REQUIRED( |$)/) print long "|required"
      names = ""
    }
    /^[A-Za-z]+:/ { finish(); on = tolower($1) == "options:"; next }
    on && /^  +-/ {
      finish()
      text = $0
      rest = $0
      while (match(rest, /^[ ,]*--?[A-Za-z][-a-z]*/)) {
        one = substr(rest, RSTART, RLENGTH)
        gsub(/[ ,]/, "", one)
        names = names (names == "" ? "" : " ") one
        rest = substr(rest, RLENGTH + 1)
      }
      next
    }
    on { text = text " " $0 }
    END { finish() }'
}

# --- The page -----------------------------------------------------------------

# What a command's section has, its text in one line per option. Options of the
# program itself are in OPTIONS, and of all commands too: --help.
awk -v items="$temp/items" -v commands="$temp/page-commands" '
  function finish() {
    if (names != "") print command "|" names "|" text > items
    names = ""
  }
  /^\.S[hs] / { finish() }
  /^\.Sh / { section = substr($0, 5); command = "" }
  /^\.Ss / && section == "COMMANDS" {
    command = substr($0, 5)
    print command > commands
  }
  /^\.It / { finish() }
  /^\.It Fl / && (section == "COMMANDS" || section == "OPTIONS") {
    for (i = 2; i < NF; ++i)
      if ($i == "Fl") names = names (names == "" ? "" : " ") "-" $(i + 1)
    text = ""
    next
  }
  names != "" {
    sub(/^\.(Pa|Cm|Dv|Ql|Fl|Ic|Ar) /, "")
    text = text " " $0
  }
  END { finish() }' "$page"

# --- Commands and options -----------------------------------------------------

commands | sort >"$temp/commands"
(($(wc -l <"$temp/commands") > 8)) || wrong "$program help names few commands"
sort "$temp/page-commands" >"$temp/page-commands.sorted"
same command "$temp/commands" "$temp/page-commands.sorted"

{
  facts
  # shellcheck disable=SC2086  # words on purpose
  while IFS= read -r command; do
    # Once for all of them.
    facts $command | grep -vE '\|(-h|--help)$' || true
  done <"$temp/commands"
} >"$temp/facts"

grep -E '^[^|]*\|[^|]*$' "$temp/facts" | sort >"$temp/options"
(($(wc -l <"$temp/options") > 40)) || wrong "$program help names few options"
awk -F '|' '{ count = split($2, name, " ")
              for (i = 1; i <= count; ++i) print $1 "|" name[i] }' \
  "$temp/items" | sort >"$temp/page-options"
same option "$temp/options" "$temp/page-options"

# --- What is said of them -----------------------------------------------------

(($(grep -cE '\|.*\|' "$temp/facts") > 15)) ||
  wrong "$program help names few ranges and defaults"
while IFS='|' read -r command option fact; do
  text=$(awk -F '|' -v command="$command" -v option="$option" '
    $1 == command && index(" " $2 " ", " " option " ") { print $3 }' \
    "$temp/items")
  # Not as the beginning of a larger number.
  grep -qiE -- "(^|[^0-9])${fact//./\\.}([^0-9]|$)" <<<"$text" ||
    wrong "the man page does not say of '$command $option': $fact"
done < <(grep -E '\|.*\|' "$temp/facts")

# --- Exit codes ---------------------------------------------------------------

sed -nE 's/^ *kExit[A-Za-z]+ = ([0-9]+),.*/\1/p' "$root/base/exit_codes.h" |
  sort >"$temp/codes"
(($(wc -l <"$temp/codes") > 3)) || wrong "base/exit_codes.h has few codes"
sed -n '/^\.Sh EXIT STATUS/,/^\.Sh [^E]/s/^\.It \([0-9]*\)$/\1/p' "$page" |
  sort >"$temp/page-codes"
same "exit code" "$temp/codes" "$temp/page-codes"

((failures == 0)) && echo "the man page says what the program does"
exit $((failures > 0))
