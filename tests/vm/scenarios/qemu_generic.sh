# shellcheck shell=bash disable=SC1091,SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
# Needs: userland
#
# The consumer is a QEMU guest with vhost-vdpa-device-pci: all that the device
# offers reaches the guest's driver.
. /qemu.sh

COUNT=${COUNT:-5000}
INTERVAL_US=${INTERVAL_US:-1000}
FACTOR=${FACTOR:-10}
OPEN=1
[[ $MODULE == open ]] || OPEN=0

operator=()
((OPEN)) || operator=(--rx-usecs 20000 --rx-frames 32 --tx-usecs 20000
  --tx-frames 32)

start_for_guest
start_guest generic
progress "the guest's shell after $GUEST_BOOT_MS ms"

has_bit() {
  local bits
  bits=$(c cat "/sys/class/net/$CONSUMER/device/features") || return 1
  echo "bit $1: ${bits:$1:1}"
  [[ ${bits:$1:1} == "$2" ]]
}
check notf-coal has_bit 53 "$OPEN"
check vq-notf-coal has_bit 52 "$OPEN"
check ctrl-vq has_bit 17 "$OPEN"

check link-up guest_link_up
check ping wait_for 5 ping_once
iperf_server
check iperf-tcp-rx some_tcp
check iperf-tcp-tx some_tcp -R

set_coalescing() {
  c ethtool -C "$CONSUMER" "$1-usecs" "$2" "$1-frames" "$3" 2>&1
}
# Packets are announced one by one: 0 frames of tx mean something else to
# Linux.
set_off() {
  if [[ $1 == rx ]]; then set_coalescing rx 0 0; else set_coalescing tx 0 1; fi
}

check rx-off flow_off rx
rx_off=$IRQS
check tx-off flow_off tx
tx_off=$IRQS

if ((OPEN)); then
  coalesced() {
    set_coalescing "$1" 20000 32 || return 1
    flow_coalesced "$1" 20000 32 "$FACTOR" "$2"
  }
  check rx-20000us-32 coalesced rx "$rx_off"
  check tx-20000us-32 coalesced tx "$tx_off"
  shown() {
    c ethtool -c "$CONSUMER" >/tmp/shown 2>&1
    grep -E '^[rt]x-(usecs|frames):' /tmp/shown | tr -d '\t' | tr '\n' ' '
    (($(grep -cE '^[rt]x-usecs:[[:space:]]*20000$' /tmp/shown) == 2))
  }
  check ethtool-c shown
  # A VMM that stops its guest suspends the device, or resets it; the driver
  # knows nothing. This is when its state can be saved.
  stop_and_continue() {
    monitor stop || return 1
    nap 0.5
    vduse-net state save /tmp/state.json --name "$NAME" || return 1
    [[ $KERNEL == 6.12 ]] || logged 'suspended$' ||
      { echo "not suspended"; return 1; }
    monitor cont || return 1
    wait_for 5 ping_once || { echo "no ping after cont"; return 1; }
    flow_coalesced rx 20000 32 "$FACTOR" "$rx_off"
  }
  check stop-cont stop_and_continue
  check rx-back-off set_off rx
  check tx-back-off set_off tx
  per_queue() {
    c ethtool -Q "$CONSUMER" queue_mask 0x1 --coalesce rx-usecs 5000 \
      rx-frames 32 2>&1 || return 1
    flow_coalesced rx 5000 32
  }
  check ethtool-per-queue per_queue
  adaptive() {
    c ethtool -C "$CONSUMER" adaptive-rx on 2>&1 || return 1
    iperf -t 3 -P 2 || return 1
    iperf -t 2 -u -b 2M -l 200 || return 1
    c ethtool -C "$CONSUMER" adaptive-rx off 2>&1 || return 1
    (($(log_since_start | grep -c 'VQ_SET rx') >= 2)) ||
      { echo "DIM set nothing"; return 1; }
    log_since_start | grep -oE 'VQ_SET rx.*usecs=[0-9]+' |
      grep -oE '[0-9]+$' | sort -n | uniq -c | tr -s ' \n' ' '
  }
  check adaptive-rx adaptive
else
  check ethtool-refused ethtool_refused
  stop_guest
  check stop-device stopped
  start_for_guest "${operator[@]}"
  start_guest generic
  guest_link_up
  check ping-operator wait_for 5 ping_once
  check rx-20000us-32 flow_coalesced rx 20000 32 "$FACTOR" "$rx_off"
  check tx-20000us-32 flow_coalesced tx 20000 32 "$FACTOR" "$tx_off"
fi
stop_guest
check stop stopped
