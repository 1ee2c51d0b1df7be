# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# The process itself: who reads its log, what it was started with, signals,
# names, files that are given to it. Gate lifted.

# run_device REDIRECTION ARGS...: starts the device with other standard
# descriptors than usual, up to a working pair of interfaces.
run_device() {
  local redirect=$1
  shift
  eval "vduse-net run --name $NAME --tap $TAP --mac $CONSUMER_MAC --attach $* \
    3>&- 7>&- $redirect &"
  DEVICE_PID=$!
  take_netdev
  setup_tap
}
works() {
  wait_for 20 ping_once || { echo "no ping within 20 s"; return 1; }
  over "$DEVICE_PID" && { echo "the process has ended"; return 1; }
  timeout 30 vduse-net coalesce show dev "$NAME" >/tmp/shown 2>&1 ||
    { cat /tmp/shown; echo "operators are not answered"; return 1; }
}
# ended: SIGTERM ends all of it, whatever time that takes.
ended() {
  local status=0
  kill -TERM "$DEVICE_PID"
  wait_for 20 over "$DEVICE_PID" || { echo "still there after 20 s"; return 1; }
  wait "$DEVICE_PID" || status=$?
  DEVICE_PID=
  wait_for 10 no_trace || { echo "something is left behind"; return 1; }
  echo "status=$status"
  ((status == 0))
}
# made_to_log: makes the process say more than a pipe holds, under traffic.
made_to_log() {
  local i
  ping -n -q -c 50 -i 0.02 -W 1 "$CONSUMER_IP" >/tmp/ping.out 2>&1 3>&- &
  for ((i = 0; i < 60; i++)); do
    kill -USR1 "$DEVICE_PID" || { wait $!; return 1; }
    nap 0.01
  done
  wait $!
}

# --- The log ------------------------------------------------------------------

mkfifo /tmp/log
reader_gone() {
  head -n 1 </tmp/log >/tmp/first 3>&- &
  local reader=$!
  run_device '</dev/null >/dev/null 2>/tmp/log'
  wait_for 20 over "$reader" || { echo "the reader read nothing"; return 1; }
  made_to_log
  works && echo "after its reader ended: $(tail -n 2 /tmp/ping.out | head -n 1)"
}
check log-reader-gone reader_gone
check stop-after-it ended

# The pipe has been full from the start.
pipe_full() {
  exec 40<>/tmp/log
  head -c 65536 /dev/zero >&40
  run_device '</dev/null >/dev/null 2>&40 40>&-'
  made_to_log
  works && echo "with a full pipe: $(tail -n 2 /tmp/ping.out | head -n 1)"
}
# losses_said: the pipe is read, and the next line says what was lost.
losses_said() {
  timeout 1 cat <&40 >/dev/null
  kill -USR1 "$DEVICE_PID"
  timeout 1 cat <&40 >/tmp/after
  head -n 1 /tmp/after
  grep -qE '[1-9][0-9]* log lines lost' /tmp/after
}
check log-pipe-full pipe_full
check log-losses-said losses_said
check stop-with-full-pipe ended
exec 40>&-

disk_full() {
  run_device '</dev/null >/dev/full 2>/dev/full'
  made_to_log
  works
}
check log-disk-full disk_full
check stop-with-full-disk ended

# --- Standard descriptors -------------------------------------------------------

none_open() {
  local fd
  run_device '<&- >&- 2>&-'
  made_to_log
  for fd in 0 1 2; do
    [[ $(readlink "/proc/$DEVICE_PID/fd/$fd") == /dev/null ]] ||
      { ls -l "/proc/$DEVICE_PID/fd"; return 1; }
  done
  works
}
check descriptors-closed none_open
check stop-with-none ended

# --- Open files -------------------------------------------------------------------

soft_limit() {
  (
    ulimit -Sn 128
    exec vduse-net run --name "$NAME" --tap "$TAP" --mac "$CONSUMER_MAC" \
      --attach </dev/null >/tmp/limit 2>&1 3>&- 7>&-
  ) &
  DEVICE_PID=$!
  take_netdev
  setup_tap
  works && grep 'open files' "/proc/$DEVICE_PID/limits"
}
hard_limit() {
  (
    ulimit -n 128
    exec timeout 30 vduse-net run --name few --tap few >/tmp/few 2>&1
  )
  local status=$?
  cat /tmp/few
  ((status == 3)) && grep -q 'may open 128 files, and needs' /tmp/few &&
    [[ ! -e /sys/class/net/few && ! -e /run/vduse-net/few.state ]]
}
check files-soft-limit soft_limit
check files-hard-limit hard_limit

