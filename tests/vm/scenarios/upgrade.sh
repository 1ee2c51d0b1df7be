# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# Another release of the program takes over under traffic, again and again; and
# programs that cannot. No packet may be lost, repeated or reordered. Gate
# lifted.

UPGRADES=${UPGRADES:-5}
PROGRAM=$(command -v vduse-net)

# The default, fq_codel, drops packets that wait for long.
echo pfifo_fast >/proc/sys/net/core/default_qdisc
echo 'verbose = false' >/tmp/more.conf
start_device --attach --config /tmp/more.conf
know_each_other
check ping wait_for 5 ping_once

# The new supervisor is not a child of this shell.
other_owner() {
  OWNER=$(<"/run/vduse-net/$NAME.lock") && [[ $OWNER != "$1" ]]
}
upgrades() {
  local round before start worst=0
  for ((round = 1; round <= UPGRADES; round++)); do
    nap "0.$(printf '%03d' $((40 + RANDOM % 120)))"
    LOG_BASE=$(stat -c %s "$DEVICE_LOG")
    before=$DEVICE_PID
    now; start=$NOW
    timeout 20 vduse-net upgrade "$NAME" ||
      { echo "round $round: status $?"; return 1; }
    other_owner "$before" || { echo "round $round: no new one"; return 1; }
    DEVICE_PID=$OWNER
    wait_for 5 logged '\bready\b' || { echo "round $round: not ready"; return 1; }
    wait_for 5 ping_once || { echo "round $round: no traffic"; return 1; }
    wait_for 5 over "$before" || { echo "round $round: two of them"; return 1; }
    now
    ((NOW - start > worst)) && worst=$((NOW - start))
    ((round % 10)) || progress "$round of $UPGRADES upgrades"
  done
  echo "upgrades=$UPGRADES worst_ms=$((worst / 1000))"
}
start_flows 2000
check upgrades upgrades

# --- Programs that cannot --------------------------------------------------------

# goes_on PROGRAM_TEXT WHY: the old one, which says why.
goes_on() {
  local status=0
  mv "$PROGRAM" /tmp/good
  printf '%s\n' "$1" >"$PROGRAM"
  chmod +x "$PROGRAM"
  LOG_BASE=$(stat -c %s "$DEVICE_LOG")
  kill -HUP "$DEVICE_PID"
  wait_for 15 logged "the upgrade has failed.*$2" || status=1
  mv /tmp/good "$PROGRAM"
  log_since_start | grep 'the upgrade has failed'
  over "$DEVICE_PID" && { echo "the supervisor has ended"; return 1; }
  wait_for 5 ping_once || { echo "no traffic"; return 1; }
  return "$status"
}
check not-a-program goes_on 'no program' 'it ended with status'
check crashes-at-once goes_on $'#!/bin/bash\nkill -SEGV $$' \
  'it was ended by signal 11'
check hangs goes_on $'#!/bin/bash\nread -r -t 60 <>/tmp/never' \
  'it does not get ready'
# A release that knows nothing of this finds the device served.
check knows-nothing-of-it goes_on \
  $'#!/bin/bash\nunset VDUSE_NET_SUCCEEDS\nexec /tmp/good "$@"' \
  'it ended with status'
# The new program reads the configuration again. What contradicts the device, or
# is wrong, is found before the old one ends.
config_refused() {
  local status=0
  echo "$1" >/tmp/more.conf
  LOG_BASE=$(stat -c %s "$DEVICE_LOG")
  kill -HUP "$DEVICE_PID"
  wait_for 15 logged "the upgrade has failed.*it ended with status 2" ||
    status=1
  logged "$2" || status=1
  log_since_start
  over "$DEVICE_PID" && { echo "the supervisor has ended"; return 1; }
  wait_for 5 ping_once || { echo "no traffic"; return 1; }
  return "$status"
}
check config-contradicts config_refused 'queue-size = 1024' \
  'was made with --queue-size 256'
check config-wrong config_refused 'bogus = 1' \
  "/tmp/more.conf:1: unknown key 'bogus'"
check config-user config_refused 'user = nobody-of-that-name' \
  "no user 'nobody-of-that-name'"
check no-such-device bash -c \
  'timeout 5 vduse-net upgrade other 2>&1; (($? == 1))'

stop_flows
check flow-rx flow_went_on rx 0 0
check flow-tx flow_went_on tx 0 0

# stop_device waits for a child of this shell, and this one is not.
ended() {
  kill -TERM "$DEVICE_PID"
  wait_for 5 over "$DEVICE_PID" || { echo "still there after 5 s"; return 1; }
  DEVICE_PID=
  wait_for 1 no_trace
}
check stop ended
