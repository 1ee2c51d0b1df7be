# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# The TAP under a device: moved to another network namespace and back, renamed,
# a bridge's port, deleted and made again, found by other names and from other
# namespaces. Gate lifted.

for module in llc stp bridge tls bonding; do
  insmod "/lib/modules/$module.ko" || die modules "cannot load $module.ko"
done

carrier_is() {
  [[ $(c cat "/sys/class/net/$CONSUMER/carrier" 2>/dev/null) == "$1" ]]
}
# carrier_changes: how often the consumer's carrier has changed so far.
carrier_changes() { c cat "/sys/class/net/$CONSUMER/carrier_changes"; }
# The address and the neighbour are the interface's, and go when it does.
pin_neighbour() {
  ip neigh replace "$CONSUMER_IP" lladdr "$CONSUMER_MAC" nud permanent \
    dev "$TAP"
}
answered() {
  wait_for 10 carrier_is 1 || { echo "no carrier after 10 s"; return 1; }
  wait_for 10 ping_once || { echo "no ping after 10 s"; return 1; }
}

start_device --attach
check ping wait_for 10 ping_once

# --- A bridge's port ----------------------------------------------------------

# The carrier stays: a change of it and back would be counted.
bridge_port() {
  local round before
  before=$(carrier_changes)
  ip link add br0 type bridge && ip link set br0 up || return 1
  for round in 1 2 3; do
    ip link set "$TAP" master br0 || return 1
    ip link set "$TAP" nomaster || return 1
  done
  # This change comes after the bridge's messages: once the carrier follows it,
  # the device has read them all.
  ip link set "$TAP" down
  wait_for 10 carrier_is 0 || { echo "carrier still up"; return 1; }
  ip link set "$TAP" up
  answered || return 1
  ip link delete br0
  echo "carrier changes: $(($(carrier_changes) - before)), of them 2 of ours"
  (($(carrier_changes) - before == 2))
}
check leaves-a-bridge-without-losing-its-link bridge_port

# --- Another network namespace ------------------------------------------------

ping_from_there() {
  ip netns exec "$1" ping -n -q -c 1 -W 1 "$CONSUMER_IP" >/dev/null 2>&1
}
# moved NAMESPACE: the TAP, into it, and up there.
moved() {
  ip link set "$TAP" netns "$1" || return 1
  wait_for 10 carrier_is 0 ||
    { echo "moved and so down, carrier still up"; return 1; }
  ip -n "$1" address add "$TAP_IP/24" dev "$TAP" &&
    ip -n "$1" link set "$TAP" up || return 1
  wait_for 10 carrier_is 1 || { echo "no carrier, up in $1"; return 1; }
  wait_for 10 ping_from_there "$1" || { echo "no ping from $1"; return 1; }
}
moved_and_back() {
  local round
  ip netns add elsewhere || return 1
  for round in 1 2; do
    moved elsewhere || { echo "round $round"; return 1; }
    ip -n elsewhere link set "$TAP" down
    wait_for 10 carrier_is 0 || { echo "down elsewhere, still up"; return 1; }
    ip -n elsewhere link set "$TAP" up
    wait_for 10 carrier_is 1 || { echo "up elsewhere, still down"; return 1; }
    ip -n elsewhere link set "$TAP" netns 1 || return 1
    wait_for 10 carrier_is 0 || { echo "back and down, still up"; return 1; }
    setup_tap
    answered || { echo "round $round, back again"; return 1; }
  done
  echo "rounds=2"
}
check follows-its-interface-to-a-namespace-and-back moved_and_back

# An interface of the same index there takes that number: the TAP gets another.
another_index() {
  local index
  index=$(<"/sys/class/net/$TAP/ifindex")
  ip -n elsewhere link add veth-a index "$index" type veth peer name veth-b ||
    return 1
  moved elsewhere || return 1
  ip -n elsewhere link set veth-a up
  ip -n elsewhere link set veth-a down
  ip -n elsewhere link set "$TAP" name other0 || return 1
  ip -n elsewhere link set other0 down
  wait_for 10 carrier_is 0 || { echo "renamed and down, still up"; return 1; }
  ip -n elsewhere link set other0 up
  wait_for 10 carrier_is 1 || { echo "renamed and up, still down"; return 1; }
  ip -n elsewhere link set other0 down
  ip -n elsewhere link set other0 name "$TAP"
  ip -n elsewhere link set "$TAP" netns 1 || return 1
  setup_tap
  answered || return 1
  echo "index=$index after=$(<"/sys/class/net/$TAP/ifindex")"
}
check follows-it-under-another-index-and-name another_index

# --- Deleted, and made again --------------------------------------------------

made_again() {
  ip tuntap add "$TAP" mode tap || return 1
  setup_tap
  answered
}
deleted_and_made_again() {
  local round sender
  udp_flow send --to "$CONSUMER_IP" --port 8000 --count 0 \
    --interval-usecs 2000 --size 400 >/tmp/sender 2>&1 3>&- &
  sender=$!
  for round in 1 2 3; do
    ip link delete "$TAP" || return 1
    wait_for 10 carrier_is 0 ||
      { echo "round $round: deleted, carrier still up"; return 1; }
    made_again || { echo "round $round"; return 1; }
  done
  kill -TERM "$sender"
  # At once: the end of the one and the start of the other may come together.
  ip link delete "$TAP" && made_again || { echo "at once"; return 1; }
  logged 'is there again' || { echo "nothing in the log"; return 1; }
  echo "rounds=4"
}
check opens-its-tap-again-when-it-is-there deleted_and_made_again
check frames-rx-afterwards frame_check --from "$TAP" \
  --to "$CONSUMER@consumer" --count 2000
