# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# What scenarios are made of. Sourced by /init; file descriptor 3 is the port
# that boot.sh reads. Waiting is always for a condition, with a deadline.

NAME=${NAME:-vn0}
TAP=${TAP:-tap0}
TAP_IP=10.9.0.1
CONSUMER_IP=10.9.0.2
CONSUMER_MAC=02:00:5e:10:00:01
CONSUMER=          # the consumer's netdev, in the namespace "consumer"
DEVICE_PID=        # the running vduse-net
DEVICE_LOG=/tmp/$NAME.log
LOG_BASE=0         # size of the log when the device was last started
PORTS=9000         # next UDP or TCP port for a flow
TRACING=/sys/kernel/tracing

# --- Results ---------------------------------------------------------------

say() { printf '%s\n' "$*" >&3; }
progress() { say "PROGRESS $*"; }
pass() { say "CHECK ok $1: ${*:2}"; }
fail() { say "CHECK FAIL $1: ${*:2}"; }
# die NAME WHY: a failure after which going on makes no sense.
die() {
  fail "$@"
  say "--- ip link, consumer's ip link, blocked tasks"
  timeout 5 ip -d link >&3 2>&3
  timeout 5 ip -n consumer -s link >&3 2>&3
  echo w >/proc/sysrq-trigger
  flush_log
  exit 1
}

# check NAME COMMAND...: one result line from a command's status and the last
# line it printed; the rest of the output goes to the log.
check() {
  local name=$1 figures status
  shift
  "$@" >/tmp/check.out 2>&1 </dev/null
  status=$?
  figures=$(tail -n 1 /tmp/check.out)
  if ((status == 0)); then
    pass "$name" "$figures"
  else
    fail "$name" "status $status: $figures"
    cat /tmp/check.out >&3
  fi
  return "$status"
}

# --- Time ------------------------------------------------------------------

# Sets NOW to microseconds; takes no fork.
now() { NOW=${EPOCHREALTIME/./}; }

mkfifo /tmp/never
exec 7<>/tmp/never
# nap SECONDS: sleeps without starting a program.
nap() { read -r -t "$1" -u 7 _ || true; }

# wait_for SECONDS COMMAND...: polls until the command succeeds.
wait_for() {
  local seconds=$1 deadline
  shift
  now
  deadline=$((NOW + seconds * 1000000))
  until "$@"; do
    now
    ((NOW < deadline)) || return 1
    nap 0.02
  done
}

gone() { ! kill -0 "$1" 2>/dev/null; }
file_has() { [[ $(<"$2") == *"$1"* ]]; }

# field NAME TEXT: the number after NAME= in a tool's output.
field() {
  [[ " $2" =~ [[:space:]]$1=([0-9]+) ]] || { echo 0; return 1; }
  echo "${BASH_REMATCH[1]}"
}

# ms MICROSECONDS: for messages.
ms() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }

# --- The consumer's namespace ----------------------------------------------

ip netns add consumer
ip -n consumer link set lo up
# c COMMAND...: in the consumer's network namespace. In the background use the
# array instead: then $! is the command itself, not a shell around it.
IN_CONSUMER=(ip netns exec consumer)
c() { "${IN_CONSUMER[@]}" "$@"; }

# --- The device ------------------------------------------------------------

# Shows the device's log as it grows, so that a hung VM has shown it too.
mirror_log() {
  local line='' part
  exec 5<"$DEVICE_LOG"
  while :; do
    while IFS= read -r part <&5; do
      printf '%s| %s\n' "$NAME" "$line$part" >&3
      line=
    done
    line+=$part
    [[ ! -e /tmp/flush ]] || { rm /tmp/flush; exit 0; }
    nap 0.2
  done
}
flush_log() {
  if [[ -e $DEVICE_LOG ]]; then
    touch /tmp/flush
    wait_for 5 test ! -e /tmp/flush
  fi
}

# log_since_start: what the device logged since start_device.
log_since_start() { tail -c +$((LOG_BASE + 1)) "$DEVICE_LOG"; }
logged() { log_since_start | grep -qE "$1"; }
device_ready() { logged '\bready\b' || gone "$DEVICE_PID"; }

# spawn_device [ARGS...]: runs the program, and nothing else: where it is
# needed at once, no fork comes first.
spawn_device() {
  vduse-net run --name "$NAME" --tap "$TAP" --mac "$CONSUMER_MAC" "$@" \
    >>"$DEVICE_LOG" 2>&1 3>&- 7>&- </dev/null &
  DEVICE_PID=$!
}

# launch_device [ARGS...]: runs the program until it says that it is ready.
launch_device() {
  command -v vduse-net >/dev/null ||
    die device "vduse-net is not in the image: build it first"
  if [[ ! -e $DEVICE_LOG ]]; then
    : >"$DEVICE_LOG"
    mirror_log &
  fi
  LOG_BASE=$(stat -c %s "$DEVICE_LOG")
  now
  local start=$NOW
  spawn_device "$@"
  wait_for 10 device_ready ||
    die device "not ready after 10 s, see its log"
  gone "$DEVICE_PID" && die device "ended instead of getting ready, see its log"
  now
  READY_US=$((NOW - start))
}

# The consumer's netdev while it is still in this namespace.
find_netdev() {
  local path
  for path in "/sys/bus/vdpa/devices/$NAME"/virtio*/net/*; do
    if [[ -e $path ]]; then CONSUMER=${path##*/}; return 0; fi
  done
  return 1
}

