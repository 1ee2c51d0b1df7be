#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that building and testing need. Does nothing,
# not even an index update, when all of them are there.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: install-deps.sh [--build-only] [--packages] [--check] [--list-product]
  --build-only    leave out what only the VM tests need
  --packages      also what tests/packages.sh and its test in a VM need
  --check         install nothing; exit 1 and name what is missing
  --list-product  print what building the program takes, without a compiler
USAGE
}

die() {
  printf 'install-deps: %s\n' "$*" >&2
  exit 1
}

product_packages=(
  cmake ninja-build pkg-config linux-libc-dev
  libabsl-dev libfmt-dev libnl-3-dev libnl-genl-3-dev
  libpcap-dev liburing-dev libseccomp-dev libcap-ng-dev
  libcli11-dev nlohmann-json3-dev
)
build_packages=(
  "${product_packages[@]}"
  g++ clang-14 ccache clang-format-14 clang-tidy-14 libclang-rt-14-dev
  binutils libgtest-dev libgmock-dev libbenchmark-dev
)
# The second line is what an out-of-tree kernel module takes.
vm_packages=(
  qemu-system-x86 busybox-static iperf3 ethtool iproute2 iputils-ping kmod
  tcpdump
  gcc make bc bison flex libelf-dev libssl-dev perl xz-utils cpio zstd
)
package_packages=(
  debhelper dh-dkms dpkg-dev fakeroot lintian mmdebstrap e2fsprogs
)

build_only=0
packages=0
check_only=0
while (($# > 0)); do
  case $1 in
    --build-only) build_only=1 ;;
    --packages) packages=1 ;;
    --check) check_only=1 ;;
    --list-product) echo "${product_packages[*]}"; exit 0 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown argument '$1'" ;;
  esac
  shift
done

command -v dpkg-query >/dev/null ||
  die "no dpkg-query: this script knows Debian (bookworm) only; install the" \
    "equivalents of: ${build_packages[*]} ${vm_packages[*]}"

wanted=("${build_packages[@]}")
((build_only)) || wanted+=("${vm_packages[@]}")
((packages == 0)) || wanted+=("${package_packages[@]}")

missing=()
for package in "${wanted[@]}"; do
  # shellcheck disable=SC2016  # ${...} is dpkg-query's own syntax
  state=$(dpkg-query -W -f '${db:Status-Status} ' "$package" 2>/dev/null ||
    true)
  [[ $state == *"installed "* && $state != *not-installed* ]] ||
    missing+=("$package")
done

if ((${#missing[@]} == 0)); then
  echo "install-deps: all ${#wanted[@]} packages are installed"
  exit 0
fi
((check_only == 0)) || die "missing: ${missing[*]}"

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null ||
    die "missing ${missing[*]}; run this as root, there is no sudo here"
  as_root=(sudo)
fi

echo "install-deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q </dev/null ||
  die "'apt-get update' failed: check /etc/apt/sources.list*"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
  --no-install-recommends "${missing[@]}" </dev/null ||
  die "'apt-get install' failed for: ${missing[*]} (the names are those of" \
    "Debian bookworm)"
echo "install-deps: done"