check frames-tx-afterwards frame_check --from "$CONSUMER@consumer" \
  --to "$TAP" --count 2000

gone_with_its_namespace() {
  moved elsewhere || return 1
  ip netns delete elsewhere || return 1
  wait_for 10 carrier_is 0 ||
    { echo "its namespace is gone, carrier still up"; return 1; }
  wait_for 10 logged 'was deleted' || { echo "nothing in the log"; return 1; }
  made_again
}
check notices-that-its-namespace-is-deleted gone_with_its_namespace

# Not made by the device: it stays.
stays() {
  stopped || return 1
  [[ -e /sys/class/net/$TAP ]] || { echo "$TAP is gone, too"; return 1; }
  ip link delete "$TAP"
}
check leaves-the-tap-that-was-made-again stays

ends_with_its_tap() {
  local status=0
  start_device --attach --tap-lost exit
  wait_for 10 ping_once || return 1
  ip link delete "$TAP" || return 1
  wait_for 10 gone "$DEVICE_PID" || { echo "still running"; return 1; }
  wait "$DEVICE_PID" || status=$?
  DEVICE_PID=
  no_trace || { echo "left behind"; return 1; }
  echo "exit status $status"
  ((status == 1)) && logged 'was deleted'
}
check ends-with-its-tap-if-told-to ends_with_its_tap

# --- Found by other names, and from other namespaces --------------------------

by_another_name() {
  ip tuntap add lan0 mode tap && ip link property add dev lan0 altname "$TAP" ||
    return 1
  launch_device || return 1
  logged "ready: .* on '$TAP'" || return 1
  [[ -e /sys/class/net/lan0 && ! -e /sys/class/net/$TAP ]] ||
    { echo "another interface was made"; return 1; }
  stopped || return 1
  ip link delete lan0
}
check takes-an-alternative-name by_another_name

# /sys is still the first namespace's, as with `nsenter --net`.
from_a_namespace() {
  ip netns add third || return 1
  ip -n third tuntap add "$TAP" mode tap || return 1
  LOG_BASE=$(stat -c %s "$DEVICE_LOG")
  nsenter --net=/run/netns/third vduse-net run --name "$NAME" --tap "$TAP" \
    --mac "$CONSUMER_MAC" >>"$DEVICE_LOG" 2>&1 3>&- 7>&- </dev/null &
  DEVICE_PID=$!
  wait_for 10 device_ready && ! gone "$DEVICE_PID" || return 1
  attach_device
  ip -n third address add "$TAP_IP/24" dev "$TAP"
  ip -n third link set "$TAP" up
  take_netdev
  wait_for 10 carrier_is 1 || { echo "no carrier"; return 1; }
  wait_for 10 ping_from_there third || { echo "no ping"; return 1; }
  # The bus is not to be reached from there.
  vdpa dev del "$NAME" || return 1
  stopped
}
check takes-a-tap-of-the-namespace-it-is-started-in from_a_namespace

# says_where COMMAND...: fails, and says where it would not.
says_where() {
  local text status=0
  text=$(nsenter --net=/run/netns/third "$@" 2>&1) || status=$?
  echo "status=$status $(grep -m 1 -o 'its netlink.*' <<<"$text")"
  ((status != 0)) && [[ $text == *"nsenter -t 1 --net"* ]] &&
    [[ $text != *"modprobe vdpa"* ]]
}
for command in check show "attach $NAME"; do
  # shellcheck disable=SC2086
  check "${command%% *}-says-where-the-bus-is" \
    says_where vduse-net $command
done
check attach-option-says-where-the-bus-is says_where \
  vduse-net run --name "$NAME" --tap "$TAP" --attach

# --- A bond -------------------------------------------------------------------

# One of 802.3ad wants to know a speed and a duplex, and takes no link without.
speed_is() {
  [[ $(c cat "/sys/class/net/$CONSUMER/speed") == "$1" &&
    $(c cat "/sys/class/net/$CONSUMER/duplex") == full ]]
}
has_speed() {
  start_device --attach "${@:2}"
  wait_for 10 carrier_is 1 || return 1
  c ethtool "$CONSUMER" | grep -E 'Speed|Duplex' | tr -d '\n'
  echo
  speed_is "$1"
}
check has-its-taps-speed has_speed 10000
bonded() {
  c ip link set "$CONSUMER" down
  c ip link add bond0 type bond mode 802.3ad miimon 100 &&
    c ip link set "$CONSUMER" master bond0 && c ip link set bond0 up || return 1
  wait_for 10 port_is_up || { c cat /proc/net/bonding/bond0; return 1; }
  echo "Speed, $(c grep -A 3 'Slave Interface' /proc/net/bonding/bond0 |
    tr '\n' ' ')"
  c ip link delete bond0
}
# The bond's own state, and then its port's.
port_is_up() {
  (($(c grep -c 'MII Status: up' /proc/net/bonding/bond0) == 2))
}
check is-up-in-a-bond bonded
check stop stopped
check has-the-speed-it-was-given has_speed 2500 --speed 2500
