#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the initramfs that boot.sh boots: busybox, bash, a few of this
# machine's tools with their libraries, the kernel modules, the programs of
# the build and one scenario. Plain cpio: reading it takes the emulated CPU
# less time than any decompression.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: image.sh --build DIR --kernel CACHE_DIR --module open|stock
                --scenario FILE --output FILE [--guest-kernel CACHE_DIR]
                [--env K=V]...
USAGE
}

die() {
  printf 'image.sh: %s\n' "$*" >&2
  exit 1
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build='' kernel='' guest_kernel='' module='' scenario='' output='' env=()
while (($# > 0)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --*) (($# > 1)) || die "$1 needs a value" ;;
    *) usage >&2; die "unknown argument '$1'" ;;
  esac
  case $1 in
    --build) build=$2 ;;
    --kernel) kernel=$2 ;;
    --guest-kernel) guest_kernel=$2 ;;
    --module) module=$2 ;;
    --scenario) scenario=$2 ;;
    --output) output=$2 ;;
    --env) env+=("$2") ;;
    *) usage >&2; die "unknown argument '$1'" ;;
  esac
  shift 2
done
[[ -n $build && -n $kernel && -n $scenario && -n $output ]] ||
  { usage >&2; die "an argument is missing"; }
[[ $module == open || $module == stock ]] ||
  die "--module is 'open' or 'stock', not '$module'"
[[ -f $scenario ]] || die "no such scenario: $scenario"

stages=$(mktemp -d "${TMPDIR:-/tmp}/vm-image.XXXXXX")
trap 'rm -rf "$stages"' EXIT

# begin NAME: an empty root file system.
begin() {
  stage=$stages/$1
  mkdir -p "$stage"/{bin,busybox,dev,etc,lib/modules,proc,root,run,sys,tmp} \
    "$stage"/{lib64,usr,var}
  ln -s /run "$stage/var/run"
  ln -s /bin "$stage/sbin"
  ln -s /bin "$stage/usr/bin"
  ln -s /bin "$stage/usr/sbin"
}
# pack: the root file system as an archive.
pack() {
  (cd "$stage" && find . -print0 | sort -z |
    cpio --quiet --null -o -H newc -R 0:0)
}

# copy_stripped FROM TO: a copy without debug information.
copy_stripped() {
  objcopy --strip-debug "$1" "$2" 2>/dev/null || cp -L "$1" "$2"
  chmod 755 "$2"
}

# add PROGRAM: the program in /bin, its libraries and loader where it looks
# for them.
add() {
  local program=$1 line file
  copy_stripped "$(readlink -f "$program")" "$stage/bin/${program##*/}"
  while read -r line; do
    [[ $line != *"not found"* ]] || die "$program: $line"
    [[ $line =~ (/[^ ]+)\ \(0x ]] || continue
    file=${BASH_REMATCH[1]}
    [[ ! -e $stage$file ]] || continue
    mkdir -p "$stage${file%/*}"
    copy_stripped "$(readlink -f "$file")" "$stage$file"
  done < <(ldd "$program" 2>/dev/null || true)
}

PATH=$PATH:/usr/sbin:/sbin
# add_tools NAME...: programs of this machine. add_own NAME...: of the build.
add_tools() {
  local tool path
  for tool in "$@"; do
    path=$(command -v "$tool") ||
      die "'$tool' is missing: run scripts/install-deps.sh"
    add "$path"
  done
}
add_own() {
  local tool
  for tool in "$@"; do
    [[ -x $build/tests/tools/$tool ]] ||
      die "no $build/tests/tools/$tool: build first (cmake --build $build" \
        "--target vduse-net vm_tools)"
    add "$build/tests/tools/$tool"
  done
}

# write_env FILE: what a scenario is told.
write_env() {
  local pair
  {
    printf 'MODULE=%q\nSCENARIO=%q\n' "$module" "$(basename "$scenario" .sh)"
    for pair in "${env[@]}"; do
      [[ $pair =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] ||
        die "--env takes NAME=VALUE, not '$pair'"
      printf '%s=%q\n' "${pair%%=*}" "${pair#*=}"
    done
  } >"$1"
}

# A Debian on a disk, with the packages of build/packages. "before" has the
# same program as a package of an older version.
if [[ " ${env[*]} " == *" NEEDS=system "* ]]; then
  packages=$here/../../build/packages
  compgen -G "$packages/*.deb" >/dev/null ||
    die "no packages in $packages: run tests/packages.sh first"
  begin system
  add_tools busybox
  mkdir -p "$stage"/vm/{bin,packages,before,x}
  cp "$kernel/virtio_blk.ko" "$stage/"
  [[ -x $build/tests/tools/udp_flow ]] || die "no $build/tests/tools/udp_flow"
  copy_stripped "$build/tests/tools/udp_flow" "$stage/vm/bin/udp_flow"
  cp "$packages"/*.deb "$stage/vm/packages/"
  dpkg-deb -R "$packages"/vduse-net_*.deb "$stage/vm/x"
  sed -i 's/^Version: .*/Version: 0.1.99/' "$stage/vm/x/DEBIAN/control"
  dpkg-deb --root-owner-group -Znone -b "$stage/vm/x" \
    "$stage/vm/before/vduse-net.deb" >/dev/null
  rm -r "$stage/vm/x"
  cp "$here"/guest/{lib,traffic,system-run}.sh "$stage/vm/"
  cp "$scenario" "$stage/vm/scenario.sh"
  cp "$here/guest/system-init" "$stage/init"
  chmod 755 "$stage/init"
  write_env "$stage/vm/scenario.env"
  pack >"$output"
  exit 0
fi

if [[ " ${env[*]} " =~ \ NEEDS=(userland|migration)\  ]]; then
  begin guest
  add_tools busybox bash timeout ip ethtool iperf3 ping
  add_own udp_flow
  cp "$guest_kernel"/modules/{failover,net_failover,virtio_net}.ko \
    "$stage/lib/modules/"
  cp "$here/guest/inner-init" "$stage/init"
  chmod 755 "$stage/init"
  pack >"$stages/guest.initrd"
fi

begin vm
add_tools busybox bash timeout ip vdpa ethtool iperf3 ping tcpdump
[[ -f $build/tests/tools/list ]] ||
  die "no $build/tests/tools/list: configure with -DBUILD_TESTING=ON first"
mapfile -t own <"$build/tests/tools/list"
add_own "${own[@]}"
if [[ -f $stages/guest.initrd ]]; then
  cp "$stages/guest.initrd" "$stage/tmp/"
  cp "$here/guest/qemu.sh" "$stage/"
fi
# start_device says it plainly if a scenario needs what is not here.
if [[ -x $build/vduse-net ]]; then add "$build/vduse-net"; fi

cp "$kernel"/modules/*.ko "$stage/lib/modules/"
if [[ $module == open ]]; then
  cp "$kernel/open/vduse.ko" "$stage/lib/modules/"
fi

cp "$here/guest/init" "$stage/init"
cp "$here/guest/lib.sh" "$here/guest/traffic.sh" "$stage/"
cp "$scenario" "$stage/scenario.sh"
chmod 755 "$stage/init"
write_env "$stage/etc/scenario.env"

pack >"$output"
