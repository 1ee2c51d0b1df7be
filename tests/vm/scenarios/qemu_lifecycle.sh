# shellcheck shell=bash disable=SC1091,SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
# Needs: userland
#
# Guests come and go under one running device: their driver leaves and returns,
# they reboot, QEMU is killed in the middle of traffic, one has memory that
# nobody can share. The next one works every time, and nothing piles up.
. /qemu.sh

REBINDS=${REBINDS:-100}
REBOOTS=${REBOOTS:-3}
KILLS=${KILLS:-20}
# How the device's log says that it cannot reach the rings.
NOT_SHARED_PATTERN=${NOT_SHARED_PATTERN:-'queue.* not started'}

# Taken while no guest is there: its memory would count.
# no_leak FDS RSS: not more than there were before, or hardly.
no_leak() {
  echo "fds=$(device_fds) before=$1 rss_kb=$(device_rss) before=$2"
  (($(device_fds) <= $1 + 2 && $(device_rss) <= $2 + 4096))
}

start_for_guest
fds_before=$(device_fds) rss_before=$(device_rss)
ip neighbour replace "$CONSUMER_IP" lladdr "$CONSUMER_MAC" dev "$TAP" \
  nud permanent

# Traffic to the guest never stops; each guest sends its own.
udp_flow send --to "$CONSUMER_IP" --port 8000 --count 0 \
  --interval-usecs 2000 --size 400 >/tmp/sender 2>&1 3>&- &
sender=$!
guest_sends() {
  guest_shell 1 "udp_flow send --to $TAP_IP --port 8000 --count 0 \
    --interval-usecs 2000 --size 400 >/dev/null 2>&1 &"
}
# guest_up: the guest, whose shell is there, has a working network.
guest_up() {
  guest_link_up || { echo "cannot set up $CONSUMER"; return 1; }
  wait_for 5 ping_once || { echo "no ping 5 s after link up"; return 1; }
  guest_sends
}

start_guest generic
progress "the guest's shell after $GUEST_BOOT_MS ms"
check first-guest guest_up

# --- The driver leaves and returns ------------------------------------------

check rebinds guest_rebinds "$REBINDS"

# --- The guest reboots ------------------------------------------------------

reboots() {
  local round start worst=0
  for ((round = 1; round <= REBOOTS; round++)); do
    now; start=$NOW
    echo 'reboot -f' >&22  # the second port; there is no answer
    guest_ready || { echo "round $round: no shell after 30 s"; return 1; }
    guest_up || { echo "round $round: no network"; return 1; }
    now; ((NOW - start > worst)) && worst=$((NOW - start))
  done
  echo "reboots=$REBOOTS worst_ms_until_ping=$(ms "$worst")"
}
check reboots reboots
stop_guest
check no-leak-one-guest no_leak "$fds_before" "$rss_before"

# --- QEMU is killed ---------------------------------------------------------

kills() {
  local round
  for ((round = 1; round <= KILLS; round++)); do
    start_guest generic
    guest_up || { echo "round $round: no network"; return 1; }
    nap "0.$(printf '%03d' $((50 + RANDOM % 200)))"
    kill_guest
    ((round % 5)) || progress "$round of $KILLS kills, fds=$(device_fds) rss=$(device_rss)"
  done
  echo "kills=$KILLS"
}
check kills kills
check no-leak-kills no_leak "$fds_before" "$rss_before"

# --- Memory that cannot be shared -------------------------------------------

not_shared() {
  # Its shell may be there or not, and its driver may wait for ever.
  if guest_ready; then
    echo "ip address replace $CONSUMER_IP/24 dev $CONSUMER; \
      ip link set $CONSUMER up" >&22
  fi
  wait_for 10 logged "$NOT_SHARED_PATTERN" ||
    { echo "the log has no '$NOT_SHARED_PATTERN'"; return 1; }
  ping_once && { echo "the network works all the same"; return 1; }
  gone "$DEVICE_PID" && { echo "the device is gone"; return 1; }
  log_since_start | grep -E "$NOT_SHARED_PATTERN" | tail -n 1
}
GUEST_SHARE=off launch_guest generic
check not-shared not_shared
kill_guest
start_guest generic
check next-guest guest_up
check ping ping -n -q -c 10 -i 0.05 -W 1 "$CONSUMER_IP"
stop_guest
check no-leak no_leak "$fds_before" "$rss_before"
kill -TERM "$sender"
wait "$sender"
check stop stopped
