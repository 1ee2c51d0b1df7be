# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# `vdpa dev add` is killed while the device deals with DRIVER_OK: for the kernel
# it was never written. Linux's driver goes on all the same and sends a command,
# with the rtnl lock held until it is answered.

IDLE_SECONDS=${IDLE_SECONDS:-3}
LOST='DRIVER_OK is not in force'

said() { log_since_start | grep -c "$1"; }
until_said() { (($(said "$1") >= $2)); }

lose_driver_ok() {
  kill_at_line "$(serving)" "driver active" \
    vdpa dev add name "$NAME" mgmtdev vduse &&
    wait_for 5 until_said "$LOST" 1
}

host_goes_on() {
  local start
  now; start=$NOW
  timeout 20 ip link set lo up || return 1
  wait_for 10 find_netdev || return 1
  now
  echo "netdev=$CONSUMER after_ms=$(((NOW - start) / 1000))"
}
commands() {
  timeout 10 ethtool -C "$CONSUMER" rx-usecs "$1" rx-frames 16 || return 1
  timeout 10 ethtool -c "$CONSUMER" | grep "rx-usecs:.*$1"
}
# asleep: nothing is retried.
asleep() {
  local before
  nap 1
  before=$(switches)
  nap "$IDLE_SECONDS"
  echo "wake-ups=$(($(switches) - before)) in $IDLE_SECONDS s"
  (($(switches) == before))
}
# If the driver's DRIVER_OK is not in force, the virtio core writes it a second
# time. That write is lost, too. The device logs it only if it reads the request
# before the kernel withdraws it, so there are one or two log lines.
said_seldom() {
  local times
  times=$(said "$LOST")
  echo "times=$times"
  ((times == 1 || times == 2))
}

launch_device --queue-pairs 2 --hang-msecs 0
irq_setup
irq_reset
check lost lose_driver_ok
check host host_goes_on || die host "it hangs"
check commands commands 100
check asleep asleep
check said-seldom said_seldom

kill_device
launch_device --queue-pairs 2
check successor-said wait_for 5 until_said "$LOST" 1
check successor-commands commands 200
check successor-asleep asleep
check successor-said-seldom said_seldom

check removed timeout 20 vdpa dev del "$NAME"
attach_device
setup_tap
take_netdev
check ping wait_for 5 ping_once
check tcp-server iperf_server
check tcp some_tcp
check stop stopped
