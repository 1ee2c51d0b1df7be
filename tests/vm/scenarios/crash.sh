# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# SIGKILL under traffic and `ethtool -C`, again and again: a successor serves the
# device, traffic goes on, and no command of the host hangs. Gate lifted. VICTIM
# says who is killed:
#   device      the process that serves the device; every tenth time it is
#               stopped instead (SIGSTOP). The supervisor replaces it.
#   supervisor  The next program takes over from the process that serves the
#               device, and adopts the device.
#   any         one of the four processes, drawn at random each time
#   all         The next program adopts the device that it finds.

VICTIM=${VICTIM:-device}
KILLS=${KILLS:-50}
INTERVAL_US=2000  # between packets, each way
OUTAGE_US=0       # in which nobody held the TAP, all in all
ADOPT_PATTERN=${ADOPT_PATTERN:-adopt}

# The default, fq_codel, drops packets that wait for long.
echo pfifo_fast >/proc/sys/net/core/default_qdisc
start_device --attach
know_each_other
check ping wait_for 5 ping_once
ifindex() { ip -n consumer -o link show "$CONSUMER" | sed 's/:.*//'; }
ifindex_before=$(ifindex)

# --- Load -------------------------------------------------------------------

start_flows "$INTERVAL_US"
"${IN_CONSUMER[@]}" coalesce_storm --dev "$CONSUMER" --count 0 \
  --pause-usecs 2000 --limit-ms 1000 >/tmp/storm.out 2>&1 3>&- &
storm=$!

# Commands that take the rtnl lock or talk to the vDPA bus, each timed.
host_commands() {
  local start worst=0 worst_of=none runs=0 command
  while [[ ! -e /tmp/stop ]]; do
    for command in "ip link set lo up" "ip -n consumer link show" \
      "ip address show" "vdpa dev show"; do
      now; start=$NOW
      $command >/dev/null 2>&1
      now
      runs=$((runs + 1))
      if ((NOW - start > worst)); then
        worst=$((NOW - start)) worst_of=$command
      fi
    done
    nap 0.02
  done
  echo "runs=$runs worst_ms=$((worst / 1000)) ($worst_of)" >/tmp/host.out
}
host_commands 3>&- &
host=$!

# --- Kill and start again ---------------------------------------------------

kill_supervisor() {
  kill -KILL "$DEVICE_PID"
  wait "$DEVICE_PID" 2>/dev/null
}
# restart KILL: as a service manager does, as soon as the program is gone.
restart() {
  # shellcheck disable=SC2034  # for device_ready
  LOG_BASE=$(stat -c %s "$DEVICE_LOG")
  now; start=$NOW
  "$1"
  spawn_device --attach
  wait_for 5 device_ready ||
    { echo "round $round: not ready after 5 s"; return 1; }
  served_again
  logged "$ADOPT_PATTERN" ||
    { echo "round $round: the log has no '$ADOPT_PATTERN'"; return 1; }
}
# Another process is the child NAME than PID: other_is NAME PID.
other_is() { find_child "$1" && [[ $CHILD_PID != "$2" ]]; }
served_again() {
  now; READY_US=$((NOW - start))
  echo "$READY_US" >>/tmp/ready
}
# kill_child NAME: one that does not serve the device.
kill_child() {
  local victim
  find_child "$1" || { echo "round $round: no $1"; return 1; }
  victim=$CHILD_PID
  now; start=$NOW READY_US=0
  kill -KILL "$victim"
  wait_for 5 other_is "$1" "$victim" ||
    { echo "round $round: no other $1 after 5 s"; return 1; }
}
kill_any() {
  case $((RANDOM % 4)) in
    0) kill_server ;;
    1) restart kill_supervisor ;;
    2) kill_child stby ;;
    3) kill_child admin ;;
  esac
}
kill_server() {
  local victim signal=KILL
  victim=$(serving) || { echo "round $round: nobody serves"; return 1; }
  ((round % 10)) || signal=STOP
  now; start=$NOW
  kill "-$signal" "$victim"
  wait_for 5 other_is dev "$victim" ||
    { echo "round $round: nobody serves after 5 s"; return 1; }
  served_again
}
kills() {
  local round start recovery total=0 worst=0 ready_worst=0
  for ((round = 1; round <= KILLS; round++)); do
    nap "0.$(printf '%03d' $((40 + RANDOM % 120)))"
    case $VICTIM in
      device) kill_server ;;
      supervisor) restart kill_supervisor ;;
      any) kill_any ;;
      all) restart kill_device && OUTAGE_US=$((OUTAGE_US + READY_US)) ;;
    esac || return 1
    wait_for 5 ping_once ||
      { echo "round $round: no traffic 5 s after the start"; return 1; }
    now
    recovery=$((NOW - start))
    total=$((total + recovery))
    ((recovery > worst)) && worst=$recovery
    ((READY_US > ready_worst)) && ready_worst=$READY_US
    ((round % 10)) || progress "$round of $KILLS kills"
  done
  # From SIGKILL to the first answered ping, the program's start included.
  echo "kills=$KILLS recovery_ms mean=$(ms $((total / KILLS)))" \
    "worst=$(ms "$worst") worst_ready=$(ms "$ready_worst") served_again_ms" \
    "p50=$(percentile 50) p99=$(percentile 99)"
}
# percentile N of /tmp/ready, in ms.
percentile() {
  sort -n /tmp/ready | awk -v n="$1" '{ us[NR] = $1 }
    END { at = int(NR * n / 100 + 0.999); printf "%.1f", us[at] / 1000 }'
}
check kills kills

