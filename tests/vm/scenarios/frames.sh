# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# Which frames the device passes, depending on size, address and time of
# arrival. Other frames are dropped and counted, and do not affect the traffic.
OTHER_MAC=02:00:5e:10:00:99
TCP_SECONDS=${TCP_SECONDS:-1}

for module in llc stp garp mrp 8021q; do
  insmod "/lib/modules/$module.ko" || die modules "cannot load $module.ko"
done

# frames rx|tx BYTES [COUNT]: raw frames of that size, to or from the consumer.
# Sets GOT.
frames() {
  local from=$TAP to=$CONSUMER@consumer
  [[ $1 == rx ]] || { from=$to; to=$TAP; }
  frame_check --from "$from" --to "$to" --count "${3:-20}" --min "$2" \
    --max "$2" --idle-ms "${IDLE_MS:-3000}" >/tmp/frames 2>&1
  cat /tmp/frames
  GOT=$(field unchanged_in_order "$(</tmp/frames)")
}
passes() { frames "$@" && ((GOT == 20)); }
# drops rx|tx BYTES: none of them comes through, and all are counted.
drops() {
  local name=over-mtu before after
  [[ $1 == rx ]] || name=bad-length
  before=$(counter "$1" "$name") || return 1
  IDLE_MS=300 frames "$1" "$2"
  after=$(counter "$1" "$name") || return 1
  echo "bytes=$2 arrived=$GOT $name=$((after - before))"
  ((GOT == 0 && after - before == 20))
}
tap_mtu() { ip link set "$TAP" mtu "$1"; }
consumer_mtu() { ip -n consumer link set "$CONSUMER" mtu "$1"; }
both_mtu() { tap_mtu "$1" && consumer_mtu "$1"; }

whole_ping() {
  ping -n -q -c 5 -i 0.05 -W 2 -M 'do' -s "$1" "${2:-$CONSUMER_IP}" 2>&1 |
    tee /tmp/ping | grep -m 1 ' 0% packet loss' || { cat /tmp/ping; return 1; }
}

# tag COMMAND... IF IP: a customer's tag within a provider's, with an address.
tag() {
  local ip=$3
  "$1" ip link add link "$2" name outer type vlan proto 802.1ad id 10 &&
    "$1" ip link add link outer name inner type vlan proto 802.1Q id 20 &&
    "$1" ip link set outer up && "$1" ip link set inner up &&
    "$1" ip address add "$ip/24" dev inner
}
here() { "$@"; }

# --- The MTU the driver was told: 1500 -----------------------------------------

start_device --attach
iperf_server
check tags tag here "$TAP" 10.9.1.1
check consumer-tags tag c "$CONSUMER" 10.9.1.2
check two-tags whole_ping 1472 10.9.1.2
CONSUMER_IP=10.9.1.2
check two-tags-tcp some_tcp
check two-tags-tcp-back some_tcp -R
CONSUMER_IP=10.9.0.2
check two-tags-none-lost test "$(counter tx bad-length)" = 0

check jumbo-tap tap_mtu 9000
check jumbo-dropped drops rx 8014
check jumbo-dropped-again drops rx 1523
check jumbo-others passes rx 1514
check jumbo-two-tags passes rx 1522
check jumbo-ping whole_ping 1472
check jumbo-tcp some_tcp
check jumbo-tcp-back some_tcp -R
# Beside other traffic.
beside() {
  measure_flow rx 2000 500 &
  local flow=$!
  drops rx 4000 && drops rx 9014 || return 1
  wait "$flow"
  local lost
  lost=$(field received "$(tail -n 1 /tmp/flow.received)")
  echo "received=$lost"
  ((lost == 2000))
}
check jumbo-beside-others beside
check tap-1500 tap_mtu 1500
check tap-1500-frames passes rx 1514
check tap-1500-back passes tx 1514
check jumbo-tap-again tap_mtu 9000
check jumbo-dropped-then drops rx 9014
kill "$IPERF_PID"
check stop stopped

# --- An MTU that binds nobody ----------------------------------------------------

start_device --attach --without MTU
check unbound-1514 passes rx 1514
check unbound-mtu both_mtu 9000
check unbound-rx passes rx 9014
check unbound-tx passes tx 9014
check unbound-ping whole_ping 8972
check unbound-larger both_mtu 16000
check unbound-larger-rx passes rx 16014
check unbound-larger-tx passes tx 16014
check unbound-smaller both_mtu 1500
check unbound-smaller-rx passes rx 1514
check unbound-smaller-tx passes tx 1514
check unbound-stop stopped

start_device --attach --mtu 9000
check told-9000 consumer_mtu 9000
check told-9000-rx passes rx 9014
check told-9000-tx passes tx 9014
check told-9000-tap tap_mtu 16000
check told-9000-dropped drops rx 9023
check told-9000-tags passes rx 9022
check told-9000-stop stopped

# --- An address that the driver was not told -------------------------------------

