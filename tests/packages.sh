#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the Debian packages in a clean folder, from what git knows of this
# tree, and checks them with lintian. They are left in build/packages.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$PWD/build/packages
(($# == 0)) || { echo "usage: tests/packages.sh" >&2; exit 2; }

for tool in dpkg-buildpackage dh dh_dkms lintian; do
  command -v "$tool" >/dev/null || {
    echo "packages.sh: '$tool' is missing: run scripts/install-deps.sh" \
      "--packages" >&2
    exit 1
  }
done

work=$(mktemp -d "${TMPDIR:-/tmp}/packages.XXXXXX")
trap 'rm -rf "$work"' EXIT
version=$(dpkg-parsechangelog -S Version)
tree=$work/vduse-net-$version
mkdir "$tree"
git ls-files -co --exclude-standard -z |
  while IFS= read -r -d '' file; do
    [[ ! -e $file ]] || printf '%s\0' "$file"
  done |
  tar -c --null --files-from=- | tar -x -C "$tree"

# One version for all: the program's, the packages' and the changelog's.
program=$(sed -nE 's/^project\(vduse-net VERSION ([0-9.]+).*/\1/p' \
  CMakeLists.txt)
[[ $version == "$program" ]] || {
  echo "packages.sh: debian/changelog has version $version, and" \
    "CMakeLists.txt $program" >&2
  exit 1
}

# ccache, where there is one, makes the second build short.
if [[ -d /usr/lib/ccache ]]; then PATH=/usr/lib/ccache:$PATH; fi
(cd "$tree" && dpkg-buildpackage --no-sign --build=binary) >"$work/log" 2>&1 || {
  tail -n 60 "$work/log"
  exit 1
}
# An unsigned source package is nobody's business, and a rule of Debian alone
# wants a bug's number in the first changelog entry.
lintian --fail-on error \
  --suppress-tags initial-upload-closes-no-bugs \
  "$work"/vduse-net_*.changes

rm -rf "$out"
mkdir -p "$out"
cp "$work"/*.deb "$out/"
rm -f "$out"/*-dbgsym_*.deb
for deb in "$out"/*.deb; do
  echo "${deb#"$PWD/"}: $(dpkg-deb -f "$deb" Package Version Installed-Size |
    tr '\n' ' ')"
done
