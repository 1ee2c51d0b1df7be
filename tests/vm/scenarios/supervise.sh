# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# What the supervisor does about its children: one is stopped, frozen, killed,
# computes without end, or crashes again and again. The host's commands must go
# on, and so must the traffic. Gate lifted. SIGKILL under load: crash.sh.

IDLE_SECONDS=${IDLE_SECONDS:-10}
LIMIT_MS=1000  # for a command of the host

start_device --attach
check ping wait_for 5 ping_once

roles() {
  local role pids=()
  wait_for 5 find_child stby || { echo "no standby"; return 1; }
  for role in dev stby admin; do
    find_child "$role" || { echo "no process '$role'"; return 1; }
    pids+=("$role=$CHILD_PID")
  done
  echo "supervisor=$DEVICE_PID ${pids[*]}"
}
check roles roles

# status FIELD PID: of the process and of each of its threads; one line if all
# have the same value.
status() {
  awk -v field="$1:" '$1 == field { print $2 }' /proc/"$2"/task/*/status |
    sort -u
}
no_rights() {
  local dev
  dev=$(serving) || return 1
  echo "CapEff=$(status CapEff "$dev") CapBnd=$(status CapBnd "$dev")" \
    "NoNewPrivs=$(status NoNewPrivs "$dev") Seccomp=$(status Seccomp "$dev")" \
    "Uid=$(status Uid "$dev")"
  [[ $(status CapEff "$dev") == 0000000000000000 ]] &&
    [[ $(status CapBnd "$dev") == 0000000000000000 ]] &&
    [[ $(status NoNewPrivs "$dev") == 1 && $(status Seccomp "$dev") == 2 ]] &&
    [[ $(status Uid "$dev") != 0 ]]
}
check no-rights no_rights
# CAP_NET_ADMIN, CAP_NET_BROADCAST, CAP_SYS_ADMIN.
few_rights() {
  find_child admin || return 1
  echo "CapEff=$(status CapEff "$CHILD_PID")" \
    "Seccomp=$(status Seccomp "$CHILD_PID")"
  (($((16#$(status CapEff "$CHILD_PID"))) == (1 << 12 | 1 << 11 | 1 << 21))) &&
    [[ $(status Seccomp "$CHILD_PID") == 2 ]]
}
check few-rights few_rights
# The operator's view of the same.
shown_rights() {
  local text
  text=$(vduse-net show --processes "$NAME") || { echo "$text"; return 1; }
  echo "${text//$'\n'/; }"
  find_child admin || return 1
  grep -q "^  supervisor $DEVICE_PID: " <<<"$text" &&
    grep -q "^  device $(serving): .*no capabilities.*filtered" <<<"$text" &&
    grep -q "^  standby .*no capabilities.*filtered" <<<"$text" &&
    grep -q "^  administration $CHILD_PID: .*capabilities net_broadcast net_admin sys_admin" <<<"$text"
}
check shown-rights shown_rights

# The supervisor, too, sleeps while there is nothing to do.
check idle idle

# PSS: the memory that is shared counts once.
memory() {
  local pid total=0 kib
  for pid in $(device_pids); do
    kib=$(awk '$1 == "Pss:" {print $2}' "/proc/$pid/smaps_rollup")
    total=$((total + kib))
  done
  echo "pss_kib=$total"
}
check memory memory

# in_time NAME COMMAND...: succeeds within LIMIT_MS. Sets TOOK_MS.
in_time() {
  local start
  now; start=$NOW
  timeout 10 "${@:2}" >/tmp/in_time.out 2>&1 ||
    { cat /tmp/in_time.out; echo "$1 failed"; return 1; }
  now
  TOOK_MS=$(((NOW - start) / 1000))
  ((TOOK_MS <= LIMIT_MS)) || { echo "$1 took $TOOK_MS ms"; return 1; }
}
# host_goes_on: commands that take the rtnl lock, and one that the device
# answers.
host_goes_on() {
  local ethtool
  in_time "ethtool -C" "${IN_CONSUMER[@]}" \
    ethtool -C "$CONSUMER" rx-usecs "$((RANDOM % 200 + 1))" || return 1
  ethtool=$TOOK_MS
  in_time "making an interface" ip tuntap add other0 mode tap || return 1
  in_time "deleting it" ip tuntap del other0 mode tap || return 1
  wait_for 2 ping_once || { echo "no traffic"; return 1; }
  echo "ethtool_ms=$ethtool"
}

# --- Stopped ------------------------------------------------------------------

# stopped_child ROLE: by SIGSTOP; another takes its place if it is needed.
stopped_child() {
  local status=0
  find_child "$1" || return 1
  local victim=$CHILD_PID
  kill -STOP "$victim"
  host_goes_on || status=1
  kill -CONT "$victim" 2>/dev/null
  return "$status"
}
check device-stopped stopped_child dev
check device-is-new wait_for 2 find_child dev
check admin-stopped stopped_child admin
# A standby that is stopped is found when it is needed.
standby_stopped() {
  wait_for 5 find_child stby || { echo "no standby"; return 1; }
  kill -STOP "$CHILD_PID"
  kill -KILL "$(serving)"
  host_goes_on
}
check standby-stopped standby_stopped
supervisor_stopped() {
  local status=0
  kill -STOP "$DEVICE_PID"
  host_goes_on || status=1
  kill -CONT "$DEVICE_PID"
  return "$status"
}
check supervisor-stopped supervisor_stopped

frozen() {
  local group=/sys/fs/cgroup/frozen victim
  mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup ||
    { echo "no cgroup2"; return 1; }
  mkdir "$group" || return 1
  victim=$(serving)
  echo "$victim" >"$group/cgroup.procs" || return 1
  echo 1 >"$group/cgroup.freeze"
  host_goes_on && wait_for 5 test ! -e "/proc/$victim"
}
check device-frozen frozen

# --- In an endless loop ---------------------------------------------------------

# loops THREAD: a thread of the device process computes without end. The
# control thread waits for a worker, so either may be the one that is noticed.
loops() {
  local victim
  wait_for 5 find_child stby || { echo "no standby"; return 1; }
  victim=$(serving)
  LOG_BASE=$(stat -c %s "$DEVICE_LOG")
  endless_loop "$victim" "$1" || return 1
  host_goes_on || return 1
  wait_for 2 test ! -e "/proc/$victim" ||
    { echo "process $victim is still there"; return 1; }
  wait_for 2 logged "process $victim hangs: .*$2" ||
    { echo "the log does not say that it hangs"; return 1; }
  host_goes_on
}
# The fifth failure within 10 s would bring a caretaker.
nap 10
check control-thread-loops loops vduse-net-dev 'control thread'
check worker-loops loops vn-pair-0 '(worker of pair 0|control thread)'

# --- Killed -------------------------------------------------------------------

both_killed() {
  local device
  wait_for 5 find_child stby || { echo "no standby"; return 1; }
  device=$(serving)
  kill -KILL "$CHILD_PID" "$device"
  host_goes_on
}
check device-and-standby-killed both_killed
other_standby() { find_child stby && [[ $CHILD_PID != "$1" ]]; }
standby_killed() {
  wait_for 5 find_child stby || { echo "no standby"; return 1; }
  local victim=$CHILD_PID
  kill -KILL "$victim"
  wait_for 5 other_standby "$victim" && echo "$victim -> $CHILD_PID"
}
check standby-killed standby_killed

# Nobody starts the program again: the device is served all the same.
supervisor_killed() {
  local orphan
  orphan=$(serving)
  kill -KILL "$DEVICE_PID"
  wait "$DEVICE_PID" 2>/dev/null
  host_goes_on || return 1
  over "$orphan" && { echo "process $orphan has ended"; return 1; }
  LOG_BASE=$(stat -c %s "$DEVICE_LOG")
  spawn_device --attach
  wait_for 5 device_ready || { echo "not ready after 5 s"; return 1; }
  over "$orphan" || { echo "process $orphan stays"; return 1; }
  host_goes_on
}
check supervisor-killed supervisor_killed
# The process that goes on alone hangs, too: the next program kills it.
orphan_hangs() {
  local orphan start
  orphan=$(serving)
  kill -KILL "$DEVICE_PID"
  wait "$DEVICE_PID" 2>/dev/null
  wait_for 2 logged "process $orphan goes on serving" ||
    { echo "process $orphan does not go on"; return 1; }
  kill -STOP "$orphan"
  LOG_BASE=$(stat -c %s "$DEVICE_LOG")
  now; start=$NOW
  spawn_device --attach
  wait_for 5 device_ready || { echo "not ready after 5 s"; return 1; }
  now
  logged "process $orphan serves the device without a supervisor and hangs" ||
    { echo "the log does not say so"; return 1; }
  wait_for 2 over "$orphan" || { echo "process $orphan stays"; return 1; }
  echo "ready_ms=$(((NOW - start) / 1000))"
  host_goes_on
}
check orphan-hangs orphan_hangs

# --- A process that crashes again and again --------------------------------------

caretaker_comes() {
  local round victim start
  now; start=$NOW
  for ((round = 1; round <= 5; round++)); do
    wait_for 5 find_child dev || { echo "round $round: nobody"; return 1; }
    victim=$CHILD_PID
    kill -SEGV "$victim"
    wait_for 5 test ! -e "/proc/$victim" ||
      { echo "round $round: it stays"; return 1; }
  done
  wait_for 5 logged 'a caretaker answers' || return 1
  wait_for 5 find_child dev || { echo "no caretaker"; return 1; }
  now
  echo "five crashes and the caretaker: $(ms $((NOW - start))) ms"
}
check caretaker-comes caretaker_comes
link_is_down() {
  ip -n consumer link show "$CONSUMER" | grep -m 1 'NO-CARRIER'
}
check caretaker-link wait_for 2 link_is_down
# Each command is refused, and at once.
refused() {
  local start text
  now; start=$NOW
  text=$(timeout 10 "${IN_CONSUMER[@]}" \
    ethtool -C "$CONSUMER" rx-usecs 77 2>&1) && { echo "it succeeded"; return 1; }
  now
  echo "ms=$(((NOW - start) / 1000)) ${text##*$'\n'}"
  ((NOW - start < LIMIT_MS * 1000)) && [[ $text == *"Invalid argument"* ]]
}
check caretaker-refuses refused
check caretaker-host in_time "making an interface" \
  ip tuntap add other1 mode tap
check caretaker-del in_time "vdpa dev del" vdpa dev del "$NAME"
# The driver is gone, and so the device is served as before.
wait_for 5 logged 'and with it the caretaker' ||
  fail caretaker-ends "the log does not say so"
attach_device
take_netdev
setup_tap
check ping-again wait_for 5 ping_once
check ethtool-again host_goes_on
check stop stopped
