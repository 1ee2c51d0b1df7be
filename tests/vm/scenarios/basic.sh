# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# Attaching and detaching the device leave nothing behind, the device reports
# the expected properties, and traffic passes unchanged. Control-queue gate
# lifted.

ROUNDS=${ROUNDS:-10}
FRAMES=${FRAMES:-100000}

check check-command vduse-net check

detached() {
  [[ ! -e /sys/bus/vdpa/devices/$NAME ]] &&
    ! ip -n consumer link show "$CONSUMER" >/dev/null 2>&1
}

# Each round: vdpa dev add, netdev, vdpa dev del, SIGTERM.
add_and_delete() {
  local round before start del_us=0 stop_us=0
  for ((round = 1; round <= ROUNDS; round++)); do
    launch_device
    before=$(device_fds)
    attach_device
    setup_tap
    take_netdev
    now; start=$NOW
    timeout 10 vdpa dev del "$NAME" ||
      { echo "round $round: vdpa dev del failed"; return 1; }
    wait_for 3 detached ||
      { echo "round $round: still attached 3 s after dev del"; return 1; }
    now
    ((NOW - start > del_us)) && del_us=$((NOW - start))
    if (($(device_fds) > before)); then
      echo "round $round: $(device_fds) fds, $before before vdpa dev add"
      for pid in $(device_pids); do ls -l "/proc/$pid/fd"; done
      return 1
    fi
    [[ -e /dev/vduse/$NAME ]] ||
      { echo "round $round: dev del took /dev/vduse/$NAME too"; return 1; }
    stop_device || { echo "round $round: $STOP_WHY"; return 1; }
    ((STOP_US > stop_us)) && stop_us=$STOP_US
  done
  echo "rounds=$ROUNDS worst_del_ms=$(ms "$del_us")" \
    "worst_sigterm_ms=$(ms "$stop_us")"
  ((del_us <= 3000000))
}
check vdpa-dev-add-del add_and_delete

# Each round: --attach, netdev, SIGTERM while attached.
attach_and_stop() {
  local round stop_us=0
  for ((round = 1; round <= ROUNDS; round++)); do
    start_device --attach
    wait_for 5 ping_once || { echo "round $round: no ping"; return 1; }
    stop_device || { echo "round $round: $STOP_WHY"; return 1; }
    ((STOP_US > stop_us)) && stop_us=$STOP_US
  done
  echo "rounds=$ROUNDS worst_sigterm_ms=$(ms "$stop_us")"
}
check attach-sigterm attach_and_stop

# The program's own commands for the bus.
own_commands() {
  launch_device
  vduse-net attach "$NAME" || return 1
  vduse-net show "$NAME" >/tmp/show || { cat /tmp/show; return 1; }
  grep -q "driver virtio_vdpa" /tmp/show || { cat /tmp/show; return 1; }
  vduse-net attach "$NAME" && { echo "attached twice"; return 1; }
  vduse-net detach "$NAME" || return 1
  vduse-net show "$NAME" && { echo "still on the bus"; return 1; }
  vduse-net detach "$NAME" && { echo "detached twice"; return 1; }
  stop_device || { echo "$STOP_WHY"; return 1; }
  cat /tmp/show
}
check own-bus-commands own_commands

# Looks at the TAP as soon as the process has ended.
end_device() {
  local status=0
  kill -TERM "$DEVICE_PID"
  wait "$DEVICE_PID" || status=$?
  DEVICE_PID=
  return "$status"
}
own_tap() {
  local round
  for ((round = 1; round <= ROUNDS; round++)); do
    launch_device
    end_device || return 1
    [[ ! -e /sys/class/net/$TAP ]] ||
      { echo "round $round: $TAP left behind"; return 1; }
  done
}
check takes-its-tap-away own_tap
operators_tap() {
  local round
  for ((round = 1; round <= ROUNDS; round++)); do
    ip tuntap add "$TAP" mode tap || return 1
    launch_device
    end_device || return 1
    [[ -e /sys/class/net/$TAP ]] || { echo "$TAP is gone"; return 1; }
    # EBUSY while somebody has it open.
    ip tuntap del "$TAP" mode tap ||
      { echo "round $round: $TAP is not free"; return 1; }
  done
}
check leaves-a-tap-that-was-there operators_tap
# The largest MTU of a TAP is 65521.
failed_tap() {
  local status=0
  vduse-net run --name "$NAME" --tap "$TAP" --mtu 65535 >/tmp/bad 2>&1 ||
    status=$?
  echo "status=$status $(tail -n 1 /tmp/bad)"
  ((status == 1)) && grep -q "MTU 65535 of interface '$TAP'.*maxmtu" /tmp/bad &&
    [[ ! -e /sys/class/net/$TAP && ! -e /dev/vduse/$NAME ]]
}
check takes-away-a-tap-that-failed failed_tap

bad_tap() {
  local status=0
  vduse-net run --name "$NAME" --tap lo >/tmp/bad 2>&1 || status=$?
  echo "status=$status $(tail -n 1 /tmp/bad)"
  ((status == 1)) && grep -q "is not a TAP" /tmp/bad &&
    [[ ! -e /dev/vduse/$NAME ]]
}
check refuses-what-is-no-tap bad_tap

start_device --attach
timeout 10 vdpa dev config show "$NAME" >/tmp/config 2>&1
cat /tmp/config >&3
shows() {
  grep -oE "$1" /tmp/config || { cat /tmp/config; return 1; }
}
check config-mac shows "mac $CONSUMER_MAC"
check config-mtu shows 'mtu 1500'
# Before it learnt their names iproute2 showed the bits' numbers.
check config-vq-notf-coal shows '(VQ_NOTF_COAL|bit_52)'
check config-notf-coal shows '([^Q]_NOTF_COAL| NOTF_COAL|bit_53)'
check config-ctrl-vq shows 'CTRL_VQ'

check ping ping -n -q -c 20 -i 0.05 -W 1 "$CONSUMER_IP"

iperf_server
some_udp() { iperf -t 3 -u -b 10M -l 1400 "$@" && ((MBITS > 0 && LOSS <= 1)); }
check iperf-tcp-rx some_tcp
check iperf-tcp-tx some_tcp -R
check iperf-udp-rx some_udp
check iperf-udp-tx some_udp -R

check frames-rx frame_check --from "$TAP" --to "$CONSUMER@consumer" \
  --count "$FRAMES" --seed 1
check frames-tx frame_check --from "$CONSUMER@consumer" --to "$TAP" \
  --count "$FRAMES" --seed 2

check stop stopped
