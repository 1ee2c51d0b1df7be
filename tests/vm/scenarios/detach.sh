# shellcheck shell=bash disable=SC1091,SC2015,SC2034,SC2086,SC2153
# SPDX-License-Identifier: Apache-2.0
# Needs: userland
#
# A device is detached while a QEMU guest uses it: it is served until the VMM
# ends, and no other command on the host has to wait for the VMM.
. /qemu.sh

ip link add other0 type veth peer name other1 || die veth "cannot add it"

# others_answer: commands that take the locks of the vDPA bus, of generic
# netlink or of rtnl. The fastest of three rounds counts: if a lock is held
# until the VMM ends, every round is slow; on a busy machine at least one is
# fast.
others_answer() {
  local command start best round worst=0 worst_of=none
  for command in "vdpa dev show" "vdpa mgmtdev show" "ethtool -l other0" \
    "ip tcp_metrics show" "ip link set other0 up" \
    "ip link add other2 type veth peer name other3" "ip link delete other2"; do
    best=
    for round in 1 2 3; do
      now; start=$NOW
      # What it says is of no interest, only that it is there.
      timeout 10 $command >/tmp/other 2>&1
      (($? == 124)) && { echo "$command: no answer within 10 s"; return 1; }
      now
      [[ -n $best ]] && ((best <= NOW - start)) || best=$((NOW - start))
      # A name is added, or deleted, once.
      [[ $command != *other2* ]] || break
    done
    if ((best > worst)); then worst=$best worst_of=$command; fi
  done
  echo "worst_ms=$(ms "$worst") ($worst_of)"
  ((worst <= 500000))
}
# served: the guest notices nothing.
served() {
  over "$1" && { echo "it did not wait for the VMM"; return 1; }
  ping -n -q -c 10 -i 0.05 -W 1 "$CONSUMER_IP"
}
# ends_after_guest PID: it does, and says how long after the VMM.
ends_after_guest() {
  local start
  stop_guest
  now; start=$NOW
  wait_for 20 over "$1" || { echo "still there after 20 s"; return 1; }
  now
  wait "$1" || { echo "exit status $?"; return 1; }
  echo "ms=$(ms $((NOW - start)))"
}

start_for_guest
start_guest generic
guest_link_up || die guest "cannot set up $CONSUMER"
check ping wait_for 20 ping_once
check others-before others_answer

# --- `vduse-net detach` -------------------------------------------------------

vduse-net detach "$NAME" >/tmp/detach 2>&1 3>&- &
detach=$!
unbinds() { [[ ! -e $VHOST ]]; }
check detach-begins wait_for 20 unbinds
check detach-others others_answer
check detach-served served "$detach"
check detach-ends ends_after_guest "$detach"
off_the_bus() { [[ ! -e /sys/bus/vdpa/devices/$NAME && -e /dev/vduse/$NAME ]]; }
check detach-leaves-the-device off_the_bus

# --- SIGTERM ------------------------------------------------------------------

attach_device
wait_for 5 test -c "$VHOST" || die vhost "no $VHOST after 5 s"
start_guest generic
guest_link_up || die guest "cannot set up $CONSUMER"
check next-guest wait_for 20 ping_once
kill -TERM "$DEVICE_PID"
check stop-begins wait_for 20 unbinds
check stop-others others_answer
check stop-served served "$DEVICE_PID"
said() { logged "until the process that has $VHOST open"; }
check stop-said wait_for 20 said
check stop-ends ends_after_guest "$DEVICE_PID"
DEVICE_PID=
CONSUMER=none
check no-trace no_trace