# probe all|none MAC: what the consumer gets of frames to an address, in time.
probe() { wait_for 5 probe_now "$@"; }
probe_now() {
  local figures
  figures=$(frame_probe --from "$TAP" --to "$CONSUMER@consumer" --dst "$2" \
    2>&1) || { echo "$figures"; return 1; }
  echo "$figures wanted=$1"
  case $1 in
    all) [[ $figures == 'sent=20 received=20' ]] ;;
    none) [[ $figures == 'sent=20 received=0' ]] ;;
  esac
}
start_device --attach --without MAC,CTRL_MAC_ADDR
check own-address-rx passes rx 100
check own-address-ping whole_ping 56
check own-address-other probe all "$OTHER_MAC"
check own-address-new ip -n consumer link set "$CONSUMER" address "$OTHER_MAC"
check own-address-new-rx passes rx 100
kill_device
launch_device --attach --without MAC,CTRL_MAC_ADDR
check own-address-crash-rx passes rx 100
check own-address-stop stopped

# The driver sets its own address by MAC_ADDR_SET, and the device filters by
# that address.
start_device --attach --without MAC
check said-address-rx passes rx 100
check said-address-other probe none "$OTHER_MAC"
check said-address-stop stopped

# --- What came before the driver ---------------------------------------------------

neighbour() {
  ip neigh replace "$CONSUMER_IP" lladdr "$CONSUMER_MAC" nud permanent \
    dev "$TAP"
}
# flood COUNT: packets that nobody answers.
flood() {
  udp_flow send --to "$CONSUMER_IP" --port 7000 --count "$1" \
    --interval-usecs "${2:-100}" --size 64
}
# Of those, what has reached the consumer.
# shellcheck disable=SC2016
reached() { c awk '/^Udp: [0-9]/ { print $3 }' /proc/net/snmp; }
attached() { attach_device && take_netdev; }
# fresh STALE: attaches a driver, which gets none of the earlier packets and
# works. The counter `stale` is then STALE.
fresh() {
  local before
  before=$(reached)
  attached
  wait_for 5 ping_once || { echo "no ping"; return 1; }
  echo "stale=$(counter rx stale) wanted=$1" \
    "reached=$(($(reached) - before))"
  (($(counter rx stale) == $1 && $(reached) == before)) && passes rx 100
}
detach() { timeout 10 vdpa dev del "$NAME"; }

launch_device
setup_tap
neighbour
check queued flood 30
check first-driver fresh 30
check detach detach
check queued-again flood 40
check second-driver fresh 70
kill_device
launch_device
check goes-on wait_for 5 ping_once
check goes-on-all test "$(counter rx stale)" = 0
# Packets that never end.
udp_flow send --to "$CONSUMER_IP" --port 7000 --count 0 --interval-usecs 200 \
  --size 64 >/dev/null 2>&1 &
flood=$!
busy_drivers() {
  local round
  for round in 1 2 3; do
    detach || return 1
    nap 0.1
    attached
    wait_for 5 ping_once || { echo "round $round: no ping"; return 1; }
  done
  echo "stale=$(counter rx stale)"
  (($(counter rx stale) > 0))
}
check busy-drivers busy_drivers
kill "$flood"
wait "$flood"
check busy-then passes rx 100

# --- What the TAP has no room for --------------------------------------------------

# dropped: by the TAP, as the device counts it, and as the kernel does.
dropped() {
  counter rx stale >/dev/null
  DROPPED=$(sed -n 's/.*dropped by the TAP: //p' "$DEVICE_LOG" | tail -n 1)
  KERNEL=$(<"/sys/class/net/$TAP/statistics/tx_dropped")
}
# loses some|none COMMAND...: what the command does to both.
loses() {
  local want=$1 device kernel
  shift
  dropped; device=$DROPPED kernel=$KERNEL
  "$@" >/tmp/loses 2>&1 || { cat /tmp/loses; return 1; }
  dropped
  echo "device=$((DROPPED - device)) kernel=$((KERNEL - kernel))"
  case $want in
    some) ((KERNEL > kernel && DROPPED - device == KERNEL - kernel)) ;;
    none) ((DROPPED == device)) ;;
  esac
}
ip link set "$TAP" txqueuelen 50
consumer_up() { ip -n consumer link set "$CONSUMER" "$1"; }
check taker-gone consumer_up down
check filled flood 600  # what the ring and the queue still take
check drops loses some flood 300
check drops-again loses some flood 300
renamed() {
  ip link set "$TAP" down && ip link set "$TAP" name "$1" || return 1
  TAP=$1
  ip link set "$TAP" up && neighbour
}
check renamed renamed tap9
check drops-renamed loses some flood 300
check renamed-back renamed tap0
check taker-back consumer_up up
check takes-again wait_for 5 ping_once
check no-drops loses none passes rx 100
check no-driver detach
check no-driver-no-drops loses none flood 300
check driver-again attached
check end-ping wait_for 5 ping_once
check stop-last stopped
