#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Rebuilds the distribution's own vduse module without the check that refuses
# a control queue (VIRTIO_NET_F_CTRL_VQ) on a network device. The source comes
# from the distribution's kernel source package, is edited in a temporary
# folder and thrown away; nothing but vduse.ko is left.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: lift-gate.sh [--kernel KVER] [--source TARBALL|DIR] [--headers DIR]
                    [--output DIR] [--install]
       lift-gate.sh --edit-only FILE

  --kernel KVER     kernel release to build for     (default: the running one)
  --source PATH     kernel source, tarball or tree
                    (default: /usr/src/linux-source-X.Y.tar.xz)
  --headers DIR     kernel headers                  (default:
                    /lib/modules/KVER/build)
  --output DIR      where vduse.ko goes             (default: .)
  --install         also copy it to /lib/modules/KVER/updates, run depmod
  --edit-only FILE  only drop the check from FILE, in place
USAGE
}

die() {
  printf 'lift-gate: %s\n' "$*" >&2
  exit 1
}
note() { printf 'lift-gate: %s\n' "$*" >&2; }

# Drops, in place, the one branch that tests VIRTIO_NET_F_CTRL_VQ for
# VIRTIO_ID_NET and returns false. White space and braces may vary; the words
# of the condition may not, and the branch must stand in features_is_valid().
drop_gate() {
  local file=$1
  [[ -f $file ]] || die "no such file: $file"
  perl -0777 -e '
    my ($file) = @ARGV;
    open(my $in, "<", $file) or die "lift-gate: $file: $!\n";
    my $text = <$in>;
    close($in);
    $text = "" unless defined $text;
    my @functions;
    while ($text =~ /^[^\n]*\bfeatures_is_valid\s*\([^;{}]*\)\s*\{.*?^\}/msg) {
      push @functions, [$-[0], $+[0]];
    }
    my @places;
    my $branch = qr/(else\s+)?if\s*\(([^;{}]*?)\)\s*
                    (?:\{\s*return\s+false\s*;\s*\}|return\s+false\s*;)/x;
    while ($text =~ /$branch/g) {
      my ($start, $end, $else, $condition) = ($-[0], $+[0], $1, $2);
      my $words = join " ", $condition =~ /\w+/g;
      my $operators = join " ", $condition =~ /->|[=&|!<>~^+*\/-]+/g;
      next if $words ne "config device_id VIRTIO_ID_NET " .
        "config features BIT_ULL VIRTIO_NET_F_CTRL_VQ";
      next if $operators ne "-> == && -> &";
      my $starts_chain =
        !defined $else && substr($text, $end) =~ /^\s*else\b/;
      push @places, [$start, $end, $starts_chain];
    }
    my $found = @places;
    if ($found != 1) {
      print STDERR "lift-gate: $file: found $found places that refuse ",
        "VIRTIO_NET_F_CTRL_VQ for VIRTIO_ID_NET, expected exactly 1; ",
        "nothing was changed.",
        $found == 0 ? " Either this kernel has no such check (then the stock "
          . "module will do) or it is written in another way." : "", "\n";
      exit 1;
    }
    my ($start, $end, $starts_chain) = @{$places[0]};
    if ($starts_chain) {
      print STDERR "lift-gate: $file: an else follows the check, ",
        "nothing was changed\n";
      exit 1;
    }
    if (!grep { $_->[0] < $start && $end < $_->[1] } @functions) {
      print STDERR "lift-gate: $file: the check is not in ",
        "features_is_valid(), nothing was changed\n";
      exit 1;
    }
    substr($text, $start, $end - $start) = "";
    open(my $out, ">", $file) or die "lift-gate: $file: $!\n";
    print $out $text;
    close($out) or die "lift-gate: $file: $!\n";
  ' "$file"
}

