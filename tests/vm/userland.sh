#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts what this distribution's release does not have, or what is too big for
# an initramfs, into the cache folder and prints the folder's name:
#   disk                    an image that the VM mounts at /userland
#     bin, lib, exec, firmware  the programs, and what they need to start
#   tree                    the same as files
# There are three of them. Consumers of the device:
#     bin/qemu-system-x86_64  QEMU 10, which knows vhost-vdpa-device-pci
#     bin/dpdk-testpmd        DPDK 22.11, with its virtio-user driver loaded
#   qemu-system-x86_64      the same QEMU, to be started on this machine
# a device to compare with:
#     bin/dpdk-testpmd        DPDK 24.11, with its VDUSE and TAP drivers loaded
# and a newer consumer, which the VM mounts at /newer:
#     bin/qemu-system-x86_64  QEMU 11, which migrates -netdev vhost-vdpa
# Nothing is installed. An image that is complete is used as it is; remove it
# to have the newest packages.
set -euo pipefail

usage() { echo "usage: userland.sh [consumers|peer|newer]"; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/vm/debs.sh
. "$here/debs.sh"

die() {
  printf 'userland.sh: %s\n' "$*" >&2
  exit 1
}
note() { printf 'userland.sh: %s\n' "$*" >&2; }

set_name=${1:-consumers}
programs=() drivers=() firmware=() top=/userland
testpmd=/usr/bin/dpdk-testpmd
qemu=/usr/bin/qemu-system-x86_64
# PC machines without a display, a guest kernel loaded directly.
qemu_firmware=(
  seabios/bios-256k.bin qemu/kvmvapic.bin qemu/linuxboot_dma.bin
  qemu/pvh.bin qemu/qboot.rom
)
case $set_name in
  consumers)
    programs=("$testpmd" "$qemu")
    firmware=("${qemu_firmware[@]}")
    # What testpmd loads for a virtio-user port.
    drivers=(librte_bus_vdev librte_mempool_ring librte_net_virtio)
    ;;
  peer)
    programs=("$testpmd")
    drivers=(
      librte_bus_vdev librte_mempool_ring librte_net_vhost librte_net_tap
    )
    ;;
  newer)
    top=/newer
    programs=("$qemu")
    firmware=("${qemu_firmware[@]}")
    ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; die "unknown argument '$set_name'" ;;
esac

PATH=$PATH:/usr/sbin:/sbin
for tool in apt-get apt-cache dpkg-deb flock mke2fs objcopy; do
  command -v "$tool" >/dev/null ||
    die "'$tool' is missing: run scripts/install-deps.sh"
done

base=$(debs_cache) || exit 1
cache=$base/$set_name
stamp=$(cat "${BASH_SOURCE[0]}" "$here/debs.sh" | cksum)
complete() {
  [[ -f $cache/stamp && $(<"$cache/stamp") == "$stamp" ]]
}
if complete; then
  echo "$cache"
  exit 0
fi
# One at a time; whoever waited finds the image complete.
exec 9>"$base/lock"
flock -w 600 9 || die "waited 10 minutes for another run holding $base/lock"
if complete; then
  echo "$cache"
  exit 0
fi

work=$(mktemp -d "$base/tmp.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/x "$work"/out/tree/{bin,exec,lib,firmware}

# --- The packages -----------------------------------------------------------

# fetch NAME PACKAGE SUITE...: unpacks a package with all that it needs.
fetch() {
  local name=$1 package=$2
  shift 2
  debs_open "$work/apt-$name" "$@" || die "no package lists, see above"
  debs_version "$work/apt-$name" "$package" >"$work/out/$name.version"
  [[ -s $work/out/$name.version ]] ||
    die "apt knows no package $package: see that the mirror has $*"
  note "fetching $package $(<"$work/out/$name.version")"
  debs_fetch_all "$work/apt-$name" "$work/debs-$name" "$package" ||
    die "cannot download $package, see above"
  debs_unpack "$work/debs-$name" "$work/x" || die "cannot unpack $package"
  rm -rf "$work/debs-$name"
}
# The newer suite comes last: where both bring a library, it stays.
case $set_name in
  consumers)
    fetch dpdk dpdk-dev bookworm
    fetch qemu qemu-system-x86 bookworm bookworm-backports
    ;;
  peer) fetch dpdk dpdk-dev trixie ;;
  newer) fetch qemu qemu-system-x86 trixie trixie-backports ;;
