# shellcheck shell=bash disable=SC1091,SC2015,SC2016,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
# Needs: migration
#
# A guest moves between two QEMUs on this host and back, under traffic: two
# devices with the same MAC address, whose TAPs are in one bridge. QEMU shadows
# the device's queues while it migrates, for which the device may not offer more
# than the profile has.
. /qemu.sh

ROUNDS=${ROUNDS:-1}           # each to and fro
QEMU_SERIES=${QEMU_SERIES:-11}
INTERVAL_US=${INTERVAL_US:-5000}
LIMIT_MS=${LIMIT_MS:-3000}    # of downtime, as QEMU counts it
PROFILE=(--profile qemu-migrate)
LOST_A_MOVE=20                # packets of the guest, at most: see udp_up
case $QEMU_SERIES in
  11) GUEST_QEMU=/newer/bin/qemu-system-x86_64 ;;
  10) PROFILE+=(--without INDIRECT_DESC) ;;
  *) die qemu "no QEMU '$QEMU_SERIES'" ;;
esac
GUEST_NIC=,mac=$CONSUMER_MAC
DEVICE_PIDS=() GUEST_PIDS=(0 0)

# --- Two of everything ------------------------------------------------------

# device INDEX: from here on the device's functions are for that one.
device() {
  NAME=vn$1 TAP=tap$1 DEVICE_LOG=/tmp/vn$1.log VHOST=/dev/vhost-vdpa-$1
  DEVICE_PID=${DEVICE_PIDS[$1]:-}
}
for module in llc stp bridge; do
  insmod "/lib/modules/$module.ko" || die bridge "no $module"
done
ip link add br0 type bridge && ip address add "$TAP_IP/24" dev br0 &&
  ip link set br0 up || die bridge "no bridge"
for index in 0 1; do
  device "$index"
  launch_device "${PROFILE[@]}"
  DEVICE_PIDS[index]=$DEVICE_PID
  attach_device
  ip link set "$TAP" master br0 up || die tap "cannot set up $TAP"
  wait_for 5 test -c "$VHOST" || die vhost "no $VHOST after 5 s"
done

# migration: what QEMU says of it.
migration() { monitor 'info migrate' | tr -d '\r'; }
migration_over() {
  migration >/tmp/migration
  grep -qiE 'completed|failed|cancelled' /tmp/migration
}

# migrate_to INDEX: from where the guest is, to a new QEMU on that device.
# Sets DOWNTIME_MS.
migrate_to() {
  local to=$1 from=$((1 - $1)) socket=/tmp/migration.socket
  rm -f "$socket"
  device "$to"
  GUEST_DIR=/tmp/qemu$to
  launch_guest netdev -incoming "unix:$socket"
  GUEST_PIDS[to]=$GUEST_PID
  wait_for 10 test -S "$socket" ||
    { echo "no target: $(<"$GUEST_DIR/qemu.log")"; return 1; }
  use_guest "/tmp/qemu$from"
  monitor "migrate -d unix:$socket" >/tmp/migrate.said
  grep -i error /tmp/migrate.said && return 1
  wait_for 60 migration_over || { echo "not over in 60 s"; return 1; }
  cat /tmp/migration
  grep -qi completed /tmp/migration || return 1
  DOWNTIME_MS=$(grep -oiE 'down(time)?[:=] *[0-9]+' /tmp/migration |
    grep -oE '[0-9]+$' | head -n 1)
  kill -TERM "${GUEST_PIDS[from]}"
  wait_for 10 gone "${GUEST_PIDS[from]}" ||
    { echo "the source does not end"; return 1; }
  GUEST_PID=${GUEST_PIDS[to]}
  gone "$GUEST_PID" && { echo "the target ended"; return 1; }
  use_guest "/tmp/qemu$to"
  wait_for 10 ping_once || { echo "no ping"; return 1; }
}

# --- Traffic ----------------------------------------------------------------

