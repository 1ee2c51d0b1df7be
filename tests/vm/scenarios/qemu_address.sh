# shellcheck shell=bash disable=SC1091,SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
# Needs: migration
#
# QEMU serves the guest's control queue itself, which it does if the device
# offers only features that QEMU's shadow virtqueues support, and sets a MAC
# address on the device: the one of `mac=`, or QEMU's default. The guest uses
# the device's address.
. /qemu.sh
GUEST_QEMU=/newer/bin/qemu-system-x86_64

# The features that keep QEMU from serving the control queue itself; the device
# does not offer them here.
UNKNOWN=GUEST_ANNOUNCE,DEVICE_STATS,VQ_NOTF_COAL,NOTF_COAL,GUEST_USO4
UNKNOWN+=,GUEST_USO6,HOST_USO
QEMUS=52:54:00:12:34:56

between() {
  logged 'control queue in address space 1' &&
    log_since_start | grep -m 1 'control queue in address space'
}
named() {
  log_since_start | grep -m 1 \
    "says MAC address $1.* made with $CONSUMER_MAC:.* packets for every address"
}
reached() {
  guest_link_up || return 1
  ip neigh flush dev "$TAP"  # which has the address from before
  wait_for 10 ping_once || { echo "no ping"; return 1; }
  c cat "/sys/class/net/$CONSUMER/address"
  ping -n -q -c 20 -i 0.05 -W 2 "$CONSUMER_IP" 2>&1 |
    grep -m 1 ' 0% packet loss'
}
unnamed() { ! named '.*'; }

start_for_guest --without "$UNKNOWN"
start_guest netdev
check own-address reached
check between between
check named named "$QEMUS"
stop_guest
# The next one, with the device's.
LOG_BASE=$(stat -c %s "$DEVICE_LOG")
GUEST_NIC=,mac=$CONSUMER_MAC
start_guest netdev
check same-address reached
check not-named unnamed
# The guest changes it; QEMU passes that on.
OTHER_MAC=02:00:5e:10:00:99
other() {
  c ip link set "$CONSUMER" address "$OTHER_MAC" || return 1
  reached
}
check changed-address other
stop_guest
# And one with another again.
other=02:00:5e:10:00:77
GUEST_NIC=,mac=$other
start_guest netdev
check another-address reached
check another-named named "$other"
stop_guest
check stop stopped

GUEST_NIC=
start_for_guest --without "MAC,$UNKNOWN"
start_guest netdev
check no-address reached
stop_guest
check stop-no-address stopped
