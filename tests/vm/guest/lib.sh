# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# What scenarios are made of. Sourced by /init; file descriptor 3 is the port
# that boot.sh reads. Waiting is always for a condition, with a deadline.
# Traffic and its interrupts are in traffic.sh, which this file sources.

NAME=${NAME:-vn0}
TAP=${TAP:-tap0}
TAP_IP=10.9.0.1
CONSUMER_IP=10.9.0.2
CONSUMER_MAC=02:00:5e:10:00:01
CONSUMER=          # the consumer's netdev, in the namespace "consumer"
DEVICE_PID=        # the running vduse-net: the supervisor
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
# over PID: it has ended, whether or not this shell has noticed yet.
over() {
  local stat
  read -ra stat 2>/dev/null <"/proc/$1/stat" || return 0
  [[ ${stat[2]} == Z ]]
}
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

# find_child NAME: sets CHILD_PID to the supervisor's child of that name. It is
# `dev` for the process that serves the device, `stby` for the standby, and
# `admin`.
find_child() {
  local pid children comm
  CHILD_PID=
  read -ra children <"/proc/$DEVICE_PID/task/$DEVICE_PID/children" 2>/dev/null
  for pid in "${children[@]}"; do
    read -r comm <"/proc/$pid/comm" 2>/dev/null || continue
    if [[ $comm == "vduse-net-$1" ]]; then CHILD_PID=$pid; return 0; fi
  done
  return 1
}
# serving: the pid of the process that serves the device.
serving() { find_child dev && echo "$CHILD_PID"; }
# device_pids: of all processes of the device.
device_pids() {
  local children
  read -r children <"/proc/$DEVICE_PID/task/$DEVICE_PID/children"
  echo "$DEVICE_PID $children"
}
# kill_device: by SIGKILL, all of its processes.
kill_device() {
  # shellcheck disable=SC2046  # several pids
  kill -KILL $(device_pids)
  wait "$DEVICE_PID" 2>/dev/null
}
# device_fds: the descriptors that all of them have open.
device_fds() {
  local pid dirs=()
  for pid in $(device_pids); do dirs+=("/proc/$pid/fd"); done
  find "${dirs[@]}" -type l | wc -l
}
# device_rss: KiB of memory of the process that serves the device.
device_rss() { awk '$1 == "VmRSS:" {print $2}' "/proc/$(serving)/status"; }

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
  [[ -z ${TRACE_RULES:-} ]] || say_rules
  flush_log
}

# --- Its counters ------------------------------------------------------------

# counter rx|tx NAME: of its first pair, now.
counter() {
  local before line
  before=$(reports)
  kill -USR1 "$DEVICE_PID"
  wait_for 5 reported_since "$before" || return 1
  line=$(grep "pair 0 $1:" "$DEVICE_LOG" | tail -n 1)
  [[ $line =~ \ $2\ ([0-9]+) ]] && echo "${BASH_REMATCH[1]}"
}
# By a line that follows those of the pairs.
reports() { grep -c 'dropped by the TAP:' "$DEVICE_LOG"; }
reported_since() { (($(reports) > $1)); }

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

# --- Which rules of the sandbox are used -----------------------------------------

# With TRACE_RULES=1 in the environment, every system call of the program is
# traced, and the log says at the end which rules they use.
trace_rules() {
  echo 1 >"$TRACING/options/record-tgid" &&
    echo 4096 >"$TRACING/saved_cmdlines_size" &&
    echo 16384 >"$TRACING/buffer_size_kb" &&
    echo 'comm ~ "vduse-net*" || comm ~ "vn-pair-*"' \
      >"$TRACING/events/raw_syscalls/sys_enter/filter" &&
    echo 1 >"$TRACING/events/raw_syscalls/sys_enter/enable" ||
    die trace-rules "the kernel does not trace system calls"
  mkfifo /tmp/trace
  unused_rules trace </tmp/trace >/tmp/rules 2>&1 3>&- 7>&- &
  TRACE_READER=$!
  cat "$TRACING/trace_pipe" >/tmp/trace 2>/dev/null 3>&- 7>&- &
  TRACE_CAT=$!
}
say_rules() {
  echo 0 >"$TRACING/events/raw_syscalls/sys_enter/enable"
  nap 0.5
  kill "$TRACE_CAT"
  wait_for 60 gone "$TRACE_READER" || fail trace-rules "the reader hangs"
  cat /tmp/rules >&3
}
[[ -z ${TRACE_RULES:-} ]] || trace_rules

# shellcheck source=tests/vm/guest/traffic.sh
. "${BASH_SOURCE[0]%/*}/traffic.sh"