esac

# --- What is kept of them ---------------------------------------------------

loader=/lib64/ld-linux-x86-64.so.2
plugins=()
for driver in "${drivers[@]}"; do
  # By the name that the others need it by, or it would be loaded twice.
  found=$(cd "$work/x" &&
    find usr/lib -path "*/pmds-*/$driver.so.*" | sort | head -n 1)
  [[ -n $found ]] || die "dpdk-dev brought no $driver.so"
  plugins+=("/$found")
done

# keep FROM TO: a copy without debug information.
keep() {
  local from
  from=$(readlink -f "$work/x$1")
  # An absolute link was meant from the packages' root.
  [[ $from == "$work/x/"* ]] || from=$(readlink -f "$work/x$from")
  [[ -f $from ]] || die "the packages have no $1"
  objcopy --strip-debug "$from" "$work/out/tree/$2" 2>/dev/null ||
    cp "$from" "$work/out/tree/$2"
  chmod 755 "$work/out/tree/$2"
}

mkdir -p "$work"/x/{dev,proc}
for file in "${programs[@]}" "${plugins[@]}"; do
  debs_chroot "$work/x" "$loader" --list "$file" >"$work/libraries" ||
    die "cannot list the libraries of $file"
  if grep 'not found' "$work/libraries" >&2; then
    die "$file: libraries are missing, see above"
  fi
  sed -n 's|.*=> \(/[^ ]*\) .*|\1|p' "$work/libraries" >>"$work/all"
done
while read -r file; do
  keep "$file" "lib/${file##*/}"
done < <(sort -u "$work/all")
keep "$loader" "lib/${loader##*/}"
for file in "${programs[@]}"; do
  keep "$file" "exec/${file##*/}"
done
load=()
for file in "${plugins[@]}"; do
  keep "$file" "lib/${file##*/}"
  load+=(-d "$top/lib/${file##*/}")
done
for file in "${firmware[@]}"; do
  cp -L "$work/x/usr/share/$file" "$work/out/tree/firmware/" ||
    die "QEMU's packages have no $file"
done

# wrapper PROGRAM [ARGS...]: starts it with the libraries it came with.
wrapper() {
  local file=$work/out/tree/bin/$1
  cat >"$file" <<WRAPPER
#!/bin/bash
exec $top/lib/${loader##*/} --library-path $top/lib \\
  $top/exec/$1 ${*:2} "\$@"
WRAPPER
  chmod 755 "$file"
}
if [[ " ${programs[*]} " == *" $testpmd "* ]]; then
  wrapper dpdk-testpmd "${load[@]}"
fi
if [[ " ${programs[*]} " == *" $qemu "* ]]; then
  wrapper qemu-system-x86_64 -L "$top/firmware"
  cat >"$work/out/qemu-system-x86_64" <<WRAPPER
#!/bin/bash
tree=\$(dirname "\${BASH_SOURCE[0]}")/tree
exec "\$tree/lib/${loader##*/}" --library-path "\$tree/lib" \\
  "\$tree/exec/qemu-system-x86_64" -L "\$tree/firmware" "\$@"
WRAPPER
  chmod 755 "$work/out/qemu-system-x86_64"
fi

# --- The image --------------------------------------------------------------

size=$(($(du -sm "$work/out/tree" | cut -f 1) * 11 / 10 + 16))
mke2fs -q -t ext4 -O ^has_journal -m 0 -E root_owner=0:0 -d "$work/out/tree" \
  "$work/out/disk" "${size}M" >/dev/null || die "cannot make the disk image"

echo "$stamp" >"$work/out/stamp"
chmod 755 "$work/out"
rm -rf "$cache"
mv "$work/out" "$cache"
note "kept in $cache: $(du -sh "$cache" | cut -f 1)"
echo "$cache"
