# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# What coalescing saves and what it costs: notifications per packet of a paced
# flow, and how long a ping takes. Control-queue gate lifted. Prints
#   ROW notify DIRECTION USECS/FRAMES FIGURE VALUE
# once per round. tests/bench/run.sh makes a table of it.

ROUNDS=${ROUNDS:-5}
COUNT=${COUNT:-1000}
INTERVAL_US=${INTERVAL_US:-1000}
PINGS=${PINGS:-50}
# 1 is off, too, and the driver's transmit side takes no 0.
SETTINGS=${SETTINGS:-0/1 20/8 200/64 2000/64 8000/64}

irq_setup
start_device --attach

# with DIRECTION SETTING
with() {
  c ethtool -C "$CONSUMER" "$1-usecs" "${2%/*}" "$1-frames" "${2#*/}" ||
    die ethtool "$1 $2 refused"
}
row() { say "ROW notify $*"; }

for ((round = 0; round < ROUNDS; round++)); do
  progress "round $((round + 1)) of $ROUNDS"
  for setting in $SETTINGS; do
    for direction in rx tx; do
      with "$direction" "$setting"
      measure_flow "$direction" "$COUNT" "$INTERVAL_US"
      row "$direction" "$setting" notifications_per_1000 \
        $((IRQS * 1000 / SENT))
    done
    row rx "$setting" ping_us "$(ping_median "$PINGS" 0.01)"
  done
done
