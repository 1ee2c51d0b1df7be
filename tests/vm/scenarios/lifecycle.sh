# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# Driver unbind and bind under traffic, MTU changes, link changes. Gate lifted.

REBINDS=${REBINDS:-200}

start_device --attach
ip neighbour replace "$CONSUMER_IP" lladdr "$CONSUMER_MAC" dev "$TAP" \
  nud permanent
check ping ping -n -q -c 5 -i 0.05 -W 1 "$CONSUMER_IP"

# --- Carrier ----------------------------------------------------------------

carrier_is() {
  [[ $(c cat "/sys/class/net/$CONSUMER/carrier" 2>/dev/null) == "$1" ]]
}
link_changes() {
  local round start worst=0
  for round in 1 2 3 4 5; do
    now; start=$NOW
    ip link set "$TAP" down
    wait_for 2 carrier_is 0 ||
      { echo "round $round: carrier still up, TAP down for 2 s"; return 1; }
    now; ((NOW - start > worst)) && worst=$((NOW - start))
    now; start=$NOW
    ip link set "$TAP" up
    wait_for 2 carrier_is 1 ||
      { echo "round $round: carrier still down, TAP up for 2 s"; return 1; }
    now; ((NOW - start > worst)) && worst=$((NOW - start))
  done
  ip neighbour replace "$CONSUMER_IP" lladdr "$CONSUMER_MAC" dev "$TAP" \
    nud permanent
  wait_for 3 ping_once || { echo "no ping after the link came back"; return 1; }
  echo "rounds=5 worst_ms=$(ms "$worst")"
  ((worst <= 1000000))
}
check carrier link_changes

# --- MTU --------------------------------------------------------------------

big_ping() { ping -n -q -c 3 -i 0.05 -W 1 -M "do" -s "$1" "$CONSUMER_IP"; }
mtu_change() {
  local mtu
  for mtu in 1280 68 1500; do
    ip link set "$TAP" mtu "$mtu" || return 1
    c ip link set "$CONSUMER" mtu "$mtu" || return 1
    big_ping $((mtu - 28)) || { echo "no ping at MTU $mtu"; return 1; }
  done
  echo "mtus=1280,68,1500"
}
check mtu-change mtu_change

# --- Unbind and bind --------------------------------------------------------

# Odd rounds take virtio_vdpa away (a full device reset and new rings), even
# ones virtio_net alone.
rebind() {
  local driver device
  if (($1 % 2)); then
    driver=/sys/bus/vdpa/drivers/virtio_vdpa device=$NAME
  else
    driver=/sys/bus/virtio/drivers/virtio_net
    device=$(basename "$(echo "/sys/bus/vdpa/devices/$NAME"/virtio*)")
  fi
  echo "$device" >"$driver/unbind" ||
    { echo "cannot unbind $device"; return 1; }
  echo "$device" >"$driver/bind" || { echo "cannot bind $device"; return 1; }
}
rebinds() {
  local round start worst=0 sender
  udp_flow send --to "$CONSUMER_IP" --port 8000 --count 0 \
    --interval-usecs 1000 --size 400 >/tmp/sender 2>&1 3>&- &
  sender=$!
  for ((round = 1; round <= REBINDS; round++)); do
    now; start=$NOW
    rebind "$round" || { echo "round $round failed"; return 1; }
    now; ((NOW - start > worst)) && worst=$((NOW - start))
    take_netdev
    # Traffic both ways: an echo request and its reply.
    wait_for 3 ping_once ||
      { echo "round $round: no ping within 3 s"; return 1; }
    ((round % 50)) || progress "$round of $REBINDS rebinds"
  done
  kill -TERM "$sender"; wait "$sender"
  cat /tmp/sender
  echo "rounds=$REBINDS worst_rebind_ms=$(ms "$worst")"
}
fds_before=$(device_fds) rss_before=$(device_rss)
check rebind rebinds
no_leak() {
  echo "fds=$(device_fds) before=$fds_before rss_kb=$(device_rss) before=$rss_before"
  (($(device_fds) <= fds_before + 2 && $(device_rss) <= rss_before + 4096))
}
check no-leak no_leak
check frames-rx frame_check --from "$TAP" --to "$CONSUMER@consumer" \
  --count 5000
check frames-tx frame_check --from "$CONSUMER@consumer" --to "$TAP" \
  --count 5000
# After a reset the device is at 0 and the driver sets what it wants anew.
check ethtool-after-rebind timeout 5 "${IN_CONSUMER[@]}" \
  ethtool -C "$CONSUMER" rx-usecs 100 rx-frames 8

check stop stopped

# --- An MTU from the command line -------------------------------------------

start_device --attach --mtu 1400
configured_mtu() {
  local shown netdev
  shown=$(vdpa dev config show "$NAME" | grep -oE 'mtu [0-9]+')
  netdev=$(ip -n consumer link show "$CONSUMER" | grep -oE 'mtu [0-9]+')
  echo "config: $shown, netdev: $netdev"
  [[ $shown == 'mtu 1400' && $netdev == 'mtu 1400' ]] && big_ping 1372
}
check mtu-option configured_mtu

# --- The TAP deleted under the device ---------------------------------------

# cpu_ticks: what the program has used so far, in hundredths of a second.
cpu_ticks() {
  local fields
  read -ra fields <"/proc/$(serving)/stat"
  echo $((fields[13] + fields[14]))
}
tap_deleted() {
  local before used
  ip link delete "$TAP" || return 1
  wait_for 2 carrier_is 0 || { echo "carrier still up after 2 s"; return 1; }
  c ping -q -c 3 -i 0.2 -W 1 "$TAP_IP"  # goes nowhere, but must not stick
  before=$(cpu_ticks)
  nap 3
  used=$(($(cpu_ticks) - before))
  echo "ticks of 300 used while idle: $used"
  ((used <= 15))
}
check tap-deleted tap_deleted
check stop-without-tap stopped
