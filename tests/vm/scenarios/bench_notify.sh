# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# What coalescing saves and what it costs: notifications per packet of a paced
# flow, how long a ping takes, and what a TCP flow gets. Control-queue gate
# lifted. Prints
#   ROW notify DIRECTION USECS/FRAMES FIGURE VALUE
# once per round. tests/bench/run.sh makes a table of it.

ROUNDS=${ROUNDS:-5}
COUNT=${COUNT:-1000}
INTERVAL_US=${INTERVAL_US:-1000}
PINGS=${PINGS:-50}
# 1 is off, too, and the driver's transmit side takes no 0.
SETTINGS=${SETTINGS:-0/1 20/8 100/64 200/64 2000/64 8000/64}
TCP_SECONDS=${TCP_SECONDS:-2}

irq_setup
start_device --attach
iperf_server

# with DIRECTION SETTING
with() {
  c ethtool -C "$CONSUMER" "$1-usecs" "${2%/*}" "$1-frames" "${2#*/}" ||
    die ethtool "$1 $2 refused"
}
row() { say "ROW notify $*"; }
# tcp [ARGS...]: a flow to the consumer, or, with -R, from it.
tcp() { some_tcp "$@" >/dev/null || die iperf3 "nothing moved"; }

for ((round = 0; round < ROUNDS; round++)); do
  progress "round $((round + 1)) of $ROUNDS"
  for setting in $SETTINGS; do
    for direction in rx tx; do
      with "$direction" "$setting"
      measure_flow "$direction" "$COUNT" "$INTERVAL_US"
      row "$direction" "$setting" notifications_per_1000 \
        $((IRQS * 1000 / SENT))
    done
    # Both directions are coalesced now, acknowledgements included.
    row rx "$setting" ping_us "$(ping_median "$PINGS" 0.01)"
    for direction in rx tx; do with "$direction" 0/1; done
    with rx "$setting"; tcp
    row rx "$setting" tcp_mbit "$MBITS"
    with rx 0/1; with tx "$setting"; tcp -R
    row tx "$setting" tcp_mbit "$MBITS"
  done
done
