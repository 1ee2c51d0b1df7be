# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
# Needs: peer
#
# The same traffic through this device, through DPDK's VDUSE device with its
# TAP driver, and through a program that does nothing but copy between two
# TAPs; in turn, so that they meet the same machine. Prints
#   ROW bench WHO FIGURE VALUE
# once per round. tests/bench/run.sh makes a table of it.

ROUNDS=${ROUNDS:-5}
TCP_SECONDS=${TCP_SECONDS:-2}
PINGS=${PINGS:-100}
WHO=${WHO:-vduse-net dpdk copier}
UDP_BYTES=64

# --- Who is measured --------------------------------------------------------

# start WHO: up to interfaces with addresses on both sides. Sets SERVER_PID,
# the process whose CPU time counts.
start() {
  WHO_RUNS=$1
  case $1 in
    vduse-net)
      start_device --attach
      SERVER_PID=$(serving)
      ;;
    dpdk) start_dpdk ;;
    copier) start_copier ;;
  esac
  wait_for 30 ping_once || die "$1" "no answer to a ping for 30 s"
}
stop() {
  case $WHO_RUNS in
    vduse-net) stop_device || die vduse-net "$STOP_WHY" ;;
    dpdk) stop_dpdk ;;
    copier)
      kill "$SERVER_PID"
      wait "$SERVER_PID" 2>/dev/null
      ;;
  esac
}

mkfifo /tmp/testpmd.in
exec 20<>/tmp/testpmd.in
interface_exists() { [[ -e /sys/class/net/$1 ]]; }
testpmd_says() { gone "$SERVER_PID" || file_has "$1" /tmp/testpmd.log; }
start_dpdk() {
  : >/tmp/testpmd.log  # nothing of a run before
  dpdk-testpmd --in-memory --no-pci --no-telemetry -m 256 \
    --vdev="net_vhost0,iface=/dev/vduse/vd0,queues=1" \
    --vdev=net_tap0,iface=dtap0 -- --auto-start --forward-mode=io \
    <&20 >/tmp/testpmd.log 2>&1 3>&- 7>&- &
  SERVER_PID=$!
  # That goes on until the driver is there.
  wait_for 20 testpmd_says 'Checking link' && ! gone "$SERVER_PID" || {
    say "$(</tmp/testpmd.log)"
    die dpdk "testpmd does not start"
  }
  NAME=vd0 TAP=dtap0
  attach_device
  setup_tap
  take_netdev
  NAME=vn0 TAP=tap0
}
# It ends at a new line, but only once its device is off the bus.
stop_dpdk() {
  timeout 20 vdpa dev del vd0 || die dpdk "'vdpa dev del vd0' failed"
  echo >&20
  wait_for 20 gone "$SERVER_PID" || {
    say "$(</tmp/testpmd.log)"
    kill -KILL "$SERVER_PID"
    die dpdk "testpmd does not end"
  }
  wait "$SERVER_PID"
}

start_copier() {
  : >/tmp/tap_copy.log
  tap_copy ctap0 ctap1 2>/tmp/tap_copy.log 3>&- 7>&- &
  SERVER_PID=$!
  wait_for 5 file_has ready /tmp/tap_copy.log ||
    die copier "not ready: $(</tmp/tap_copy.log)"
  TAP=ctap0
  setup_tap
  TAP=tap0
  ip link set ctap1 netns consumer &&
    ip -n consumer address add "$CONSUMER_IP/24" dev ctap1 &&
    ip -n consumer link set ctap1 up || die copier "cannot set up ctap1"
}

# --- What is measured -------------------------------------------------------

row() { say "ROW bench $WHO_RUNS $1 $2"; }

# Ticks of CPU time so far, of the process with all its threads and of the
# machine.
cpu_ticks() {
  local stat busy
  read -r stat <"/proc/$SERVER_PID/stat"
  stat=${stat##*) }
  # shellcheck disable=SC2086
  set -- $stat
  PROCESS_TICKS=$((${12} + ${13}))
  read -r _ busy </proc/stat
  # shellcheck disable=SC2086
  set -- $busy
  MACHINE_TICKS=$(($1 + $2 + $3 + $6 + $7 + $8))
}

# tcp NAME [ARGS...]: Mbit/s, and CPU seconds per GiB.
tcp() {
  local name=$1 process machine
  shift
  cpu_ticks
  process=$PROCESS_TICKS machine=$MACHINE_TICKS
  iperf -t "$TCP_SECONDS" "$@" >/tmp/tcp.line ||
    { say "$(</tmp/tcp.line)"; die "$WHO_RUNS" "iperf3 $* failed"; }
  cpu_ticks
  row "tcp_${name}_mbit" "$MBITS"
  ((MBITS > 0)) || return
  # 100 ticks a second; a GiB has 8589.9 Mbit.
  row "tcp_${name}_cpu_ms_per_gib" \
    $(((PROCESS_TICKS - process) * 85899 / (MBITS * TCP_SECONDS)))
  row "tcp_${name}_machine_ms_per_gib" \
    $(((MACHINE_TICKS - machine) * 85899 / (MBITS * TCP_SECONDS)))
}

# udp NAME [ARGS...]: packets per second that arrive, of as many as can be sent.
udp() {
  local name=$1 line
  shift
  line=$(iperf -u -b 0 -l "$UDP_BYTES" -t "$TCP_SECONDS" "$@") ||
    { say "$line"; die "$WHO_RUNS" "iperf3 -u $* failed"; }
  [[ $line =~ ([0-9]+)/([0-9]+)\ \( ]] || return
  row "udp_${name}_pps" \
    $(((BASH_REMATCH[2] - BASH_REMATCH[1]) / TCP_SECONDS))
}

# --- In turn ----------------------------------------------------------------

echo 192 >/proc/sys/vm/nr_hugepages
read -ra contenders <<<"$WHO"
for ((round = 0; round < ROUNDS; round++)); do
  for ((i = 0; i < ${#contenders[@]}; i++)); do
    # Who goes first changes.
    who=${contenders[(i + round) % ${#contenders[@]}]}
    progress "round $((round + 1)) of $ROUNDS: $who"
    start "$who"
    iperf_server
    row ping_us "$(ping_median "$PINGS" 0.02)"
    tcp to_consumer
    tcp from_consumer -R
    udp to_consumer
    udp from_consumer -R
    kill "$IPERF_PID"
    wait "$IPERF_PID" 2>/dev/null
    stop
  done
done
