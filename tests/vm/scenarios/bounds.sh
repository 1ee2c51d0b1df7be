# shellcheck shell=bash disable=SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# The bounds of coalescing, for many parameters, both directions, packets that
# come evenly and in bursts: no more notifications than packets / frames +
# elapsed / usecs + 1 and the early ones, and no packet waits longer than usecs
# and what the timer was late. By the device's own count, and by the consumer's
# interrupts.
COUNT=${COUNT:-240}
INTERVAL_US=${INTERVAL_US:-1000}
SETTINGS_US=${SETTINGS_US:-8 16 50 100 1000}
SETTINGS_FRAMES=${SETTINGS_FRAMES:-2 16 64 256}

irq_setup
start_device --attach

# early DIRECTION: notifications that waiting would not have helped.
early() {
  local cause total=0
  for cause in parameters descriptors no-buffers stop suspend; do
    total=$((total + $(of_queue "$1" causes: "$cause")))
  done
  echo "$total"
}

# bounded DIRECTION USECS: checks all numbers of frames. The longest wait and
# the largest lateness are maxima since the start of the process. The parameters
# only grow, so if the longest wait is at most usecs plus the largest lateness,
# no packet of this run waited longer either.
bounded() {
  local direction=$1 usecs=$2 frames before early notified bound longest late
  local most=0
  for frames in $SETTINGS_FRAMES; do
    set_to "$direction-usecs" "$usecs" "$direction-frames" "$frames" ||
      return 1
    before=$(of_queue "$direction" packets notifications)
    early=$(early "$direction")
    local packets
    packets=$(of_queue "$direction" packets packets)
    measure_flow "$direction" "$COUNT" "$INTERVAL_US"
    notified=$(($(of_queue "$direction" packets notifications) - before))
    packets=$(($(of_queue "$direction" packets packets) - packets))
    early=$(($(early "$direction") - early))
    # The elapsed time: that of the flow, and 50 ms for what follows it.
    bound=$((packets / frames + (ELAPSED_US + 50000) / usecs + 1 + early))
    longest=$(of_queue "$direction" delay_nsecs: max)
    late=$(of_queue "$direction" timer_lateness_nsecs: max)
    figures "$usecs/$frames burst=${BURST:-1} notified=$notified" \
      "bound=$bound early=$early longest_ns=$longest late_ns=${late:-0}"
    ((SENT == COUNT && packets >= COUNT && notified <= bound)) || return 1
    ((IRQS <= notified)) || return 1
    ((longest <= usecs * 1000 + ${late:-0})) || return 1
    ((most >= notified * 1000 / packets)) || most=$((notified * 1000 / packets))
  done
  figures "usecs=$usecs frames=$SETTINGS_FRAMES burst=${BURST:-1}" \
    "most_per_1000=$most longest_ns=$longest late_ns=${late:-0}"
}

for usecs in $SETTINGS_US; do
  for direction in rx tx; do
    for BURST in 1 24; do
      check "$direction-${usecs}us-burst-$BURST" bounded "$direction" "$usecs"
    done
  done
done
check stop stopped
