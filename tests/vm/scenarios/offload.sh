# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# Offloads (checksum and segmentation): each kind negotiated and not, with
# Linux's driver, checked by the device's counters.
TAP_IP6=fd00::1
CONSUMER_IP6=fd00::2
TCP_SECONDS=${TCP_SECONDS:-1}

# moves some|none DIRECTION NAME COMMAND...: what the command does to a counter.
moves() {
  local want=$1 direction=$2 name=$3 before after
  shift 3
  before=$(counter "$direction" "$name") || return 1
  "$@" >/tmp/moves 2>&1 || { tail -n 3 /tmp/moves; return 1; }
  after=$(counter "$direction" "$name") || return 1
  echo "$direction $name: $((after - before)); $(tail -n 1 /tmp/moves)"
  case $want in
    some) ((after > before)) ;;
    none) ((after == before)) ;;
  esac
}
to_consumer() { some_tcp "$@"; }
from_consumer() { some_tcp -R "$@"; }
to_consumer6() { CONSUMER_IP=$CONSUMER_IP6 some_tcp "$@"; }
from_consumer6() { CONSUMER_IP=$CONSUMER_IP6 some_tcp -R "$@"; }

# uso_flow rx|tx: UDP that the sender's kernel leaves whole.
uso_flow() {
  SIZE=1000 SEGMENTS=16 measure_flow "$1" 640 200
  echo "sent=$SENT received=$RECEIVED"
  ((SENT == 640 && LOST == 0))
}
# Flows that lose packets of their own, slow down, and say so (CWR) in a large
# packet: on the TAP's short queue, or in a short backlog behind it.
crowd() { some_tcp -P 16 "$@"; }
crowd_to_consumer() {
  ip link set "$TAP" txqueuelen 2
  crowd
}
crowd_from_consumer() {
  echo 3 >"/sys/class/net/$TAP/queues/rx-0/rps_cpus"
  echo 2 >/proc/sys/net/core/netdev_max_backlog
  crowd -R
  local status=$?
  echo 1000 >/proc/sys/net/core/netdev_max_backlog
  return "$status"
}

# tap_has on|off FEATURE: what the TAP may hand out, in time.
tap_has() { wait_for 2 tap_is "$1" "$2" || { ethtool -k "$TAP"; return 1; }; }
tap_is() { ethtool -k "$TAP" | grep -q "^[[:space:]]*$2: $1"; }

both_use_ecn() {
  echo 1 >/proc/sys/net/ipv4/tcp_ecn
  c sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_ecn'
}

addresses6() {
  echo 0 >"/proc/sys/net/ipv6/conf/$TAP/disable_ipv6"
  ip address add "$TAP_IP6/64" dev "$TAP" nodad
  # shellcheck disable=SC2016
  c sh -c 'echo 0 >/proc/sys/net/ipv6/conf/$0/disable_ipv6' "$CONSUMER"
  ip -n consumer address add "$CONSUMER_IP6/64" dev "$CONSUMER" nodad
}

start_device --attach
addresses6
iperf_server
check tap-tso tap_has on tcp-segmentation-offload
check tap-csum tap_has on tx-checksum-ip-generic
check tap-uso tap_has on tx-udp-segmentation
check rx-csum moves some rx csum to_consumer
check rx-tso4 moves some rx gso to_consumer
check rx-tso6 moves some rx gso to_consumer6
check tx-csum moves some tx csum from_consumer
check tx-tso4 moves some tx gso from_consumer
check tx-tso6 moves some tx gso from_consumer6
check rx-uso moves some rx gso uso_flow rx
check uso-on c ethtool -K "$CONSUMER" tx-udp-segmentation on
check tx-uso moves some tx gso uso_flow tx

# The driver sends less.
check tso-off c ethtool -K "$CONSUMER" tso off tx-tcp-ecn-segmentation off
check tx-no-tso moves none tx gso from_consumer
check csum-off c ethtool -K "$CONSUMER" tx off
check tx-no-csum moves none tx csum from_consumer
check tx-on c ethtool -K "$CONSUMER" tx on tso on
check tx-tso-again moves some tx gso from_consumer

# The driver takes less: GUEST_OFFLOADS_SET.
if [[ $MODULE == open ]]; then
  check gro-hw-off c ethtool -K "$CONSUMER" rx-gro-hw off
  check tap-no-tso tap_has off tcp-segmentation-offload
  check rx-no-gso moves none rx gso to_consumer
  check gro-hw-on c ethtool -K "$CONSUMER" rx-gro-hw on
  check tap-tso-again tap_has on tcp-segmentation-offload
  check rx-gso-again moves some rx gso to_consumer
fi
kill "$IPERF_PID"
check stop stopped

# with some|none DIRECTION COUNTER "ARGS" FLOW...: the same on a device of its
# own.
with() {
  local want=$1 direction=$2 counter=$3 args=$4
  shift 4
  # shellcheck disable=SC2086
  start_device --attach $args
  addresses6
  iperf_server
  moves "$want" "$direction" "$counter" "$@"
  local status=$?
  kill "$IPERF_PID"
  stopped >/dev/null || { echo "$STOP_WHY"; return 1; }
  return "$status"
}
both_use_ecn
check tx-ecn with some tx ecn '' crowd_from_consumer
check without-ecn with none tx ecn '--without HOST_ECN' crowd_from_consumer
check rx-ecn with some rx ecn '' crowd_to_consumer
check without-guest-ecn with none rx ecn '--without GUEST_ECN' \
  crowd_to_consumer

# Each remaining offload, not offered while all others are.
check without-csum with none tx csum '--without CSUM' from_consumer
check without-guest-csum with none rx csum '--without GUEST_CSUM' to_consumer
check without-tso4 with none tx gso '--without HOST_TSO4' from_consumer
check without-tso6 with none tx gso '--without HOST_TSO6' from_consumer6
check without-guest-tso4 with none rx gso '--without GUEST_TSO4' to_consumer
check without-guest-tso6 with none rx gso '--without GUEST_TSO6' to_consumer6
uso_asked() {
  c ethtool -K "$CONSUMER" tx-udp-segmentation on
  uso_flow tx
}
check without-uso with none tx gso '--without HOST_USO' uso_asked
check without-guest-uso with none rx gso '--without GUEST_USO4,GUEST_USO6' \
  uso_flow rx

# A ring that Linux does not fill far enough for 64 KiB: TCP goes on, in packets
# of the wire's size.
check short-ring with none rx gso '--queue-size 32' to_consumer
