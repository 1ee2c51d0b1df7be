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

  --host  use this machine's own VDUSE instead of a VM. Needs root and the
          modules tun, vduse (with the control-queue gate lifted, see
          scripts/lift-gate.sh) and virtio_vdpa (without vhost_vdpa, which
          would take the device). Makes a device and a TAP called vndemo0,
          addresses in 10.9.0.0/24 and kprobes, and removes them again.

Exit status: 0 the table was printed, 1 something failed, 2 wrong arguments.
USAGE
}

die() {
  printf 'demo.sh: %s\n' "$*" >&2
  exit 1
}

host=0
while (($# > 0)); do
  case $1 in
    --host) host=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; printf "demo.sh: unknown argument '%s'\n" "$1" >&2; exit 2 ;;
  esac
  shift
done
((host == 0 || EUID == 0)) || die "--host makes network devices: run it as root"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
build=build/release
log=$root/$build/demo.log
mkdir -p "$build"
: >"$log"

SECONDS=0
step() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }

# failed WHY: the end of the log, and where it is.
failed() {
  tail -n 30 "$log" >&2
  die "$*; all output is in $log"
}
quiet() { "$@" >>"$log" 2>&1 || failed "'$*' failed"; }

# What runs at the side cleans up after itself: leaving early waits for that.
side=()
finish() {
  ((${#side[@]})) || return 0
  kill -TERM "${side[@]}" 2>/dev/null || true
  wait "${side[@]}" || true
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

step "packages"
quiet scripts/install-deps.sh
if ((host)); then
  step "building (a minute or two the first time)"
else
  step "building, and fetching the VM's kernel (2 minutes the first time)"
  tests/vm/kernel.sh >>"$log" 2>&1 &
  side=($!)
fi
quiet cmake --preset release -DBUILD_TESTING=ON
quiet cmake --build --preset release --target vduse-net vm_tools
if ((${#side[@]})); then
  wait "${side[@]}" || failed "tests/vm/kernel.sh failed"
  side=()
fi

in_vm() {
  exec tests/vm/boot.sh --build "$build" --module open --no-checks \
    --scenario examples/demo-scenario.sh
}

# check_host: refuses, in words, what could not work or would be in the way.
check_host() {
  local status=0
  "$build/vduse-net" check || status=$?
  case $status in
    0) ;;
    10) die "this host's vduse refuses the control queue that ethtool -C" \
      "needs: see scripts/lift-gate.sh, or run the demo without --host" ;;
    *) die "this host cannot run it, see above; without --host a VM is used" ;;
  esac
  [[ -d /sys/bus/vdpa/drivers/virtio_vdpa ]] ||
    die "virtio_vdpa is not loaded: modprobe virtio_vdpa"
  [[ ! -d /sys/bus/vdpa/drivers/vhost_vdpa ]] ||
    die "vhost_vdpa is loaded and would take the device: modprobe -r vhost_vdpa"
  [[ ! -e /dev/vduse/vndemo0 && ! -e /sys/class/net/vndemo0 ]] ||
    die "there is a vndemo0 already: remove it first"
  [[ -z $(ip -4 route show table all root 10.9.0.0/24) ]] ||
    die "this host uses 10.9.0.0/24, and so does the demo"
}
on_host() {
  NAME=vndemo0 TAP=vndemo0 \
    PATH=$root/$build:$root/$build/tests/tools:$PATH \
    exec unshare --mount --propagation private examples/demo-host.sh
}

if ((host)); then
  step "looking at this host"
  check_host
  run=on_host
else
  step "booting a VM with VDUSE"
  run=in_vm
fi

exec {output}< <("$run" 2>&1)
side=($!)
rows=() failures=0
while IFS= read -r line; do
  printf '%s\n' "$line" >>"$log"
  case $line in
    'PROGRESS '*) step "${line#PROGRESS }" ;;
    'ROW '*) rows+=("${line#ROW }") ;;
    'CHECK FAIL '*) failures=1; printf '%s\n' "${line#CHECK }" >&2 ;;
  esac
done <&"$output"
status=0
wait "${side[@]}" || status=$?
side=()
((status == 0 && failures == 0 && ${#rows[@]} == 4)) ||
  failed "ended with status $status after ${#rows[@]} of 4 measurements"

# ratio A B: A / B with one digit.
ratio() {
  awk -v a="$1" -v b="$2" \
    'BEGIN { if (b > 0) printf "%.1f", a / b; else printf "-" }'
}
line() { printf '%-11s %7s %7s %7s  %7s %7s %7s  %7s %7s\n' "$@"; }
echo
line '' 'rx' 'inter-' 'packets' 'tx' 'inter-' 'packets' 'TCP' 'ping'
line 'ethtool -C' 'packets' 'rupts' 'per int' 'packets' 'rupts' 'per int' \
  'Mbit/s' 'ms'
for row in "${rows[@]}"; do
  read -r name rx_packets rx_irqs tx_packets tx_irqs mbits ping_us <<<"$row"
  line "$name" "$rx_packets" "$rx_irqs" "$(ratio "$rx_packets" "$rx_irqs")" \
    "$tx_packets" "$tx_irqs" "$(ratio "$tx_packets" "$tx_irqs")" \
    "$mbits" "$(ratio "$ping_us" 1000)"
done
echo
# The names of the loop now hold the last row; off is the first.
read -r _ _ off_rx _ off_tx off_mbits off_ping <<<"${rows[0]}"
fmt -w 79 <<TEXT
A setting is usecs/frames, for rx and tx alike; interrupts are those that the
consumer's driver took. With $name it took $(ratio "$off_rx" "$rx_irqs") times
fewer for what it received and $(ratio "$off_tx" "$tx_irqs") times fewer for
what it sent than with coalescing off. The price is latency: a ping took
$(ratio "$ping_us" 1000) ms (median) instead of $(ratio "$off_ping" 1000) ms,
while TCP moved $mbits Mbit/s instead of $off_mbits.
TEXT
((host)) ||
  echo "The VM's CPU is emulated: the counts are real, the times are slow."
step "done"