kernel=$(uname -r)
source_path=
headers=
output=.
install=0
edit_only=
while (($# > 0)); do
  case $1 in
    --kernel | --source | --headers | --output | --edit-only)
      (($# > 1)) || die "$1 needs a value"
      case $1 in
        --kernel) kernel=$2 ;;
        --source) source_path=$2 ;;
        --headers) headers=$2 ;;
        --output) output=$2 ;;
        --edit-only) edit_only=$2 ;;
      esac
      shift
      ;;
    --install) install=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown argument '$1'" ;;
  esac
  shift
done

command -v perl >/dev/null || die "perl is needed: apt-get install perl"
if [[ -n $edit_only ]]; then
  drop_gate "$edit_only"
  exit 0
fi

[[ $kernel =~ ^([0-9]+)\.([0-9]+)(\.([0-9]+))? ]] ||
  die "cannot read a version out of the kernel release '$kernel'"
series=${BASH_REMATCH[1]}.${BASH_REMATCH[2]}
sublevel=${BASH_REMATCH[4]:-}
: "${source_path:=/usr/src/linux-source-$series.tar.xz}"
: "${headers:=/lib/modules/$kernel/build}"
[[ -e $source_path ]] ||
  die "no kernel source at $source_path: apt-get install" \
    "linux-source-$series, or name it with --source"
[[ -f $headers/Makefile ]] ||
  die "no kernel headers at $headers: apt-get install" \
    "linux-headers-$kernel, or name them with --headers"
command -v make >/dev/null || die "make is needed: apt-get install make"
[[ -d $output ]] || mkdir -p "$output"
headers=$(cd "$headers" && pwd -P)

work=$(mktemp -d "${TMPDIR:-/tmp}/lift-gate.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
if [[ -d $source_path ]]; then
  [[ -d $source_path/drivers/vdpa/vdpa_user ]] ||
    die "$source_path has no drivers/vdpa/vdpa_user"
  cp -R "$source_path/drivers/vdpa/vdpa_user" "$work/tree/vdpa_user"
  cp "$source_path/Makefile" "$work/tree/Makefile"
else
  note "unpacking drivers/vdpa/vdpa_user from $source_path"
  tar -C "$work/tree" -xf "$source_path" --strip-components=1 --wildcards \
    --no-wildcards-match-slash '*/Makefile' \
    --wildcards-match-slash '*/drivers/vdpa/vdpa_user/*' ||
    die "cannot unpack drivers/vdpa/vdpa_user from $source_path"
  mv "$work/tree/drivers/vdpa/vdpa_user" "$work/tree/vdpa_user"
fi

# A source package newer or older than the kernel mostly works; say so.
source_sublevel=$(sed -n 's/^SUBLEVEL = *//p' "$work/tree/Makefile")
if [[ -n $sublevel && $source_sublevel != "$sublevel" ]]; then
  note "warning: the source is $series.$source_sublevel, the kernel $kernel"
fi

drop_gate "$work/tree/vdpa_user/vduse_dev.c"

note "building vduse.ko for $kernel"
if ! make -C "$headers" M="$work/tree/vdpa_user" CONFIG_VDPA_USER=m modules \
  >"$work/build.log" 2>&1; then
  tail -n 30 "$work/build.log" >&2
  die "the module did not build against $headers"
fi
built=$work/tree/vdpa_user/vduse.ko
[[ -f $built ]] || die "the build left no vduse.ko"
vermagic=$(modinfo -F vermagic "$built")
[[ ${vermagic%% *} == "$kernel" ]] ||
  die "built for '${vermagic%% *}', wanted '$kernel': the headers at" \
    "$headers belong to another kernel"
objcopy --strip-debug "$built" "$work/vduse.ko"
install -m 0644 "$work/vduse.ko" "$output/vduse.ko"
note "wrote $output/vduse.ko"

if ((install)); then
  target=/lib/modules/$kernel/updates
  install -D -m 0644 "$work/vduse.ko" "$target/vduse.ko" ||
    die "cannot write $target/vduse.ko: run this as root"
  depmod "$kernel"
  note "installed $target/vduse.ko; to use it now: modprobe -r vduse &&" \
    "modprobe vduse (it is not signed: Secure Boot refuses it)"
fi
