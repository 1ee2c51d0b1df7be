# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# How packets get into and out of the TAP, each way with the real driver; and
# what a device does that has nothing to do.
TCP_SECONDS=${TCP_SECONDS:-1}
IDLE_SECONDS=${IDLE_SECONDS:-10}

# Times that any thread of the device gave up its processor, or lost it.
switches() {
  local task total=0 key value
  for task in /proc/"$DEVICE_PID"/task/*/status; do
    while read -r key value; do
      [[ $key != *ctxt_switches: ]] || total=$((total + value))
    done <"$task"
  done
  echo "$total"
}
# What the consumer's and the TAP's stacks say of themselves is not idle.
quiet() {
  ip neigh replace "$CONSUMER_IP" lladdr "$CONSUMER_MAC" nud permanent \
    dev "$TAP"
  ip -n consumer neigh replace "$TAP_IP" \
    lladdr "$(<"/sys/class/net/$TAP/address")" nud permanent dev "$CONSUMER"
  nap 1
}
idle() {
  local before
  quiet
  before=$(switches)
  nap "$IDLE_SECONDS"
  echo "wake-ups=$(($(switches) - before)) in $IDLE_SECONDS s"
  (($(switches) == before))
}
flow() {
  measure_flow "$1" 2000 200
  figures
  ((SENT == 2000 && LOST == 0))
}

# with_engine NAME ARGS...
with_engine() {
  local name=$1
  shift
  start_device --attach "$@"
  iperf_server
  check "$name-tcp-rx" some_tcp
  check "$name-tcp-tx" some_tcp -R
  check "$name-small-rx" some_tcp -M 536
  check "$name-small-tx" some_tcp -M 536 -R
  check "$name-udp-rx" flow rx
  check "$name-udp-tx" flow tx
  kill "$IPERF_PID"
  wait "$IPERF_PID"
  check "$name-idle" idle
  check "$name-stop" stopped
}

irq_setup
with_engine io_uring --engine io_uring
check io_uring-used test "$(grep -c 'without io_uring' "$DEVICE_LOG")" -eq 0
with_engine syscalls --engine syscalls
with_engine polling --busy-poll-usecs 100

# Where the operator has switched it off.
echo 2 >/proc/sys/kernel/io_uring_disabled
refused() {
  local status=0
  vduse-net run --name "$NAME" --tap "$TAP" --engine io_uring \
    >/tmp/refused 2>&1 || status=$?
  tail -n 1 /tmp/refused
  ((status == 3)) && grep -q -- '--engine io_uring' /tmp/refused
}
check disabled-refused refused
start_device --attach
check disabled-said logged 'goes without io_uring'
check disabled-ping ping -c 3 -i 0.2 -W 2 -q "$CONSUMER_IP"
check disabled-stop stopped
