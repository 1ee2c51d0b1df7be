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
# Every boot: a ping and some TCP within a second of the link.
boots() {
  local boot start ping worst_ping=0 worst_tcp=0
  for ((boot = 1; boot <= BOOTS; boot++)); do
    start_guest netdev
    c iperf3 -s -D || { echo "boot $boot: no iperf3"; return 1; }
    guest_link_up || { echo "boot $boot: no interface"; return 1; }
    now; start=$NOW
    wait_for 1 ping_once || { echo "boot $boot: no ping in 1 s"; return 1; }
    now; ping=$(((NOW - start) / 1000))
    ((ping > worst_ping)) && worst_ping=$ping
    iperf -n 64K || { echo "boot $boot: no TCP"; return 1; }
    now
    (((NOW - start) / 1000 > worst_tcp)) && worst_tcp=$(((NOW - start) / 1000))
    stop_guest
    progress "boot $boot of $BOOTS: ping after $ping ms"
  done
  echo "boots=$BOOTS worst_ping_ms=$worst_ping worst_tcp_ms=$worst_tcp"
}
check boots boots

start_guest netdev
no_bits() {
  local bits
  bits=$(c cat "/sys/class/net/$CONSUMER/device/features") || return 1
  echo "bits 52 and 53: ${bits:52:2}"
  [[ ${bits:52:2} == 00 ]]
}
check no-bits no_bits
check ethtool-refused ethtool_refused
guest_link_up
check ping wait_for 5 ping_once
iperf_server
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
