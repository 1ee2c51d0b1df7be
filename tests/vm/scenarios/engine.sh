# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# The engines io_uring and syscalls, and busy polling, with Linux's driver; and
# that an idle device does not wake up.
TCP_SECONDS=${TCP_SECONDS:-1}
IDLE_SECONDS=${IDLE_SECONDS:-10}

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
