#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts what the VM boots into a cache folder and prints that folder's name:
#   release        the kernel release (uname -r)
#   vmlinuz        the kernel, and
#   vmlinux        the same unpacked: a guest inside the VM boots it directly
#   modules/*.ko   the modules that the tests need, as the distribution built
#                  them
#   open/vduse.ko  vduse without the control-queue gate (scripts/lift-gate.sh)
# Nothing is installed. A folder that is complete is used as it is; remove it
# to have the newest packages.
set -euo pipefail

usage() { echo "usage: kernel.sh [6.12|7.3]"; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=tests/vm/debs.sh
. "$here/debs.sh"

modules=(
  irqbypass failover net_failover virtio_net virtio_blk vhost_iotlb vhost
  vhost_vdpa vdpa vduse virtio_vdpa tun veth kvm kvm-amd llc stp garp mrp 8021q
  bridge tls bonding
)

die() {
  printf 'kernel.sh: %s\n' "$*" >&2
  exit 1
}
note() { printf 'kernel.sh: %s\n' "$*" >&2; }

series=${1:-6.12}
case $series in
  # Bookworm's security suite, which every bookworm machine knows.
  6.12) meta=linux-image-6.12-cloud-amd64 suites=() ;;
  7.3) meta=linux-image-cloud-amd64 suites=(trixie trixie-backports) ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; die "no kernel series '$series'" ;;
esac

for tool in apt-get apt-cache dpkg-deb xz zstd flock modinfo; do
  command -v "$tool" >/dev/null ||
    die "'$tool' is missing: run scripts/install-deps.sh"
done

base=$(debs_cache) || exit 1
cache=$base/linux-$series
stamp=$(cat "${BASH_SOURCE[0]}" "$here/debs.sh" "$root/scripts/lift-gate.sh" |
  cksum)
if [[ -f $cache/stamp && $(<"$cache/stamp") == "$stamp" ]]; then
  echo "$cache"
  exit 0
fi
# One at a time; whoever waited finds the folder complete.
exec 9>"$base/lock"
flock -w 600 9 || die "waited 10 minutes for another run holding $base/lock"
if [[ -f $cache/stamp && $(<"$cache/stamp") == "$stamp" ]]; then
  echo "$cache"
  exit 0
fi

work=$(mktemp -d "$base/tmp.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{debs,x,out/modules,out/open}

debs_open "$work/apt" "${suites[@]}" || die "no package lists, see above"

# --- Which packages ---------------------------------------------------------

image=$(debs_depends "$work/apt" "$meta" |
  grep -E '^linux-image-[0-9].*-cloud-amd64$' | head -n 1 || true)
[[ -n $image ]] ||
  die "apt knows no package $meta: see that ${suites[*]:-bookworm-security}" \
    "is among what the mirror has"
release=${image#linux-image-}
[[ $release == "$series".* ]] ||
  die "$meta is now Linux $release, not $series: this script has to follow"
version=$(debs_version "$work/apt" "$image")

# Newer packages have the kernel and its modules beside the image; headers
# come in parts always.
mapfile -t packages < <(
  echo "$image"
  debs_depends "$work/apt" "$image" |
    grep -Fx -e "linux-binary-$release" -e "linux-modules-$release" || true
  echo "linux-headers-$release"
  debs_depends "$work/apt" "linux-headers-$release" |
    grep -E '^linux-(headers|kbuild)-[0-9]' || true
  echo "linux-source-$series"
)
[[ ${packages[*]} == *-common* && ${packages[*]} == *linux-kbuild-* ]] ||
  die "cannot see what linux-headers-$release depends on: ${packages[*]}"

note "fetching ${packages[*]}"
debs_fetch "$work/apt" "$work/debs" "${packages[@]/%/=$version}" ||
  die "cannot download ${packages[*]}: see apt's message above"

# --- The kernel and its modules ---------------------------------------------

debs_unpack "$work/debs" "$work/x" || die "cannot unpack the packages"
rm -rf "$work/debs"
echo "$release" >"$work/out/release"
for file in "$work/x/boot/vmlinuz-$release" \
  "$work/x/usr/lib/modules/$release/vmlinuz"; do
  if [[ -f $file ]]; then cp "$file" "$work/out/vmlinuz"; fi
done
[[ -f $work/out/vmlinuz ]] || die "$image has no vmlinuz"

# number OFFSET BYTES: of the boot header (Documentation/arch/x86/boot.rst).
number() { od -An -j "$1" -N "$2" -t "u$2" "$work/out/vmlinuz" | tr -d ' '; }
# The payload ends with its unpacked size, which is not zstd's.
payload=$(((1 + $(number 497 1)) * 512 + $(number 584 4)))
dd if="$work/out/vmlinuz" iflag=skip_bytes,count_bytes bs=1M status=none \
  skip=$payload count=$(($(number 588 4) - 4)) |
  zstd -dcq >"$work/out/vmlinux" ||
  die "cannot unpack vmlinuz: is it no longer compressed with zstd?"

for module in "${modules[@]}"; do
  found=$(find "$work/x/usr/lib/modules/$release/kernel" \
    -name "$module.ko*")
  case $found in
    *.ko.xz) xz -dc "$found" >"$work/out/modules/$module.ko" ;;
    *.ko) cp "$found" "$work/out/modules/" ;;
    *) die "$image has no module $module" ;;
  esac
done

# --- vduse without the gate -------------------------------------------------

# Without vmlinux kbuild leaves out BTF, which would take one more tool.
headers=/usr/src/linux-headers-$release
rm -f "$work/x$headers/vmlinux"
source_package=/usr/src/linux-source-$series.tar.xz
if ((${#suites[@]} == 0)); then
  # The headers point to /usr/src, where they are not installed.
  sed -i "s|/usr/src/|$work/x/usr/src/|" "$work/x$headers/Makefile"
  "$root/scripts/lift-gate.sh" --kernel "$release" \
    --headers "$work/x$headers" --source "$work/x$source_package" \
    --output "$work/out/open" >&2
else
  # Its build programs need the newer distribution's C library, and its
  # configuration that compiler: built where they are at home.
  note "fetching a compiler for Linux $series"
  debs_fetch_all "$work/apt" "$work/debs" gcc-14 make binutils libelf1t64 perl bash \
    coreutils sed grep gawk findutils tar xz-utils kmod diffutils ||
    die "cannot download the compiler, see above"
  debs_unpack "$work/debs" "$work/x" || die "cannot unpack the compiler"
  cp "$root/scripts/lift-gate.sh" "$work/x/lift-gate.sh"
  mkdir -p "$work"/x/{dev,proc,tmp,out}
  # What the packages' own scripts would do.
  ln -sf bash "$work/x/usr/bin/sh"
  ln -sf gawk "$work/x/usr/bin/awk"
  LC_ALL=C debs_chroot "$work/x" /lift-gate.sh --kernel "$release" \
    --headers "$headers" --source "$source_package" --output /out >&2 ||
    die "cannot build vduse for Linux $series, see above"
  cp "$work/x/out/vduse.ko" "$work/out/open/"
fi

echo "$version" >"$work/out/version"
echo "$stamp" >"$work/out/stamp"
chmod 755 "$work/out"
rm -rf "$cache"
mv "$work/out" "$cache"
note "kept in $cache: $(du -sh "$cache" | cut -f 1)"
echo "$cache"
