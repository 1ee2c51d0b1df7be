#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the program as others do, with plain CMake and without the presets,
# and looks at what comes out: no warning, hardened, stripped when installed,
# dynamic, or static where asked for.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: builds.sh [--long]
  Release, with this distribution's g++ and clang++, dynamic and static.
  --long  the other build types, and all four with the compilers of the next
          Debian release, in a root file system of their own
USAGE
}

die() {
  printf 'builds.sh: %s\n' "$*" >&2
  exit 1
}

long=no
case ${1:-} in
  '') ;;
  --long) long=yes ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
# shellcheck source=tests/vm/debs.sh
. "$here/vm/debs.sh"

mkdir -p "$root/build"
work=$(mktemp -d "$root/build/builds.XXXXXX")
trap 'rm -rf "$work"' EXIT
jobs=$(nproc)
failures=0
wrong() {
  printf 'WRONG %s: %s\n' "$what" "$*"
  failures=$((failures + 1))
}

# build CXX TYPE [OPTION...]: sets `binary`, and `what` for the messages. In a
# new folder, but with options.
build() {
  local cxx=$1 type=$2 start=$SECONDS
  what="$*"
  binary=
  (($# > 2)) || rm -rf "$seen/b"
  # What this prints is what somebody who builds it sees.
  if ! {
    "${inside[@]}" cmake -S "$source" -B "$target/b" \
      -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE="$type" \
      -DBUILD_TESTING=OFF "${@:3}" &&
      "${inside[@]}" cmake --build "$target/b" -j "$jobs"
  } >"$work/log" 2>&1; then
    tail -n 40 "$work/log"
    wrong "does not build"
    return 1
  fi
  # Of libpcap and libcap-ng, which could look up names: the linker says so of
  # any archive that can.
  if grep -i 'warning' "$work/log" |
    grep -v 'in statically linked applications requires at runtime'; then
    wrong "builds with a warning"
  fi
  binary=$seen/b/vduse-net
  echo "built $what: $((SECONDS - start)) s"
}

# has PATTERN WHAT: in what readelf has printed.
has() { grep -Eq "$1" "$work/elf" || wrong "no $2"; }
hardened() {
  local type=$1
  # Symbols of a dynamic program that are its own or a library's; a static one
  # has them until it is stripped.
  readelf --wide --file-header --program-headers --dynamic --notes --symbols \
    "$binary" >"$work/elf"
  has 'Type: +DYN ' "position-independent code"
  has 'GNU_RELRO' "read-only relocations"
  has 'Flags.*NOW' "immediate binding"
  has '__stack_chk_fail' "stack protector"
  has 'GNU_STACK .* RW ' "stack without execution"
  if [[ $type != Debug ]]; then
    has '__(read|memcpy|snprintf|vsnprintf|memmove|pread|realpath)_chk' \
      "fortified calls"
  fi
}
# Of the program's own objects: the linker says it of a program only if the C
# library's have it, too.
with_cet() {
  local object
  while IFS= read -r object; do
    readelf --notes "$object" | grep -q 'x86 feature: .*IBT, SHSTK' ||
      wrong "no control-flow enforcement in ${object##*/}"
  done < <(find "$seen/b" -name '*.o')
}
dynamic() {
  has 'NEEDED.*libabsl' "shared library of abseil"
  has 'INTERP' "dynamic loader"
}
static() {
  ! grep -E 'NEEDED|INTERP' "$work/elf" || wrong "it needs shared libraries"
}
runs() {
  local version
  version=$("${inside[@]}" "$target/${1:-b/vduse-net}" --version) ||
    { wrong "does not run"; return; }
  [[ -n $version ]] || wrong "says no version"
}
installed() {
  rm -rf "$seen/installed"
  "${inside[@]}" env DESTDIR="$target/installed" cmake --install "$target/b" \
    >"$work/log" 2>&1 || { cat "$work/log"; wrong "does not install"; return; }
  local program=$seen/installed/usr/local/sbin/vduse-net
  ! readelf --wide --sections "$program" | grep -E '\.symtab|\.debug_' ||
    wrong "is installed with symbols"
  runs installed/usr/local/sbin/vduse-net
  echo "      $(stat -c %s "$binary") bytes, installed $(stat -c %s "$program")"
}

# --- With what this machine has -----------------------------------------------

inside=() source=$root target=$work seen=$work
for cxx in g++ clang++-14; do
  types=(Release)
  [[ $long == no ]] || types=(Debug RelWithDebInfo MinSizeRel)
  for type in "${types[@]}"; do
    build "$cxx" "$type" || continue
    hardened "$type"
    with_cet
    dynamic
    runs
    installed
    [[ $type == Release ]] || continue
    build "$cxx" Release -DVDUSE_NET_STATIC=ON || continue
    hardened Release
    static
    runs
    installed
  done
done

# --- With newer compilers -------------------------------------------------------

if [[ $long == yes ]]; then
  newer=$("$here/compilers.sh") || die "no newer compilers, see above"
  # The source as git knows it, and what is new.
  rm -rf "$newer/src" "$newer/tmp/builds"
  mkdir -p "$newer/src" "$newer/tmp/builds"
  git -C "$root" ls-files -co --exclude-standard -z |
    tar -C "$root" --null --files-from=- --ignore-failed-read -c |
    tar -C "$newer/src" -x
  inside=(debs_chroot "$newer" env PATH=/usr/sbin:/usr/bin)
  source=/src target=/tmp/builds seen=$newer/tmp/builds
  for cxx in g++ clang++; do
    for type in Release Debug RelWithDebInfo MinSizeRel; do
      build "$cxx" "$type" || continue
      hardened "$type"
      dynamic
      runs
    done
  done
  rm -rf "$newer/src" "$newer/tmp/builds"
fi

((failures == 0)) || die "$failures wrong"
echo "all builds are as they should be"