# --- Signals, while that device is there ------------------------------------------

# Those of a terminal's keyboard, which would stop it.
keyboard() {
  local ignored
  ignored=$(awk '$1 == "SigIgn:" {print $2}' "/proc/$DEVICE_PID/status")
  kill -TSTP "$DEVICE_PID" && kill -TTIN "$DEVICE_PID" &&
    kill -TTOU "$DEVICE_PID" || return 1
  echo "SigIgn=$ignored"
  (((0x$ignored & 0x380000) == 0x380000)) && works
}
check signals-keyboard keyboard

# Its TAP is in use: the administration process tries again for a while, and
# is stopped meanwhile.
child_of() {
  local stat
  CHILD=
  for stat in /proc/[0-9]*/stat; do
    read -ra stat <"$stat" 2>/dev/null || continue
    [[ ${stat[3]} != "$1" ]] || CHILD=${stat[0]}
  done
  [[ -n $CHILD ]]
}
ended_by() {
  local start second
  vduse-net run --name second --tap "$TAP" >/tmp/second 2>&1 3>&- 7>&- \
    </dev/null &
  second=$!
  wait_for 10 child_of "$second" || { echo "no child"; return 1; }
  nap 0.2
  kill -STOP "$CHILD" || { cat /tmp/second; return 1; }
  now; start=$NOW
  kill "-$1" "$second"
  wait_for 20 over "$second" || { kill -KILL "$second"; return 1; }
  now
  wait "$second"
  local status=$?
  kill -CONT "$CHILD"
  wait_for 20 over "$CHILD" || { echo "the child stays"; return 1; }
  echo "ms=$(ms $((NOW - start))) status=$status"
  ((status == 0)) && [[ ! -e /dev/vduse/second ]] && works
}
check signals-sigterm-at-start ended_by TERM
check signals-sigint-at-start ended_by INT

# --- Names ------------------------------------------------------------------------

names_refused() {
  local name status
  for name in '' . .. control ../../tmp/x a/b 'a b' -x \
    "$(printf 'n%.0s' {1..300})"; do
    timeout 30 vduse-net run "--name=$name" --tap few >/tmp/name 2>&1
    status=$?
    ((status == 2)) || { echo "'$name': status $status"; return 1; }
  done
  tail -n 1 /tmp/name
  [[ ! -e /tmp/x.state && ! -e /sys/class/net/few && -e /dev/vduse/control ]]
}
check names-refused names_refused

# Another program's device, which nobody serves.
orphan_refused() {
  local status
  vduse_orphan create orphan 2 2 || return 1
  timeout 30 vduse-net run --name orphan --tap few >/tmp/orphan 2>&1
  status=$?
  cat /tmp/orphan
  ((status == 1)) && grep -q 'not known to be a network device' /tmp/orphan &&
    [[ -e /dev/vduse/orphan && ! -e /sys/class/net/few ]] &&
    vduse_orphan destroy orphan
}
check orphan-refused orphan_refused

# --- Files ------------------------------------------------------------------------

not_restored() {
  local status
  timeout 30 vduse-net run --name second --tap few --restore "$1" \
    >/tmp/restore 2>&1
  status=$?
  tail -n 1 /tmp/restore
  ((status == 1)) && grep -q "$2" /tmp/restore
}
check restore-fifo not_restored /tmp/log 'is not a regular file'
{
  head -c 500000 /dev/zero | tr '\0' '['
  head -c 500000 /dev/zero | tr '\0' ']'
} >/tmp/deep
check restore-deep not_restored /tmp/deep 'nested too deep'

save_spares_others() {
  timeout 10 vdpa dev del "$NAME" || return 1
  echo "somebody's" >/tmp/saved.tmp
  vduse-net state save /tmp/saved --name "$NAME" || return 1
  [[ $(</tmp/saved.tmp) == "somebody's" && -s /tmp/saved ]] || return 1
  vduse-net state save /tmp/log --name "$NAME" &&
    { echo "a FIFO was replaced"; return 1; }
  [[ -p /tmp/log ]]
}
check state-save-spares-others save_spares_others

# --- A successor without its predecessor's state ------------------------------------

# The kernel says that it is a network device.
attach_device
take_netdev
state_lost() {
  kill_device
  rm "/run/vduse-net/$NAME.state"
  eval "vduse-net run --name $NAME --tap $TAP --mac $CONSUMER_MAC --attach \
    </dev/null >/tmp/limit 2>&1 3>&- 7>&- &"
  DEVICE_PID=$!
  works && grep -o 'adopting it' /tmp/limit
}
check state-lost state_lost
check stop ended
