#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts a root file system of the next Debian release into the cache folder,
# with its compilers and what building the program takes, and prints its name.
# Nothing is installed. It is used as it is once it is complete; remove it to
# have the newest packages.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
# shellcheck source=tests/vm/debs.sh
. "$here/vm/debs.sh"

die() {
  printf 'compilers.sh: %s\n' "$*" >&2
  exit 1
}

(($# == 0)) || { echo "usage: compilers.sh" >&2; exit 2; }
read -r -a packages <<<"$("$root/scripts/install-deps.sh" --list-product)"
packages+=(g++ clang binutils make)
# What no package names as a dependency, as every Debian system has it.
packages+=(coreutils dash findutils grep sed)

base=$(debs_cache) || exit 1
cache=$base/compilers
stamp=$({ cat "${BASH_SOURCE[0]}" "$here/vm/debs.sh"; echo "${packages[*]}"; } |
  cksum)
complete() { [[ -f $cache/stamp && $(<"$cache/stamp") == "$stamp" ]]; }
if ! complete; then
  # One at a time; whoever waited finds it complete.
  exec 9>"$base/lock"
  flock -w 600 9 || die "waited 10 minutes for another run holding $base/lock"
fi
if ! complete; then
  work=$(mktemp -d "$base/tmp.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  debs_open "$work/apt" trixie || die "no package lists, see above"
  debs_fetch_all "$work/apt" "$work/debs" "${packages[@]}" ||
    die "cannot download the packages, see above"
  mkdir -p "$work"/out/root/{dev,proc,tmp}
  debs_unpack "$work/debs" "$work/out/root" || die "cannot unpack the packages"
  echo "$stamp" >"$work/out/stamp"
  rm -rf "$cache"
  mv "$work/out" "$cache"
fi
echo "$cache/root"
