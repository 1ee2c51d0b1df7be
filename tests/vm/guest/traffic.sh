# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# Flows between the TAP and the consumer, the interrupts that they cost, and
# what the device does without any. Sourced by lib.sh.

# --- Interrupts, as the consumer's driver sees them -------------------------

irq_setup() {
  local probe
  for probe in rx:virtio_net:skb_recv_done tx:virtio_net:skb_xmit_done \
    inject:vduse:vduse_vq_irq_inject; do
    echo "p:${probe%%:*}done ${probe#*:}" >>"$TRACING/kprobe_events" &&
      echo 'hist:keys=common_cpu' \
        >"$TRACING/events/kprobes/${probe%%:*}done/trigger" ||
      die kprobe "cannot put a kprobe on ${probe#*:}"
  done
  irq_reset
}

irq_total() {
  local key value
  while read -r key value; do
    if [[ $key == Hits: ]]; then echo "$value"; return; fi
  done <"$TRACING/events/kprobes/$1done/hist"
  echo 0
}

# Takes the probes away again: for a kernel that lives on.
irq_teardown() {
  local probe
  for probe in rx tx inject; do
    echo '!hist:keys=common_cpu' \
      >"$TRACING/events/kprobes/${probe}done/trigger"
    echo "-:${probe}done" >>"$TRACING/kprobe_events"
  done
}
irq_reset() {
  IRQ_RX=$(irq_total rx) IRQ_TX=$(irq_total tx) IRQ_INJECT=$(irq_total inject)
}

# irq_count rx|tx|inject: since the last irq_reset.
irq_count() {
  case $1 in
    rx) echo $(($(irq_total rx) - IRQ_RX)) ;;
    tx) echo $(($(irq_total tx) - IRQ_TX)) ;;
    inject) echo $(($(irq_total inject) - IRQ_INJECT)) ;;
  esac
}

# --- Traffic ---------------------------------------------------------------

ping_once() { ping -n -q -c 1 -W 1 "$CONSUMER_IP" >/dev/null 2>&1; }

# ping_median COUNT INTERVAL: of the round trips, in microseconds.
ping_median() {
  ping -n -c "$1" -i "$2" "$CONSUMER_IP" 2>&1 |
    sed -n 's/.*time=\([0-9.]*\) ms$/\1/p' | sort -n |
    awk '{ t[NR] = $1 } END { print int(t[int((NR + 1) / 2)] * 1000) }'
}

# measure_flow rx|tx COUNT INTERVAL_USECS: a paced UDP flow to (rx) or from
# (tx) the consumer, of SIZE bytes a packet, SEGMENTS of them in one large
# packet, or BURST packets at a time. Sets SENT, RECEIVED, LOST, ELAPSED_US and IRQS.
measure_flow() {
  local direction=$1 count=$2 interval=$3 to receiver port
  local receive=() send=()
  PORTS=$((PORTS + 1))
  port=$PORTS
  if [[ $direction == rx ]]; then
    to=$CONSUMER_IP receive=("${IN_CONSUMER[@]}")
  else
    to=$TAP_IP send=("${IN_CONSUMER[@]}")
  fi
  : >/tmp/flow.received
  "${receive[@]}" udp_flow recv --port "$port" --count "$count" \
    --idle-ms 500 >/tmp/flow.received 2>&1 &
  receiver=$!
  wait_for 5 file_has listening /tmp/flow.received ||
    die flow "the receiver does not listen: $(</tmp/flow.received)"
  irq_reset
  "${send[@]}" udp_flow send --to "$to" --port "$port" --count "$count" \
    --interval-usecs "$interval" --size "${SIZE:-64}" \
    --segments "${SEGMENTS:-1}" --burst "${BURST:-1}" >/tmp/flow.sent 2>&1
  wait_for 3 gone "$receiver" || kill -TERM "$receiver"
  wait "$receiver"
  nap 0.05  # the last notification may be due later than the last packet
  IRQS=$(irq_count "$direction")
  SENT=$(field sent "$(</tmp/flow.sent)")
  ELAPSED_US=$(field elapsed_us "$(</tmp/flow.sent)")
  RECEIVED=$(field received "$(</tmp/flow.received)")
  LOST=$((SENT - RECEIVED))
  say "flow $direction: $(</tmp/flow.sent);" \
    "$(tail -n 1 /tmp/flow.received); irqs=$IRQS"
  ((LOST == 0)) || where_lost
}

