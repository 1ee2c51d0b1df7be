#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts what the VM boots into a cache folder and prints that folder's name:
#   release        the kernel release (uname -r)
#   vmlinuz
#   modules/*.ko   the modules that the tests need, as the distribution built
#                  them
#   open/vduse.ko  vduse without the control-queue gate (scripts/lift-gate.sh)
# The packages come from the machine's own apt sources. Nothing is installed,
# and a folder that is complete is used as it is.
set -euo pipefail

meta=${VDUSE_NET_KERNEL:-linux-image-6.12-cloud-amd64}
modules=(
  irqbypass failover net_failover virtio_net vhost_iotlb vhost vhost_vdpa
  vdpa vduse virtio_vdpa tun veth
)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

die() {
  printf 'kernel.sh: %s\n' "$*" >&2
  exit 1
}
note() { printf 'kernel.sh: %s\n' "$*" >&2; }

# update_lists: refreshes apt's lists, once.
updated=0
update_lists() {
  ((updated == 0)) || return 1
  updated=1
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || return 1
    as_root=(sudo -n)
  fi
  note "refreshing apt's package lists"
  "${as_root[@]}" apt-get update -q >/dev/null
}

# The versioned package that the meta-package points to, empty if unknown.
resolve() {
  apt-cache depends "$meta" 2>/dev/null |
    sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1
}

for tool in apt-get apt-cache dpkg-deb dpkg xz flock modinfo; do
  command -v "$tool" >/dev/null ||
    die "'$tool' is missing: run scripts/install-deps.sh"
done

image=$(resolve)
if [[ -z $image ]]; then
  update_lists || true
  image=$(resolve)
fi
[[ -n $image ]] ||
  die "apt knows no package $meta: run 'apt-get update', and see that" \
    "bookworm's security suite is among the apt sources"
version=$(apt-cache policy "$image" | sed -n 's/^ *Candidate: //p')
release=${image#linux-image-}
[[ $meta =~ ^linux-image-([0-9]+\.[0-9]+)- ]] ||
  die "cannot read a series out of the package name '$meta'"
series=${BASH_REMATCH[1]}

base=${VDUSE_NET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vduse-net}
cache=$base/linux-$version
stamp=$(cat "${BASH_SOURCE[0]}" "$root/scripts/lift-gate.sh" | cksum)
mkdir -p "$base" || die "cannot create $base: set VDUSE_NET_CACHE"

# One at a time; whoever waited finds the folder complete.
exec 9>"$base/lock"
flock -w 600 9 || die "waited 10 minutes for another run holding $base/lock"
if [[ -f $cache/stamp && $(<"$cache/stamp") == "$stamp" ]]; then
  echo "$cache"
  exit 0
fi

work=$(mktemp -d "$base/tmp.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/debs" "$work/x" "$work/out" "$work/out/modules" "$work/out/open"

# Headers, and what they depend on: the common part and kbuild's programs.
headers=linux-headers-$release
kbuild_packages=$(apt-cache depends "$headers" |
  sed -n 's/^ *Depends: \(linux-\(headers\|kbuild\)-[0-9][^ ]*\)$/\1/p')
[[ $kbuild_packages == *-common* && $kbuild_packages == *-kbuild-* ]] ||
  die "cannot see what $headers depends on: '$kbuild_packages'"
packages=("$image=$version" "$headers=$version" "linux-source-$series=$version")
for package in $kbuild_packages; do packages+=("$package=$version"); done

note "fetching ${packages[*]}"
fetch() {
  (cd "$work/debs" && apt-get download -q -o APT::Sandbox::User=root \
    "${packages[@]}" >&2)
}
fetch || { update_lists && fetch; } ||
  die "cannot download ${packages[*]}: see apt's message above"

note "unpacking"
for deb in "$work"/debs/linux-{image,headers,kbuild,source}-*.deb; do
  dpkg-deb -x "$deb" "$work/x"
  rm "$deb"
done

echo "$release" >"$work/out/release"
cp "$work/x/boot/vmlinuz-$release" "$work/out/vmlinuz"
for module in "${modules[@]}"; do
  found=$(find "$work/x/lib/modules/$release/kernel" -name "$module.ko*")
  case $found in
    *.ko.xz) xz -dc "$found" >"$work/out/modules/$module.ko" ;;
    *.ko) cp "$found" "$work/out/modules/" ;;
    *) die "$image has no module $module" ;;
  esac
done

# The headers point to /usr/src, where they are not installed. Without vmlinux
# kbuild leaves out BTF, which would take one more tool.
tree=$work/x/usr/src/linux-headers-$release
sed -i "s|/usr/src/|$work/x/usr/src/|" "$tree/Makefile"
rm -f "$tree/vmlinux"
"$root/scripts/lift-gate.sh" --kernel "$release" --headers "$tree" \
  --source "$work/x/usr/src/linux-source-$series.tar.xz" \
  --output "$work/out/open" >&2

echo "$stamp" >"$work/out/stamp"
chmod 755 "$work/out"
rm -rf "$cache"
mv "$work/out" "$cache"
note "kept in $cache: $(du -sh "$cache" | cut -f 1)"
echo "$cache"
