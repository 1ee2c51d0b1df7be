#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The main job in one command: a VDUSE network device as a host netdev, and
# what `ethtool -C` does to its interrupts.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: demo.sh [--host]

Installs what is missing, builds, boots a throwaway VM whose kernel has VDUSE,
creates and attaches a device there, runs traffic, and prints a table. Nothing
of this machine is changed but the packages.

  --host  use this machine's own VDUSE instead. Needs root and the modules
          vduse (with the control-queue gate lifted, see
          scripts/lift-gate.sh), virtio_vdpa and tun. Makes a device and a TAP
          called vndemo0, addresses in 10.9.0.0/24, and removes them again.

Exit status: 0 the table was printed, 1 something failed, 2 wrong arguments.
USAGE
}

die() {
  printf 'demo.sh: %s\n' "$*" >&2
  exit 1
}

host=no
case ${1:-} in
  '') ;;
  --host) host=yes ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
build=build/release
program=$build/daemon/vduse-net
start=$SECONDS
say() { printf '[%3d s] %s\n' $((SECONDS - start)) "$*"; }

if [[ $host == yes ]] && ((EUID != 0)); then
  die "--host makes network devices: run it as root"
fi
mkdir -p "$build"
log=$build/demo.log
: >"$log"
# quiet COMMAND...: output goes to the log, and is shown if it fails.
quiet() {
  "$@" >>"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    die "'$*' failed; all of its output is in $log"
  }
}

say "packages"
quiet scripts/install-deps.sh
say "building (1 to 2 minutes the first time)"
quiet cmake --preset release
quiet cmake --build --preset release --target \
  vduse-net udp_flow frame_check coalesce_storm

in_vm() {
  say "booting a VM with VDUSE (the first time its kernel is fetched)"
  tests/vm/boot.sh --build "$build" --module open --no-checks --timeout 170 \
    --scenario examples/demo-scenario.sh
}

# The scenario's helpers write to /tmp and name a network namespace; here they
# get a /tmp and a place for namespaces of their own, gone at the end.
on_host() {
  local status=0
  "$program" check || status=$?
  ((status == 0)) ||
    die "this host cannot show it (see above); without --host a VM is used"
  [[ ! -e /dev/vduse/vndemo0 && ! -e /sys/class/net/vndemo0 ]] ||
    die "there is a vndemo0 already: remove it first"
  # shellcheck disable=SC2016  # expanded by the inner shell
  NAME=vndemo0 TAP=vndemo0 PATH=$PATH:$root/$build/daemon:$root/$build/tests/tools \
    unshare --mount --propagation private bash -c '
      mkdir -p /run/netns
      mount -t tmpfs none /tmp && mount -t tmpfs none /run/netns || exit 1
      mountpoint -q /sys/kernel/tracing ||
        mount -t tracefs none /sys/kernel/tracing || exit 1
      exec 3>&1
      . tests/vm/guest/lib.sh
      trap "end_of_scenario; irq_teardown; ip netns del consumer" EXIT
      . examples/demo-scenario.sh
    '
}

rows=()
run=in_vm
[[ $host == no ]] || run=on_host
while IFS= read -r line; do
  printf '%s\n' "$line" >>"$log"
  case $line in
    'PROGRESS '*) say "${line#PROGRESS }" ;;
    'ROW '*) rows+=("${line#ROW }") ;;
    *FAIL*) printf '%s\n' "$line" >&2 ;;
    '[*'* | 'MISSING'* | 'note '*) printf '%s\n' "$line" ;;
  esac
done < <("$run" 2>&1)
((${#rows[@]} == 4)) || {
  tail -n 30 "$log" >&2
  die "only ${#rows[@]} of 4 measurements; all of the output is in $log"
}

# per PACKETS IRQS: packets per interrupt.
per() { awk -v p="$1" -v i="$2" 'BEGIN { printf "%.1f", i ? p / i : 0 }'; }

echo
format='%-12s %9s %9s %8s   %9s %9s %8s   %10s %9s\n'
# shellcheck disable=SC2059
{
  printf "$format" '' 'rx' 'rx' 'packets' 'tx' 'tx' 'packets' 'TCP' 'ping'
  printf "$format" 'ethtool -C' 'packets' 'irqs' 'per irq' \
    'packets' 'irqs' 'per irq' 'Mbit/s' 'ms'
  for row in "${rows[@]}"; do
    read -r name rxp rxi txp txi mbits ping <<<"$row"
    printf "$format" "$name" "$rxp" "$rxi" "$(per "$rxp" "$rxi")" \
      "$txp" "$txi" "$(per "$txp" "$txi")" "$mbits" \
      "$(awk -v us="$ping" 'BEGIN { printf "%.1f", us / 1000 }')"
  done
}
echo
read -r _ _ rx_off _ tx_off _ <<<"${rows[0]}"
read -r name _ rx_last _ tx_last _ <<<"${rows[3]}"
echo "With $name (rx-usecs/rx-frames, and the same for tx) the consumer took" \
  "$(per "$rx_off" "$rx_last") times fewer rx interrupts and" \
  "$(per "$tx_off" "$tx_last") times fewer tx interrupts than with coalescing" \
  "off, for the same packets."
[[ $host == yes ]] ||
  echo "The VM runs under software emulation: counts are real, times are slow."
say "done"
