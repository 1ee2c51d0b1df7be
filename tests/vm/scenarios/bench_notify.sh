# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# What coalescing saves and what it costs: notifications per packet of a paced
# flow, how long a ping takes, and what a TCP flow gets. Control-queue gate
# lifted. Prints
#   ROW notify DIRECTION USECS/FRAMES FIGURE VALUE
# once per round. tests/bench/run.sh makes a table of it.
#
# The settings of TCP are changed under one and the same flow, many times in
# turn: two flows differ more from each other than settings do.

ROUNDS=${ROUNDS:-5}
COUNT=${COUNT:-1000}
INTERVAL_US=${INTERVAL_US:-1000}
PINGS=${PINGS:-50}
# 1 is off, too, and the driver's transmit side takes no 0.
SETTINGS=${SETTINGS:-0/1 20/8 100/64 200/64 2000/64 8000/64}
TCP_SETTINGS=${TCP_SETTINGS:-0/1,100/64,2000/64}
TCP_ROUNDS=${TCP_ROUNDS:-40}
TCP_WINDOW=${TCP_WINDOW:-0.5}  # seconds

irq_setup
start_device --attach
iperf_server

# with DIRECTION SETTING
with() {
  c ethtool -C "$CONSUMER" "$1-usecs" "${2%/*}" "$1-frames" "${2#*/}" ||
    die ethtool "$1 $2 refused"
}
row() { say "ROW notify $*"; }

# moved DIRECTION: bytes, as the consumer's driver counts them.
moved() { c cat "/sys/class/net/$CONSUMER/statistics/$1_bytes"; }
# tcp DIRECTION FIGURE: Mbit/s of a flow with each setting, and in percent of
# what it had with the first one in the same round.
tcp() {
  local direction=$1 figure=$2 args=()
  local flow round i setting begin bytes kbit first
  local -a all
  IFS=, read -ra all <<<"$TCP_SETTINGS"
  progress "$figure, $direction"
  [[ $direction == rx ]] || args=(-R)
  iperf3 -c "$CONSUMER_IP" -t 3600 "${args[@]}" >/tmp/flow 2>&1 3>&- &
  flow=$!
  nap 2
  for ((round = 0; round < TCP_ROUNDS; round++)); do
    local -A kbits=()
    for ((i = 0; i < ${#all[@]}; i++)); do
      setting=${all[(i + round) % ${#all[@]}]}
      with "$direction" "$setting"
      nap 0.1
      bytes=$(moved "$direction")
      now; begin=$NOW
      nap "$TCP_WINDOW"
      now
      bytes=$(($(moved "$direction") - bytes))
      kbits[$setting]=$((bytes * 8000 / (NOW - begin)))
    done
    first=${kbits[${all[0]}]}
    ((first > 0)) || die iperf3 "nothing moved: $(tail -n 3 /tmp/flow)"
    for setting in "${all[@]}"; do
      kbit=${kbits[$setting]}
      row "$direction" "$setting" "${figure}_mbit" "$((kbit / 1000))"
      row "$direction" "$setting" "${figure}_percent" \
        "$((kbit * 10000 / first))e-2"
    done
  done
  kill "$flow"
  wait "$flow" 2>/dev/null
  with "$direction" "${all[0]}"
}

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
  done
done
for direction in rx tx; do tcp "$direction" tcp; done
# Packets as large as the wire's, and so 45 times as many.
stop_device || die stop "$STOP_WHY"
start_device --attach --without \
  GUEST_TSO4,GUEST_TSO6,GUEST_USO4,GUEST_USO6,HOST_TSO4,HOST_TSO6,HOST_USO
for direction in rx tx; do tcp "$direction" tcp_without_tso; done
