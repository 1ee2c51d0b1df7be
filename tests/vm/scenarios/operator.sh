# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# The operator's coalescing, changed while the device runs: fixed and adaptive,
# on interrupts that the consumer really takes; what the driver asks wins, until
# it resets the device; a successor goes on with what was set.
COUNT=${COUNT:-3000}
INTERVAL_US=${INTERVAL_US:-1000}

refused() {
  local status=0
  set_to "$@" >/tmp/refused || status=$?
  cat /tmp/refused
  ((status == 2))
}
# restart ARGS...: what was measured before is not to be among the figures.
restart() {
  stop_device || { echo "$STOP_WHY"; return 1; }
  start_device --attach "$@"
  # The stacks know each other: what is sent meanwhile they may lose.
  wait_for 5 ping_once
}
# attempts COMMAND...: repeats COMMAND up to four times, each time on a new
# device with the options RUN_ARGS, so that its histograms are empty: on a busy
# machine packets arrive late and in bunches.
attempts() {
  local attempt
  for attempt in 1 2 3 4; do
    restart "${RUN_ARGS[@]}" || return 1
    if "$@" >/tmp/attempt; then
      echo "$(tail -n 1 /tmp/attempt) runs=$attempt"
      return 0
    fi
    cat /tmp/attempt
  done
  return 1
}

irq_setup
start_device --attach
check shown shows 'rx queue 0: usecs 0 frames 0 set by operator, in effect'
check shown-json vduse-net coalesce show -j dev "$NAME"
check refuses-word refused rx-packets 5
check refuses-goal refused max-irq-rate 5
nobody() { ! vduse-net coalesce show dev nobody 2>&1; }
check no-device nobody
check rx-off flow_off rx
rx_off=$IRQS
check tx-off flow_off tx
tx_off=$IRQS

# --- Fixed values -------------------------------------------------------------

check set-fixed set_to rx-usecs 20000 rx-frames 32 tx-usecs 20000 tx-frames 32
check rx-20000us-32 flow_coalesced rx 20000 32 5 "$rx_off"
check tx-20000us-32 flow_coalesced tx 20000 32 5 "$tx_off"
check causes shows 'causes:.*packets\|causes:.*time'

# --- A goal -------------------------------------------------------------------

RUN_ARGS=(--target-latency-usecs 20000)
latency() {
  flow_coalesced "$1" 20000 100000 5 "$2" &&
    near p50_ns "$(of_queue "$1" delay_nsecs: p50)" 20000000 10
}
check rx-latency attempts latency rx "$rx_off"
check tx-latency attempts latency tx "$tx_off"
check source-adaptive shows 'set by adaptive, in effect usecs 20000'

# A packet that comes alone is let through: 100 a second.
RUN_ARGS=(--target-latency-usecs 1000)
lone() {
  measure_flow "$1" 300 10000
  # Where the stacks talk to each other in between, one of them may wait.
  figures "p90_ns=$(of_queue "$1" delay_nsecs: p90)"
  ((SENT == 300 && IRQS * 10 >= SENT * 9)) &&
    (($(of_queue "$1" delay_nsecs: p90) < 5000))
}
check rx-lone attempts lone rx
check tx-lone attempts lone tx

# Notifications are due at the rate, and the driver takes no more interrupts than
# that. It may take fewer: on a tx queue it frees sent packets when it transmits
# as well, and does not want every notification, or finds nothing to do.
rate() {
  local wanted notified suppressed
  measure_flow "$1" "$COUNT" "$INTERVAL_US"
  wanted=$((ELAPSED_US / 20000))
  notified=$(of_queue "$1" packets notifications)
  suppressed=$(of_queue "$1" packets '(suppressed')
  suppressed=${suppressed%)}
  echo "irqs=$IRQS notified=$notified suppressed=$suppressed wanted=$wanted"
  near due $((notified + suppressed)) "$wanted" 10 >/dev/null &&
    ((IRQS * 2 >= wanted && IRQS * 10 <= wanted * 11))
}
RUN_ARGS=(--max-irq-rate 50)
check rx-rate attempts rate rx
check tx-rate attempts rate tx
check set-goal set_to adaptive-rx on adaptive-tx on max-irq-rate 1000
show >&3

# --- The driver ---------------------------------------------------------------

if [[ $MODULE == open ]]; then
  ask() { c ethtool -C "$CONSUMER" rx-usecs 2000 rx-frames 16; }
  check driver-asks ask
  check driver-wins shows 'rx queue 0: usecs 2000 frames 16 set by driver_all'
  kept() {
    set_to adaptive-rx off rx-usecs 20000 rx-frames 32 | tee /tmp/kept
    grep -q 'driver has set' /tmp/kept
  }
  check set-is-kept kept
  check driver-still-wins flow_coalesced rx 2000 16
fi
rebind() {
  local driver=/sys/bus/virtio/drivers/virtio_net device
  device=$(basename /sys/bus/vdpa/devices/"$NAME"/virtio*)
  set_to adaptive-rx off rx-usecs 20000 rx-frames 32 >/dev/null
  echo "$device" >"$driver/unbind" && echo "$device" >"$driver/bind" ||
    return 1
  take_netdev
}
check rebind rebind
check after-reset shows 'rx queue 0: usecs 20000 frames 32 set by operator'
check after-reset-rx flow_coalesced rx 20000 32 5 "$rx_off"

# --- A successor --------------------------------------------------------------

if [[ $MODULE == open ]]; then
  succeed() {
    kill_device
    launch_device --attach --rx-usecs 1 --rx-frames 1
  }
  check successor succeed
  check successor-goes-on shows \
    'rx queue 0: usecs 20000 frames 32 set by operator'
  check successor-rx flow_coalesced rx 20000 32 5 "$rx_off"
fi
check stop stopped