same_netdev() {
  echo "ifindex=$(ifindex) before=$ifindex_before"
  [[ $(ifindex) == "$ifindex_before" ]]
}
check same-netdev same_netdev

# --- What the load saw ------------------------------------------------------

touch /tmp/stop
kill -TERM "$storm"
host_in_time() {
  wait_for 5 gone "$host" || { echo "a host command still hangs"; return 1; }
  cat /tmp/host.out
  (($(field worst_ms "$(</tmp/host.out)") <= 1000))
}
check host-commands host_in_time
storm_in_time() {
  local status
  wait_for 5 gone "$storm" || { echo "ethtool -C still hangs"; return 1; }
  wait "$storm"
  status=$?
  cat /tmp/storm.out
  return "$status"
}
check ethtool-commands storm_in_time

stop_flows
# Nothing is lost, repeated or out of order, because the TAP stays open and the
# journal is inherited. If all are killed, there is no journal, and the kernel
# drops packets that reach the TAP while no process has it open: as many as are
# sent during the outages, plus one per crash.
lost=0 repeats=0
[[ $VICTIM == all ]] &&
  lost=$((OUTAGE_US / INTERVAL_US + KILLS)) repeats=$((4 * KILLS))
check flow-rx flow_went_on rx "$lost" 0
check flow-tx flow_went_on tx 0 "$repeats"

check ethtool-after timeout 5 "${IN_CONSUMER[@]}" \
  ethtool -C "$CONSUMER" rx-usecs 50 rx-frames 8
check frames-rx frame_check --from "$TAP" --to "$CONSUMER@consumer" \
  --count 5000
check frames-tx frame_check --from "$CONSUMER@consumer" --to "$TAP" \
  --count 5000
# The administration process killed while commands are under way, so the rtnl
# lock is held: the program goes on, with another one, and detaches at the end.
admin_is_new() {
  find_child admin && [[ $CHILD_PID != "$1" ]]
}
admin_killed() {
  local round admin status=0
  "${IN_CONSUMER[@]}" coalesce_storm --dev "$CONSUMER" --count 0 \
    --limit-ms 1000 >/tmp/storm2.out 2>&1 3>&- &
  storm=$!
  for ((round = 1; round <= 5; round++)); do
    find_child admin && admin=$CHILD_PID && kill -KILL "$admin" || { echo "round $round: no child"; return 1; }
    wait_for 3 admin_is_new "$admin" ||
      { echo "round $round: no new one after 3 s"; return 1; }
    gone "$DEVICE_PID" && { echo "round $round: the program ended"; return 1; }
    wait_for 2 ping_once || { echo "round $round: no traffic"; return 1; }
    # A child has none of the driver's memory, or that could never be freed.
    grep -q 'vduse-domain' "/proc/$(serving)/maps" ||
      { echo "round $round: the driver's memory is not mapped"; return 1; }
    ! grep -m 1 'vduse-domain' "/proc/$CHILD_PID/maps" ||
      { echo "round $round: the child has the driver's memory"; return 1; }
  done
  kill -TERM "$storm"
  wait_for 5 gone "$storm" || { echo "ethtool -C hangs"; return 1; }
  wait "$storm" || status=$?
  cat /tmp/storm2.out
  return "$status"
}
check admin-killed admin_killed

check stop stopped
# The first process created the TAP. It outlives all crashes, and the last
# process removes it.
tap_gone() { [[ ! -e /sys/class/net/$TAP ]]; }
check tap-removed tap_gone
