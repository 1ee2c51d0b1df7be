# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# What the demo measures: for each setting of `ethtool -C`, the interrupts that
# the consumer takes under a paced flow, TCP throughput and the latency of a
# ping. Built from the helpers of tests/vm/guest/lib.sh; prints
#   ROW SETTING RX_PACKETS RX_IRQS TX_PACKETS TX_IRQS TCP_MBITS PING_US

COUNT=${COUNT:-3000}
INTERVAL_US=${INTERVAL_US:-1000}

progress "creating the device and attaching it to the vDPA bus"
irq_setup
start_device --attach
iperf_server

ping_median_us() {
  ping -n -c 21 -i 0.05 -W 2 "$CONSUMER_IP" |
    sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | sort -n |
    awk '{ t[NR] = $1 } END { printf "%d\n", t[int((NR + 1) / 2)] * 1000 }'
}

# measure LABEL USECS FRAMES. Linux takes tx-frames 0 for "no NAPI on tx" and
# refuses it while the interface is up; 1 is off as well.
measure() {
  local rx_packets rx_irqs tx_packets tx_irqs
  progress "$1: 2 x $COUNT packets, TCP, ping"
  timeout 10 "${IN_CONSUMER[@]}" ethtool -C "$CONSUMER" \
    rx-usecs "$2" rx-frames "$3" tx-usecs "$2" tx-frames "$(($3 ? $3 : 1))" ||
    die ethtool "ethtool -C does not work on $CONSUMER"
  measure_flow rx "$COUNT" "$INTERVAL_US"
  rx_packets=$RECEIVED rx_irqs=$IRQS
  measure_flow tx "$COUNT" "$INTERVAL_US"
  tx_packets=$RECEIVED tx_irqs=$IRQS
  iperf -t 2 || die iperf3 "no TCP between TAP and consumer"
  say "ROW $1 $rx_packets $rx_irqs $tx_packets $tx_irqs $MBITS" \
    "$(ping_median_us)"
}

measure off 0 0
measure 200us/64 200 64
measure 2000us/16 2000 16
measure 20000us/32 20000 32
progress "detaching and destroying the device"
