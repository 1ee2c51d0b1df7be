# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# The process that serves the device is killed while each kind of request of the
# kernel, and each command of the control queue that Linux's driver sends, is
# under way: each is answered by the next process. Requests that only a VMM
# causes: crash_at_vhost.sh. Gate lifted.

LIMIT_MS=1000
FILE=/tmp/state.json

for module in llc stp garp mrp 8021q; do
  insmod "/lib/modules/$module.ko" || die modules "cannot load $module.ko"
done
start_device --attach --queue-pairs 2
check ping wait_for 5 ping_once

# at WHAT... -- COMMAND...: kills, and the command must succeed in time.
at() {
  local what=() text status=0 ms
  while [[ $1 != -- ]]; do what+=("$1"); shift; done
  shift
  wait_for 5 find_child stby || { echo "no standby"; return 1; }
  text=$(kill_serving "$(serving)" "${what[@]}" "$@" 2>&1) || status=$?
  ms=$(field ms "$text")
  echo "status=$status ${text//$'\n'/ }"
  ((status == 0 && ms <= LIMIT_MS)) || return 1
  wait_for 5 find_child dev || { echo "nobody serves"; return 1; }
}
# The consumer's commands are programs, run in its namespace.
in_consumer=("${IN_CONSUMER[@]}")

# --- Commands ------------------------------------------------------------------

command_is() { check "$1" at kick -- "${in_consumer[@]}" "${@:2}"; }
command_is coalescing ethtool -C "$CONSUMER" rx-usecs 70 rx-frames 8
command_is queue-coalescing ethtool -Q "$CONSUMER" queue_mask 0x1 \
  --coalesce rx-usecs 30
# With several pairs, the driver of 7.3 writes beyond an array, which its kernel
# reports.
[[ $(uname -r) == 7.3* ]] || command_is statistics ethtool -S "$CONSUMER"
command_is promiscuous ip link set "$CONSUMER" promisc on
command_is not-promiscuous ip link set "$CONSUMER" promisc off
command_is all-multicast ip link set "$CONSUMER" allmulticast on
command_is mac-table ip maddress add 33:33:00:00:00:77 dev "$CONSUMER"
command_is offloads ethtool -K "$CONSUMER" rx-gro-hw off
command_is pairs-1 ethtool -L "$CONSUMER" combined 1
command_is pairs-2 ethtool -L "$CONSUMER" combined 2
command_is address ip link set "$CONSUMER" address 02:00:5e:10:00:02
command_is vlan-add ip link add link "$CONSUMER" name v100 type vlan id 100
command_is vlan-del ip link del v100
ip neigh flush dev "$TAP"
check ping-after-commands wait_for 5 ping_once

# --- Requests ----------------------------------------------------------------------

driver=/sys/bus/vdpa/drivers/virtio_vdpa
write() { echo "$1" >"$2"; }
export -f write
STATUS=1  # VDUSE_SET_STATUS
check reset at request "$STATUS:0" -- \
  bash -c "write $NAME $driver/unbind"
check acknowledge at request "$STATUS:1" -- bash -c "write $NAME $driver/bind"
rebind() { write "$NAME" "$driver/unbind"; }
for status in 3 11 15; do
  check "unbound-$status" rebind
  check "status-$status" at request "$STATUS:$status" -- \
    bash -c "write $NAME $driver/bind"
done
take_netdev
ip neigh flush dev "$TAP"
check ping-after-requests wait_for 5 ping_once

# --- An announcement -----------------------------------------------------------

# A driver that was moved here is asked to announce itself. Linux's driver does
# so once its interface is up, and complains if that is not acknowledged.
moved() {
  timeout 10 vdpa dev del "$NAME" &&
    vduse-net state save "$FILE" --name "$NAME" || return 1
  stop_device || { echo "$STOP_WHY"; return 1; }
  launch_device --queue-pairs 2 --restore "$FILE"
  attach_device
  setup_tap
  wait_for 10 find_netdev || { echo "no netdev"; return 1; }
  ip link set "$CONSUMER" netns consumer &&
    ip -n consumer address add "$CONSUMER_IP/24" dev "$CONSUMER"
}
acknowledged() {
  # The answer to the next command shows that this one has been answered.
  timeout 5 "${in_consumer[@]}" ethtool -C "$CONSUMER" rx-usecs 71 ||
    { echo "the next command is not answered"; return 1; }
  ! dmesg | grep -m 1 'Failed to ack link announce'
}
check moved moved
check announce-ack at line 'the driver announces itself' -- \
  ip -n consumer link set "$CONSUMER" up
check acknowledged acknowledged
ip neigh flush dev "$TAP"
check ping-after-announcement wait_for 5 ping_once
check stop stopped
