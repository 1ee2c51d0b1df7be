# shellcheck shell=bash disable=SC2015,SC2034,SC2120,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# A process is killed, and the next one finds what is there: which interface the
# TAP was, whether it can be had, whose state file it is. Gate lifted.

STATE=/run/vduse-net/$NAME.state

carrier_is() {
  [[ $(c cat "/sys/class/net/$CONSUMER/carrier" 2>/dev/null) == "$1" ]]
}
# adopted [ARGS...]: another process serves the device.
adopted() {
  LOG_BASE=$(stat -c %s "$DEVICE_LOG")
  spawn_device --attach "$@"
  wait_for 15 device_ready || { echo "not ready after 15 s"; return 1; }
  gone "$DEVICE_PID" && { log_since_start; return 1; }
  logged 'adopting it' || { echo "made anew"; return 1; }
}
answered() {
  wait_for 10 carrier_is 1 || { echo "no carrier after 10 s"; return 1; }
  wait_for 10 ping_once || { echo "no ping after 10 s"; return 1; }
}
# refused TEXT COMMAND...: ends with a failure and says TEXT, with the device as
# it was.
refused() {
  local status=0
  timeout 10 "${@:2}" >/tmp/refused 2>&1 || status=$?
  echo "status=$status $(grep -m 1 -oE "$1.*" /tmp/refused)"
  ((status == 1 || status == 2)) && grep -qE "$1" /tmp/refused ||
    { cat /tmp/refused; return 1; }
}
run=(vduse-net run --name "$NAME" --mac "$CONSUMER_MAC")

start_device --attach
check ping answered

# --- One process to a device --------------------------------------------------

second_process() {
  local before after
  before=$(md5sum "$STATE")
  refused "another process, $DEVICE_PID, serves" \
    "${run[@]}" --tap other0 || return 1
  after=$(md5sum "$STATE")
  [[ $before == "$after" ]] || { echo "the state has changed"; return 1; }
  [[ ! -e /sys/class/net/other0 ]] || { echo "other0 was made"; return 1; }
  ping_once
}
check refuses-a-second-process second_process

# --- What does not fit --------------------------------------------------------

kill_device
other_options() {
  refused 'was made with --tap tap0' "${run[@]}" --tap other0 || return 1
  refused 'was made with --mtu 1500' "${run[@]}" --tap "$TAP" --mtu 1400 ||
    return 1
  [[ ! -e /sys/class/net/other0 ]] || { echo "other0 was made"; return 1; }
  [[ $(<"/sys/class/net/$TAP/mtu") == 1500 ]] || { echo "MTU set"; return 1; }
  adopted && answered
}
check refuses-other-options other_options

# --- Which interface it was ---------------------------------------------------

renamed() {
  ip link set "$TAP" down && ip link set "$TAP" name lan0 &&
    ip link set lan0 up || return 1
  wait_for 10 carrier_is 1 || return 1
  kill_device
  adopted && answered || return 1
  [[ ! -e /sys/class/net/$TAP ]] || { echo "a second TAP was made"; return 1; }
  ip link set lan0 down && ip link set lan0 name "$TAP" &&
    ip link set "$TAP" up && answered
}
check finds-its-renamed-interface renamed

moved() {
  ip netns add elsewhere && ip link set "$TAP" netns elsewhere &&
    ip -n elsewhere link set "$TAP" up || return 1
  wait_for 10 carrier_is 1 || return 1
  kill_device
  adopted || return 1
  wait_for 10 carrier_is 1 || { echo "no carrier"; return 1; }
  [[ ! -e /sys/class/net/$TAP ]] || { echo "a second TAP was made"; return 1; }
  ip -n elsewhere link set "$TAP" netns 1 && setup_tap && answered
}
check finds-its-interface-in-another-namespace moved

# --- Without its TAP ----------------------------------------------------------

# Its name is another interface's: nothing can be opened for now.
without_tap() {
  kill_device
  ip link delete "$TAP" && ip link add "$TAP" type veth peer name peer0 ||
    return 1
  adopted || return 1
  wait_for 10 carrier_is 0 || { echo "shows a link"; return 1; }
  logged 'is not a TAP' || { echo "nothing in the log"; return 1; }
  ip link delete "$TAP"
  wait_for 10 test -e "/sys/class/net/$TAP" || { echo "not made"; return 1; }
  setup_tap
  answered
}
check is-ready-without-its-tap without_tap

# The link was up when the process was killed, and is down for its successor.
down_meanwhile() {
  kill_device
  carrier_is 1 || return 1
  ip link set "$TAP" down
  adopted || return 1
  wait_for 10 carrier_is 0 || { echo "shows a link"; return 1; }
  ip link set "$TAP" up
  answered
}
check shows-the-link-that-holds down_meanwhile

check stop stopped
tap_gone() { [[ ! -e /sys/class/net/$TAP ]]; }
check takes-its-tap-away tap_gone

operators_tap() {
  ip tuntap add "$TAP" mode tap || return 1
  start_device --attach
  answered || return 1
  kill_device
  ip link delete "$TAP" || return 1
  adopted || return 1
  wait_for 10 carrier_is 0 || { echo "shows a link"; return 1; }
  tap_gone || { echo "made one that nobody asked for"; return 1; }
  ip tuntap add "$TAP" mode tap || return 1
  setup_tap
  answered || return 1
  kill_device
  adopted && answered || return 1
  stopped || return 1
  tap_gone && { echo "took the operator's away"; return 1; }
  ip link delete "$TAP"
}
check waits-for-a-tap-that-is-the-operators operators_tap

# --- The state file -----------------------------------------------------------

# set_layout DIGIT: of both of the file's slots.
set_layout() {
  local slot=$(($(stat -c %s "$STATE") / 2))
  printf %s "$1" | dd of="$STATE" bs=1 seek=7 conv=notrunc 2>/dev/null
  printf %s "$1" | dd of="$STATE" bs=1 seek=$((slot + 7)) conv=notrunc \
    2>/dev/null
}
newer_layout() {
  start_device --attach
  answered || return 1
  kill_device
  set_layout 9
  refused 'newer release .layout 9' "${run[@]}" --tap "$TAP" || return 1
  set_layout 7
  adopted && answered && stopped
}
check refuses-a-newer-releases-state newer_layout

nothing_left() {
  local left
  left=$(cd /run/vduse-net && ls -A)
  echo "left: ${left:-nothing}"
  [[ -z $left ]]
}
check leaves-no-file nothing_left

failed_start() {
  refused 'is not a TAP' "${run[@]}" --tap lo && nothing_left
}
check leaves-no-file-of-a-failed-start failed_start

full() {
  mkdir -p /tmp/full && mount -t tmpfs -o size=32k tmpfs /tmp/full || return 1
  dd if=/dev/zero of=/tmp/full/it bs=4096 count=16 2>/dev/null
  refused 'no space for .* choose another --state-dir' \
    "${run[@]}" --tap "$TAP" --state-dir /tmp/full || return 1
  tap_gone && [[ ! -e /dev/vduse/$NAME ]] || { echo "left behind"; return 1; }
  rm /tmp/full/it
  start_device --attach --state-dir /tmp/full
  answered && stopped && umount /tmp/full
}
check says-that-there-is-no-space full