# What those count that a packet passes: the consumer's stack and its driver,
# and our device.
where_lost() {
  c sh -c "cd /sys/class/net/$CONSUMER/statistics && grep . tx_* rx_*" |
    grep -v ':0$' | tr '\n' ' '
  echo
  c grep -E '^(Ip|Udp):' /proc/net/snmp
  c cat /proc/net/stat/arp_cache
  [[ -z $DEVICE_PID ]] || kill -USR1 "$DEVICE_PID"
  nap 0.2
} >&3

# within_bound USECS FRAMES: IRQS is at most 1.1 x (packets / frames +
# elapsed / usecs). Sets BOUND.
within_bound() {
  BOUND=$(((SENT * 11 / $2 + ELAPSED_US * 11 / $1) / 10))
  ((SENT > 0 && IRQS <= BOUND))
}

# figures [TEXT]: of the last measure_flow.
figures() {
  echo "packets=$SENT lost=$LOST elapsed_us=$ELAPSED_US irqs=$IRQS $*"
}

# flow_off DIRECTION: at least one interrupt for every two packets. A busy
# machine makes the sender late and its packets come in bunches: such a run
# says nothing and is measured again, a little slower.
flow_off() {
  local attempt interval=$INTERVAL_US
  for attempt in 1 2 3 4 5; do
    measure_flow "$1" "$COUNT" "$interval"
    figures "wanted>=$((COUNT / 2)) interval_us=$interval runs=$attempt"
    ((SENT == COUNT && LOST == 0 && IRQS * 2 >= SENT)) && return 0
    ((interval < 1300)) && interval=$((interval + 100))
  done
  return 1
}

# Sets DRIVER_SENT, what the consumer's driver counts, and TAP_GOT. The driver
# counts what it knows to be completed, which it learns of with a notification
# or with the next packet: hence the ping.
tx_counts() {
  ping_once
  nap 0.05
  DRIVER_SENT=$(c cat "/sys/class/net/$CONSUMER/statistics/tx_packets")
  TAP_GOT=$(<"/sys/class/net/$TAP/statistics/rx_packets")
}

# flow_coalesced DIRECTION USECS FRAMES [FACTOR OFF]: what the consumer takes
# of a paced flow is under the bound, and at least FACTOR times fewer than OFF.
# A packet that the consumer's stack loses on the way to its driver, all of
# whose packets arrive, says nothing about the device: such a run is measured
# again, once.
flow_coalesced() {
  local factor=${4:-0} off=${5:-0} attempt sent got
  for attempt in 1 2; do
    tx_counts; sent=$DRIVER_SENT got=$TAP_GOT
    measure_flow "$1" "$COUNT" "$INTERVAL_US"
    within_bound "$2" "$3" || { figures "bound=$BOUND exceeded"; return 1; }
    figures "bound=$BOUND off=$off runs=$attempt"
    ((SENT == COUNT && IRQS > 0 && IRQS * factor <= off)) || return 1
    ((LOST == 0)) && return 0
    tx_counts
    say "driver: $((DRIVER_SENT - sent)) packets, TAP: $((TAP_GOT - got))"
    [[ $1 == tx ]] && ((DRIVER_SENT - sent == TAP_GOT - got)) || return 1
  done
  return 1
}

# iperf_server: one server in the consumer's namespace for all iperf3 runs.
iperf_server() {
  : >/tmp/iperf.server  # not what the server before it said
  "${IN_CONSUMER[@]}" iperf3 -s --forceflush >/tmp/iperf.server 2>&1 3>&- &
  IPERF_PID=$!
  wait_for 10 file_has listening /tmp/iperf.server ||
    die iperf3 "the server does not listen: $(</tmp/iperf.server)"
}

# iperf_ran ARGS...: false if nobody listens.
iperf_ran() {
  timeout 40 iperf3 -c "$CONSUMER_IP" -f m "$@" >/tmp/iperf.out 2>&1
  ! file_has 'Connection refused' /tmp/iperf.out
}

