# shellcheck shell=bash disable=SC1091,SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
# Needs: userland
#
# The consumer is a QEMU guest with virtio-net-pci over -netdev vhost-vdpa:
# QEMU offers the guest no coalescing commands, so the operator's values count.
# Its queues become ready after DRIVER_OK, each when QEMU sees fit.
. /qemu.sh

COUNT=${COUNT:-5000}
INTERVAL_US=${INTERVAL_US:-1000}
FACTOR=${FACTOR:-10}
BOOTS=${BOOTS:-10}

start_for_guest
# Every boot: a ping and a whole iperf3 run within a second of the link. The
# last guest stays.
boots() {
  local boot start ping tcp worst_ping=0 worst_tcp=0
  for ((boot = 1; boot <= BOOTS; boot++)); do
    start_guest netdev
    iperf_server
    # The first iperf3 of a fresh guest takes more than a second even with
    # itself, in this emulation.
    c iperf3 -c 127.0.0.1 -n 64K >/dev/null ||
      { echo "boot $boot: no iperf3"; return 1; }
    guest_link_up || { echo "boot $boot: no interface"; return 1; }
    now; start=$NOW
    wait_for 1 ping_once || { echo "boot $boot: no ping in 1 s"; return 1; }
    now; ping=$(((NOW - start) / 1000))
    iperf -n 64K || { echo "boot $boot: no TCP"; return 1; }
    now; tcp=$(((NOW - start) / 1000))
    ((boot == BOOTS)) || stop_guest
    progress "boot $boot of $BOOTS: ping after $ping ms, iperf3 after $tcp ms"
    ((ping > worst_ping)) && worst_ping=$ping
    ((tcp > worst_tcp)) && worst_tcp=$tcp
  done
  echo "boots=$BOOTS worst_ping_ms=$worst_ping worst_iperf3_ms=$worst_tcp"
  ((worst_tcp <= 1000))
}
check boots boots

no_bits() {
  local bits
  bits=$(c cat "/sys/class/net/$CONSUMER/device/features") || return 1
  echo "bits 52 and 53: ${bits:52:2}"
  [[ ${bits:52:2} == 00 ]]
}
check no-bits no_bits
check ethtool-refused ethtool_refused
check iperf-tcp-rx some_tcp
check iperf-tcp-tx some_tcp -R
check rx-off flow_off rx
rx_off=$IRQS
check tx-off flow_off tx
tx_off=$IRQS
stop_guest
check stop stopped

start_for_guest --rx-usecs 20000 --rx-frames 32 --tx-usecs 20000 --tx-frames 32
start_guest netdev
guest_link_up
check ping-operator wait_for 5 ping_once
check rx-20000us-32 flow_coalesced rx 20000 32 "$FACTOR" "$rx_off"
check tx-20000us-32 flow_coalesced tx 20000 32 "$FACTOR" "$tx_off"
stop_guest
check stop-operator stopped
