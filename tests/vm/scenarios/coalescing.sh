# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# `ethtool -C` and `ethtool -Q` rule the interrupts that the consumer sees; for
# `adaptive-rx` see dim.sh. Control-queue gate lifted.
#
# The flow is paced: at saturation the consumer polls and needs few interrupts
# whatever the setting.

COUNT=${COUNT:-5000}              # packets per measurement
INTERVAL_US=${INTERVAL_US:-1000}  # between two of them
STORM=${STORM:-10000}             # ethtool -C changes under traffic

irq_setup
start_device

et() { timeout 10 "${IN_CONSUMER[@]}" ethtool "$@"; }

# shown DIRECTION USECS FRAMES: ethtool -c says so.
shown() {
  local text
  text=$(et -c "$CONSUMER") || return 1
  grep -qE "^$1-usecs:[[:space:]]*$2$" <<<"$text" &&
    grep -qE "^$1-frames:[[:space:]]*$3$" <<<"$text" && return 0
  grep -E "^$1-(usecs|frames):" <<<"$text" | tr '\n' ' '
  return 1
}
# Linux takes tx-frames 0 for "no NAPI on tx", which it refuses (EBUSY) while
# the interface is up: off is 1 there, for the device the same.
declare -A OFF_FRAMES=([rx]=0 [tx]=1)
set_coalescing() {
  et -C "$CONSUMER" "$1-usecs" "$2" "$1-frames" "$3" 2>&1 || return 1
}
set_off() {
  set_coalescing "$1" 0 "${OFF_FRAMES[$1]}"
}

# coalesced DIRECTION USECS FRAMES [FACTOR OFF]: set by ethtool and shown by
# it, and the flow is coalesced.
coalesced() {
  set_coalescing "$1" "$2" "$3" || return 1
  shown "$1" "$2" "$3" || { echo "ethtool -c does not show it"; return 1; }
  flow_coalesced "$@"
}
# back DIRECTION OFF: turns coalescing off and checks that the interrupts are at
# least half of the packets and at least 80 % of OFF, the count of the first
# run. More interrupts are accepted, because packets may have arrived late and
# in bunches in the first run.
back() {
  local attempt
  set_off "$1" || return 1
  for attempt in 1 2 3 4 5 6; do
    measure_flow "$1" "$COUNT" "$INTERVAL_US"
    figures "first=$2 runs=$attempt"
    ((IRQS * 2 >= SENT && IRQS * 10 >= $2 * 8)) && return 0
  done
  return 1
}

for direction in rx tx; do
  progress "interrupts of $direction under a paced flow"
  check "$direction-off" flow_off $direction
  off_irqs=$IRQS
  check "$direction-200us-64" coalesced $direction 200 64
  check "$direction-2000us-16" coalesced $direction 2000 16
  check "$direction-20000us-32" coalesced $direction 20000 32 10 "$off_irqs"
  check "$direction-back-to-0" back $direction "$off_irqs"
done

# --- Per queue --------------------------------------------------------------

per_queue() {
  et -Q "$CONSUMER" queue_mask 0x1 --coalesce rx-usecs 5000 rx-frames 32 \
    tx-usecs 7000 tx-frames 24 2>&1 || return 1
  et -Q "$CONSUMER" queue_mask 0x1 --show-coalesce >/tmp/queue || return 1
  grep -qE '^rx-usecs:[[:space:]]*5000$' /tmp/queue &&
    grep -qE '^tx-frames:[[:space:]]*24$' /tmp/queue ||
    { grep -E '^[rt]x-(usecs|frames):' /tmp/queue | tr '\n' ' '; return 1; }
  measure_flow rx 2000 "$INTERVAL_US"
  within_bound 5000 32 || { figures "bound=$BOUND exceeded"; return 1; }
  figures "bound=$BOUND"
}
check per-queue per_queue
set_off rx
set_off tx

# --- Extremes ---------------------------------------------------------------

huge() {
  et -C "$CONSUMER" rx-usecs 4294967295 rx-frames 4294967295 \
    tx-usecs 4294967295 tx-frames 4294967295 2>&1 || return 1
  shown rx 4294967295 4294967295 || return 1
  shown tx 4294967295 4294967295 || return 1
  # The rings are finite, so packets go on all the same.
  measure_flow rx 2000 500
  figures
  ((RECEIVED > 0)) || return 1
  # The change is checked against what is pending: nothing stays stuck.
  set_off rx && set_off tx || return 1
  wait_for 3 ping_once || { echo "no ping after going back to 0"; return 1; }
  figures "ping after going back to 0"
}
check value-0xffffffff huge

storm() {
  local to_consumer from_consumer status=0
  udp_flow send --to "$CONSUMER_IP" --port 8000 --count 0 \
    --interval-usecs 2000 --size 200 >/tmp/storm.rx 2>&1 3>&- &
  to_consumer=$!
  "${IN_CONSUMER[@]}" udp_flow send --to "$TAP_IP" --port 8000 --count 0 \
    --interval-usecs 2000 --size 200 >/tmp/storm.tx 2>&1 3>&- &
  from_consumer=$!
  timeout 200 "${IN_CONSUMER[@]}" coalesce_storm --dev "$CONSUMER" \
    --count "$STORM" --limit-ms 1000 >/tmp/storm.out 2>&1 || status=$?
  kill -TERM "$to_consumer" "$from_consumer"
  wait "$to_consumer" "$from_consumer"
  cat /tmp/storm.rx /tmp/storm.tx
  tail -n 1 /tmp/storm.out
  return "$status"
}
check storm storm
# The last value is in force, in the device and not only in the driver.
after_storm() {
  set_off tx || return 1
  set_coalescing rx 20000 32 || return 1
  measure_flow rx 2000 "$INTERVAL_US"
  within_bound 20000 32 || { figures "bound=$BOUND exceeded"; return 1; }
  figures "bound=$BOUND"
  ((SENT == 2000 && LOST == 0))
}
check after-storm after_storm
check ping ping -n -q -c 10 -i 0.05 -W 1 "$CONSUMER_IP"