# iperf [ARGS...]: a client run; prints the receiver's line. Sets MBITS and,
# for UDP, LOSS in whole percent. Must not run in a subshell.
iperf() {
  local line
  MBITS=0 LOSS=100
  # A server closes its socket after each client, and may not listen again yet.
  wait_for 10 iperf_ran "$@" || { tail -n 2 /tmp/iperf.out; return 1; }
  line=$(grep receiver /tmp/iperf.out | tail -n 1)
  [[ $line =~ ([0-9]+)(\.[0-9]+)?\ Mbits/sec ]] && MBITS=${BASH_REMATCH[1]}
  [[ $line =~ \(([0-9]+)(\.[0-9]+)?(e[-+0-9]+)?%\) ]] && LOSS=${BASH_REMATCH[1]}
  echo "${line:-$(tail -n 2 /tmp/iperf.out)}"
  [[ -n $line ]]
}

# some_tcp [ARGS...]: a client run that moved something.
some_tcp() { iperf -t "${TCP_SECONDS:-3}" "$@" && ((MBITS > 0)); }

# --- Both ways, without end -----------------------------------------------------

# The addresses of both sides, so that no ARP is lost or delayed.
know_each_other() {
  ip neigh replace "$CONSUMER_IP" lladdr "$CONSUMER_MAC" nud permanent \
    dev "$TAP"
  ip -n consumer neigh replace "$TAP_IP" \
    lladdr "$(<"/sys/class/net/$TAP/address")" nud permanent dev "$CONSUMER"
}

# start_flows INTERVAL_US: numbered packets both ways, until stop_flows.
start_flows() {
  "${IN_CONSUMER[@]}" udp_flow recv --port 8001 --idle-ms 20000 \
    >/tmp/rx.got 2>/tmp/rx.err 3>&- &
  RX_RECEIVER=$!
  udp_flow recv --port 8002 --idle-ms 20000 >/tmp/tx.got 2>/tmp/tx.err 3>&- &
  TX_RECEIVER=$!
  wait_for 5 file_has listening /tmp/rx.err || die flow "no receiver"
  wait_for 5 file_has listening /tmp/tx.err || die flow "no receiver"
  udp_flow send --to "$CONSUMER_IP" --port 8001 --count 0 \
    --interval-usecs "$1" --size 300 >/tmp/rx.sent 2>&1 3>&- &
  RX_SENDER=$!
  "${IN_CONSUMER[@]}" udp_flow send --to "$TAP_IP" --port 8002 --count 0 \
    --interval-usecs "$1" --size 300 >/tmp/tx.sent 2>&1 3>&- &
  TX_SENDER=$!
}
stop_flows() {
  kill -TERM "$RX_SENDER" "$TX_SENDER"
  wait_for 5 gone "$RX_SENDER"
  wait_for 5 gone "$TX_SENDER"
  nap 0.5
  kill -TERM "$RX_RECEIVER" "$TX_RECEIVER"
}
# flow_went_on rx|tx LOSSES REPEATS: at most LOSSES packets are lost and REPEATS
# arrive twice; none overtakes another.
flow_went_on() {
  local receiver=$RX_RECEIVER sent received lost
  [[ $1 == rx ]] || receiver=$TX_RECEIVER
  wait_for 5 gone "$receiver" || { echo "the receiver hangs"; return 1; }
  sent=$(field sent "$(</tmp/"$1".sent)")
  received=$(field received "$(</tmp/"$1".got)")
  lost=$(field lost "$(</tmp/"$1".got)")
  echo "sent=$sent $(</tmp/"$1".got) allowed_lost=$2 allowed_repeats=$3"
  ((received > 0 && lost <= $2)) &&
    (($(field corrupt "$(</tmp/"$1".got)") == 0)) &&
    (($(field repeated "$(</tmp/"$1".got)") <= $3)) &&
    (($(field reordered "$(</tmp/"$1".got)") == 0))
}

# --- Doing nothing -----------------------------------------------------------

# Times that any thread of the device's processes gave up its processor, or
# lost it.
switches() {
  local pid task total=0 key value
  for pid in $(device_pids); do
    for task in /proc/"$pid"/task/*/status; do
      while read -r key value; do
        [[ $key != *ctxt_switches: ]] || total=$((total + value))
      done <"$task"
    done
  done
  echo "$total"
}
# What the consumer's and the TAP's stacks say of themselves is not idle.
quiet() {
  know_each_other
  nap 1
}
# idle: no thread of the device wakes up for IDLE_SECONDS.
idle() {
  local before
  quiet
  before=$(switches)
  nap "$IDLE_SECONDS"
  echo "wake-ups=$(($(switches) - before)) in $IDLE_SECONDS s"
  (($(switches) == before))
}
