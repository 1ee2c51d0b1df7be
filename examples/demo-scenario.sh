# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# What the demo measures: for each setting of `ethtool -C`, the interrupts that
# the consumer takes under a paced flow, TCP throughput and the latency of a
# ping. Sourced after tests/vm/guest/lib.sh, whose helpers it is built from, in
# the VM or on a host. Prints
#   ROW SETTING RX_PACKETS RX_IRQS TX_PACKETS TX_IRQS TCP_MBITS PING_US

COUNT=${COUNT:-3000}              # packets per measurement
INTERVAL_US=${INTERVAL_US:-1000}  # between two of them

# Median of 21 round trips; ping's own summary has the mean only.
ping_median_us() {
  ping -n -c 21 -i 0.05 -W 2 "$CONSUMER_IP" |
    sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | sort -n |
    awk '{ t[NR] = $1 } END { printf "%d\n", t[int((NR + 1) / 2)] * 1000 }'
}

# flow DIRECTION USECS: off finds the pace that this machine keeps up with, and
# the settings after it have the same.
flow() {
  if (($2)); then
    measure_flow "$1" "$COUNT" "$INTERVAL_US"
  else
    flow_off "$1"
  fi
  ((RECEIVED > 0)) || die flow "none of $SENT packets ($1) arrived"
}

# measure LABEL USECS FRAMES. Linux takes tx-frames 0 for "no NAPI on tx" and
# refuses it while the interface is up; 1 is off as well.
measure() {
  local rx_packets rx_irqs ping_us
  progress "$1: $COUNT packets each way, TCP, ping"
  timeout 10 "${IN_CONSUMER[@]}" ethtool -C "$CONSUMER" \
    rx-usecs "$2" rx-frames "$3" tx-usecs "$2" tx-frames "$(($3 ? $3 : 1))" ||
    die ethtool "ethtool -C does not work on $CONSUMER"
  flow rx "$2"
  rx_packets=$RECEIVED rx_irqs=$IRQS
  flow tx "$2"
  iperf -t 2 && ((MBITS > 0)) || die iperf3 "no TCP from TAP to consumer"
  ping_us=$(ping_median_us)
  ((ping_us > 0)) || die ping "no answer from the consumer"
  say "ROW $1 $rx_packets $rx_irqs $RECEIVED $IRQS $MBITS $ping_us"
}

progress "creating the device and attaching it to the vDPA bus"
irq_setup
launch_device --attach
# A host's udev gives the new netdev another name: after that it is ours.
if command -v udevadm >/dev/null; then
  wait_for 10 find_netdev
  udevadm settle --timeout=10
fi
setup_tap
take_netdev
iperf_server

measure off 0 0
measure 200us/64 200 64
measure 2000us/16 2000 16
measure 20000us/32 20000 32
progress "detaching and destroying the device"