# take_netdev: waits for the consumer's netdev, moves it and brings it up.
take_netdev() {
  wait_for 10 find_netdev ||
    die netdev "no netdev of $NAME 10 s after it was attached"
  ip link set "$CONSUMER" netns consumer &&
    ip -n consumer address add "$CONSUMER_IP/24" dev "$CONSUMER" &&
    ip -n consumer link set "$CONSUMER" up ||
    die netdev "cannot set up $CONSUMER in the namespace consumer"
}

setup_tap() {
  ip address replace "$TAP_IP/24" dev "$TAP" && ip link set "$TAP" up ||
    die tap "cannot set up $TAP"
}

# attach_device: as an operator would, with iproute2.
attach_device() {
  timeout 35 vdpa dev add name "$NAME" mgmtdev vduse ||
    die attach "'vdpa dev add name $NAME mgmtdev vduse' failed or took 35 s"
}

# start_device [ARGS...]: up to a working pair of interfaces. Attaches with
# iproute2 unless --attach is among the arguments.
start_device() {
  launch_device "$@"
  [[ " $* " == *" --attach "* ]] || attach_device
  setup_tap
  take_netdev
}

# Nothing of the device is left in the system.
no_trace() {
  [[ ! -e /dev/vduse/$NAME && ! -e /sys/bus/vdpa/devices/$NAME ]] &&
    [[ ! -e /sys/class/net/$CONSUMER ]] &&
    ! ip -n consumer link show "${CONSUMER:-none}" >/dev/null 2>&1
}

# stop_device: SIGTERM; everything must be gone within STOP_SECONDS: on emulated
# CPUs, of which others of this machine may take half, three are one elsewhere.
# Sets STOP_US; on failure STOP_WHY.
STOP_SECONDS=3
stop_device() {
  local start status=0
  STOP_WHY=
  now
  start=$NOW
  kill -TERM "$DEVICE_PID"
  wait_for "$STOP_SECONDS" gone "$DEVICE_PID" ||
    STOP_WHY="still running after $STOP_SECONDS s"
  if [[ -z $STOP_WHY ]] && ! wait_for 1 no_trace; then
    STOP_WHY="left behind: $(echo /dev/vduse/"$NAME"* \
      "/sys/bus/vdpa/devices/$NAME"*)"
  fi
  now
  STOP_US=$((NOW - start))
  if ! gone "$DEVICE_PID"; then
    wait_for 10 gone "$DEVICE_PID" || kill -KILL "$DEVICE_PID"
  fi
  wait "$DEVICE_PID" || status=$?
  ((status == 0)) || STOP_WHY+=" exit status $status"
  ((STOP_US <= STOP_SECONDS * 1000000)) || STOP_WHY+=" took $(ms "$STOP_US") ms"
  DEVICE_PID=
  [[ -z $STOP_WHY ]]
}

# stopped: stop_device as a check.
stopped() {
  stop_device
  echo "ms=$(ms "$STOP_US") $STOP_WHY"
  [[ -z $STOP_WHY ]]
}

end_of_scenario() {
  if [[ -n $DEVICE_PID ]] && ! stop_device; then
    fail stop "$STOP_WHY"
  fi
  flush_log
}

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

# --- Doing nothing -----------------------------------------------------------

# Times that any thread of the device gave up its processor, or lost it.
switches() {
  local task total=0 key value
  for task in /proc/"$DEVICE_PID"/task/*/status; do
    while read -r key value; do
      [[ $key != *ctxt_switches: ]] || total=$((total + value))
    done <"$task"
  done
  echo "$total"
}
# What the consumer's and the TAP's stacks say of themselves is not idle.
quiet() {
  ip neigh replace "$CONSUMER_IP" lladdr "$CONSUMER_MAC" nud permanent \
    dev "$TAP"
  ip -n consumer neigh replace "$TAP_IP" \
    lladdr "$(<"/sys/class/net/$TAP/address")" nud permanent dev "$CONSUMER"
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

# --- The operator's coalescing ------------------------------------------------

show() { vduse-net coalesce show dev "$NAME"; }
set_to() { vduse-net coalesce set dev "$NAME" "$@" 2>&1; }
# shows TEXT: is among what is shown.
shows() {
  show >/tmp/shown 2>&1 || { cat /tmp/shown; return 1; }
  grep -m 1 -e "$1" /tmp/shown || { cat /tmp/shown; return 1; }
}
# of_queue rx|tx LINE WORD: the number behind a word, in a queue's line.
of_queue() {
  show | awk -v queue="  $1 queue" -v line="    $2" -v word="$3" '
    /^  [rt]x queue/ { mine = index($0, queue) == 1 }
    mine && index($0, line) == 1 {
      for (i = 1; i < NF; i++) if ($i == word) { print $(i + 1); exit }
    }'
}
# near WHAT VALUE WANTED PERCENT
near() {
  echo "$1=$2 wanted=$3 +-$4 %"
  (($2 * 100 >= $3 * (100 - $4) && $2 * 100 <= $3 * (100 + $4)))
}

# --- ethtool -----------------------------------------------------------------

# The device offers no coalescing commands, and the consumer's ethtool says so.
ethtool_refused() {
  local text status=0
  text=$(c ethtool -C "$CONSUMER" rx-usecs 100 2>&1) || status=$?
  echo "status=$status ${text##*$'\n'}"
  ((status != 0)) && [[ $text == *"Operation not supported"* ]]
}
