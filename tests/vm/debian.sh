#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts a Debian (bookworm) with systemd as process 1 into the cache folder and
# prints the folder's name:
#   disk           the root file system, which the VM may write to
#   vmlinuz        Linux 6.12 of bookworm's security suite
#   virtio_blk.ko  what that kernel needs to find the disk
# It has what the program's packages depend on, so that apt installs them
# without a network: the libraries, dkms, and that kernel's headers and source.
# Nothing is installed on this machine. A folder that is complete is used as it
# is; remove it to have the newest packages.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/vm/debs.sh
. "$here/debs.sh"

meta=linux-image-6.12-cloud-amd64
source=linux-source-6.12
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
packages=(
  systemd-sysv udev dbus apt kmod iproute2 iputils-ping ethtool procps
  libabsl20220623 libnl-3-200 libnl-genl-3-200 libpcap0.8 liburing2 libseccomp2
  libcap-ng0 libstdc++6
  dkms make perl xz-utils binutils
  libfmt9  # of the tests' own tools
)

die() {
  printf 'debian.sh: %s\n' "$*" >&2
  exit 1
}
note() { printf 'debian.sh: %s\n' "$*" >&2; }

(($# == 0)) || { echo "usage: debian.sh" >&2; exit 2; }
((EUID == 0)) || die "this makes a root file system: run it as root"
PATH=$PATH:/usr/sbin:/sbin
for tool in mmdebstrap apt-get dpkg-deb xz flock mke2fs depmod; do
  command -v "$tool" >/dev/null ||
    die "'$tool' is missing: run scripts/install-deps.sh --packages"
done

base=$(debs_cache) || exit 1
cache=$base/debian
stamp=$(cat "${BASH_SOURCE[0]}" "$here/debs.sh" | cksum)
complete() {
  [[ -f $cache/stamp && $(<"$cache/stamp") == "$stamp" ]]
}
if complete; then
  echo "$cache"
  exit 0
fi
# One at a time; whoever waited finds the folder complete.
exec 9>"$base/lock"
flock -w 1800 9 || die "waited 30 minutes for another run holding $base/lock"
if complete; then
  echo "$cache"
  exit 0
fi

work=$(mktemp -d "$base/tmp.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
mkdir -p "$work"/{debs,out}
root=$work/root

# --- The packages -------------------------------------------------------------

debs_open "$work/apt" || die "no package lists, see above"
image=$(debs_depends "$work/apt" "$meta" |
  grep -E '^linux-image-[0-9].*-cloud-amd64$' | head -n 1 || true)
[[ -n $image ]] || die "apt knows no package $meta"
release=${image#linux-image-}
packages+=("linux-headers-$release" "$source")

note "making a root file system with ${packages[*]}"
# The machine's own sources of Debian, and no other.
# shellcheck disable=SC2016  # $(...) is apt's own syntax
APT_CONFIG=$work/apt/apt.conf apt-get indextargets \
  --format '$(SITE) $(RELEASE) $(COMPONENT)' \
  'Created-By: Packages' 'Origin: Debian' | sort -u |
  sed "s|^|deb [signed-by=$keyring] |" >"$work/sources.list"
grep -q bookworm "$work/sources.list" ||
  die "this machine's apt has no source of bookworm"
# In namespaces of its own: it mounts /proc and /sys into the tree, and however it
# ends, nothing of that may be there when the tree is removed.
unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
  mmdebstrap --quiet --mode=root --variant=minbase \
  --include="$(IFS=,; echo "${packages[*]}")" \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  bookworm "$root" - <"$work/sources.list" >"$work/log" 2>&1 ||
  { tail -n 30 "$work/log" >&2; die "mmdebstrap failed"; }
rm -f "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$root"/etc/apt/sources.list

# The kernel without its package, which would make an initramfs in the VM for
# each module.
debs_fetch "$work/apt" "$work/debs" "$image" || die "cannot download $image"
dpkg-deb -x "$work"/debs/*.deb "$work/kernel" || die "cannot unpack $image"
cp -a "$work/kernel/lib/modules/." "$root/lib/modules/"
depmod -b "$root" "$release"
cp "$work/kernel/boot/vmlinuz-$release" "$work/out/vmlinuz"
xz -dc "$root/lib/modules/$release/kernel/drivers/block/virtio_blk.ko.xz" \
  >"$work/out/virtio_blk.ko"

# --- The image ----------------------------------------------------------------

echo packages-vm >"$root/etc/hostname"
# Without one, systemd takes this for its first boot.
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
echo /dev/vda / ext4 rw 0 1 >"$root/etc/fstab"
# What a scenario never waits for.
rm -f "$root"/etc/systemd/system/timers.target.wants/*
size=$(($(du -sm "$root" | cut -f 1) * 12 / 10 + 600))
mke2fs -q -t ext4 -m 0 -d "$root" "$work/out/disk" "${size}M" >/dev/null ||
  die "cannot make the disk image"
echo "$release" >"$work/out/release"
echo "$stamp" >"$work/out/stamp"
chmod 755 "$work/out"
rm -rf "$cache"
mv "$work/out" "$cache"
note "kept in $cache: $(du -sh "$cache" | cut -f 1)"
echo "$cache"
