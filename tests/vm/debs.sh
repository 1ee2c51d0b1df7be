# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Debian packages of any suite, fetched and unpacked but never installed. For
# scripts to source. Apt runs with folders of its own, and with the mirror and
# the proxies that this machine is configured for.

# debs_cache: the folder for what took long to fetch or make.
debs_cache() {
  local base=${VDUSE_NET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vduse-net}
  mkdir -p "$base" || {
    echo "cannot create $base: set VDUSE_NET_CACHE" >&2
    return 1
  }
  echo "$base"
}

# The archive that this machine's own apt uses for Debian's packages.
debs_mirror() {
  local uri
  # shellcheck disable=SC2016  # $(...) is apt's own syntax
  uri=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' \
    'Created-By: Packages' 2>/dev/null | sed -n 's/^Debian|Debian|//p' |
    head -n 1)
  if [[ -z $uri ]]; then
    echo "no Debian archive among this machine's apt sources: run" \
      "'apt-get update', and see /etc/apt/sources.list*" >&2
    return 1
  fi
  echo "$uri"
}

# debs_open DIR [SUITE...]: prepares DIR for the calls below, with these
# suites' package lists as they are now; the last suite is preferred. Without
# a suite, those of this machine.
debs_open() {
  local dir=$1 mirror suite
  shift
  mkdir -p "$dir"/state/lists/partial "$dir"/cache/archives/partial
  mirror=$(debs_mirror) || return 1
  : >"$dir/status"
  cat >"$dir/apt.conf" <<CONF
Dir::State "$dir/state";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
CONF
  if (($# > 0)); then
    for suite in "$@"; do
      echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
        "$mirror $suite main"
    done >"$dir/sources.list"
    cat >>"$dir/apt.conf" <<CONF
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Default-Release "${!#}";
CONF
  fi
  APT_CONFIG=$dir/apt.conf timeout 300 apt-get update -q \
    >"$dir/log" 2>&1 </dev/null || { cat "$dir/log" >&2; return 1; }
}

# debs_version DIR PACKAGE: the version that would be fetched; empty if the
# package is not known.
debs_version() {
  APT_CONFIG=$1/apt.conf apt-cache policy "$2" |
    sed -n 's/^ *Candidate: //p' | { grep -v '^(none)$' || true; }
}

# debs_depends DIR PACKAGE: the names of what it depends on, one per line.
debs_depends() {
  local version
  version=$(debs_version "$1" "$2")
  APT_CONFIG=$1/apt.conf apt-cache depends "$2${version:+=$version}" \
    2>/dev/null | sed -n 's/^[ |]*\(Pre\)\?Depends: \([^<].*\)$/\2/p'
}

# debs_fetch DIR TO PACKAGE[=VERSION]...: these packages alone, as TO/*.deb.
debs_fetch() {
  local dir=$1 to=$2
  mkdir -p "$to"
  (cd "$to" && APT_CONFIG=$dir/apt.conf timeout 900 apt-get download -q \
    "${@:3}" >&2 </dev/null)
}

# debs_fetch_all DIR TO PACKAGE...: with all that they need.
debs_fetch_all() {
  local dir=$1 to=$2
  mkdir -p "$to"
  APT_CONFIG=$dir/apt.conf timeout 900 apt-get install -q -y --download-only \
    -o Dir::Cache::archives="$(cd "$to" && pwd)" -o Debug::NoLocking=1 \
    "${@:3}" >"$dir/log" 2>&1 </dev/null || { tail "$dir/log" >&2; return 1; }
}

# debs_unpack FROM ROOT: unpacks FROM/*.deb into ROOT, in today's layout of a
# root file system: /bin, /sbin and /lib are links into /usr.
debs_unpack() {
  local deb link
  for link in bin sbin lib lib64; do
    mkdir -p "$2/usr/$link"
    [[ -e $2/$link ]] || ln -s "usr/$link" "$2/$link"
  done
  for deb in "$1"/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" |
      tar -x -C "$2" --keep-directory-symlink --no-same-owner || return 1
  done
}

# debs_chroot ROOT COMMAND...: runs a command in a root file system. With /dev
# and /proc, where mounts are allowed, as they are to any user with name spaces
# of his own; root without them gets a /dev/null, which is enough.
debs_chroot() {
  local as_root=()
  ((EUID == 0)) || as_root=(--map-root-user)
  if unshare "${as_root[@]}" --mount true 2>/dev/null; then
    # shellcheck disable=SC2016  # for the shell inside
    unshare "${as_root[@]}" --mount --propagation private bash -c '
      mount --rbind /dev "$1/dev" && mount --rbind /proc "$1/proc" &&
        root=$1 && shift && exec chroot "$root" "$@"' bash "$@" </dev/null
  else
    [[ -e $1/dev/null ]] || mknod -m 666 "$1/dev/null" c 1 3 || return 1
    chroot "$@" </dev/null
  fi
}