start_traffic() {
  udp_flow recv --port 9001 --idle-ms 8000 >/tmp/up.received 2>&1 &
  UP_PID=$!
  guest_shell 1 "udp_flow recv --port 9002 --idle-ms 8000 \
    >/tmp/down.received 2>&1 &"
  wait_for 5 file_has listening /tmp/up.received ||
    die flow "$(</tmp/up.received)"
  guest_shell 1 "udp_flow send --to $TAP_IP --port 9001 --count 0 \
    --interval-usecs $INTERVAL_US >/tmp/up.sent 2>&1 & echo \$! >/tmp/up.pid"
  udp_flow send --to "$CONSUMER_IP" --port 9002 --count 0 \
    --interval-usecs "$INTERVAL_US" >/tmp/down.sent 2>&1 &
  DOWN_PID=$!
  iperf3 -c "$CONSUMER_IP" -t 3600 -b 2M -f m >/tmp/tcp 2>&1 &
  TCP_PID=$!
  ping -n -i 0.05 "$CONSUMER_IP" >/tmp/pings 2>&1 &
  PING_PID=$!
}
stop_traffic() {
  kill -INT "$TCP_PID" "$PING_PID"
  kill -TERM "$DOWN_PID"
  guest_shell 1 'kill -TERM $(cat /tmp/up.pid)'
  wait_for 15 gone "$UP_PID"
  guest_shell 1 \
    'until grep -q received= /tmp/down.received; do usleep 100000; done'
  wait "$DOWN_PID" "$PING_PID" "$TCP_PID"
}

device 0
GUEST_DIR=/tmp/qemu0
start_guest netdev
GUEST_PIDS[0]=$GUEST_PID
iperf_server
guest_link_up
check ping wait_for 10 ping_once
start_traffic
nap 1

moves=0 worst_ms=0
move_all() {
  local round to
  for ((round = 1; round <= ROUNDS; round++)); do
    for to in 1 0; do
      migrate_to "$to" || { echo "move $((moves + 1)) failed"; return 1; }
      moves=$((moves + 1))
      ((DOWNTIME_MS <= worst_ms)) || worst_ms=$DOWNTIME_MS
      progress "move $moves of $((2 * ROUNDS)): downtime $DOWNTIME_MS ms"
    done
  done
  echo "moves=$moves worst_downtime_ms=$worst_ms"
  ((worst_ms <= LIMIT_MS))
}
check migrated move_all || die migrated "the guest is lost"
nap 4
stop_traffic

# What the guest sends waits in its rings while it is down. A packet for which
# the guest kicks between the stop and the next start of the device, however, is
# taken by QEMU itself, and discarded, because its vhost-vdpa backend has
# nowhere to send it. How many these are depends on how long QEMU takes.
udp_up() {
  local text
  text=$(tail -n 1 /tmp/up.received)
  echo "$text bound=$((LOST_A_MOVE * moves)); $(guest_shell 1 'cat /tmp/up.sent')"
  (($(field received "$text") > 100 * moves &&
    $(field lost "$text") <= LOST_A_MOVE * moves))
}
check udp-from-guest udp_up
# The device loses none: each packet that it has taken has left its TAP.
all_sent() {
  local index dropped reason
  for index in 0 1; do
    device "$index"
    wait_for 5 taken_is_sent ||
      { echo "$NAME: taken=$taken sent=$sent"; return 1; }
    echo "$NAME: taken=$taken sent=$sent"
    for reason in bad-chain bad-header bad-length port-drops refused; do
      dropped=$(counter tx "$reason")
      ((dropped == 0)) || { echo "$reason=$dropped"; return 1; }
    done
  done
}
taken_is_sent() {
  taken=$(counter tx packets) || return 1
  sent=$(<"/sys/class/net/$TAP/statistics/rx_packets")
  ((taken > 100 && taken == sent))
}
check all-sent all_sent
# Packets sent to the guest during a move reach the source, where the guest no
# longer runs, and are lost. How many depends on how long the move takes on this
# machine.
udp_down() {
  local text received lost
  text=$(guest_shell 1 'tail -n 1 /tmp/down.received') || return 1
  echo "$text"
  received=$(field received "$text") lost=$(field lost "$text")
  ((received > 100 * moves && lost * 3 <= received))
}
check udp-to-guest udp_down
# Bytes arrive in at least one of the last four intervals, although the flow may
# pause during a move. When iperf3 is interrupted, the last interval is shorter
# than a second.
tcp_goes_on() {
  grep sender /tmp/tcp
  ! grep -vi interrupt /tmp/tcp | grep -i error &&
    awk '$4 == "sec" && !/sender|receiver/ { last[n++ % 4] = $5; idle += $5 == 0 }
      END { print "seconds=" n " without=" idle + 0
            exit !(last[0] + last[1] + last[2] + last[3] > 0) }' \
      /tmp/tcp
}
check tcp tcp_goes_on
pings_answered() {
  local line
  line=$(grep 'packets transmitted' /tmp/pings)
  echo "$line"
  [[ -n $line && $line != *" 0 received"* ]]
}
check pings pings_answered
guest_sound >/tmp/sound || fail guest-kernel "$(</tmp/sound)"
check iperf-tcp-rx some_tcp
check iperf-tcp-tx some_tcp -R
stop_guest
for index in 0 1; do
  device "$index"
  check "stop-$NAME" stopped
done
