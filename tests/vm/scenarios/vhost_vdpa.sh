# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
# Needs: vhost
#
# The consumer is a program of ours on /dev/vhost-vdpa-N, which does by single
# calls what a VMM may do: see tests/tools/vhost_vdpa_test.cc.
# shellcheck disable=SC2034  # for lib.sh: there is no netdev
CONSUMER=none
VHOST=/dev/vhost-vdpa-0
FILE=/tmp/state.json

launch_device --tx-usecs 1000000 --tx-frames 1000
attach_device
ip link set "$TAP" up arp off || die tap "cannot set up $TAP"
wait_for 5 test -c "$VHOST" || die vhost "no $VHOST after 5 s"

# one TEST: in a process of its own, which opens the device anew.
one() {
  local status=0
  VHOST=$VHOST TAP=$TAP SAVE="vduse-net state save $FILE --name $NAME" \
    timeout 60 vhost_vdpa_test --gtest_filter="*.$1" \
    >/tmp/test.out 2>&1 || status=$?
  cat /tmp/test.out
  grep -E '^\[ +(OK|FAILED) ' /tmp/test.out | head -n 1
  ((status == 0)) && grep -q '^\[  PASSED  \] 1 test' /tmp/test.out
}
tests=0
while read -r test; do
  [[ $test != *. && $test != BrokenRingsInALoop* ]] || continue
  tests=$((tests + 1))
  check "$test" one "$test"
done < <(vhost_vdpa_test --gtest_list_tests --gtest_filter='-*KillTest*' |
  grep -v '^Running')
all_there() {
  echo "tests=$tests"
  ((tests > 0))
}
check all-there all_there

# Life after life, with the link down and up in each: the log says so for a
# while, and then how much more of it there was.
log_lines() { wc -l <"$DEVICE_LOG"; }
log_bounded() {
  local before lines
  before=$(log_lines)
  one BrokenRingsInALoopAreFollowedByALife >/tmp/loop 2>&1 ||
    { cat /tmp/loop; return 1; }
  lines=$(($(log_lines) - before))
  echo "lives=150 lines=$lines"
  ((lines > 0 && lines < 150))
}
check log-bounded log_bounded

# What was saved in the middle of a suspend is good elsewhere.
restores() {
  vduse-net run --name "$NAME" --tap "$TAP" --restore "$FILE" \
    >/tmp/restore.out 2>&1 3>&- 7>&- &
  local pid=$!
  wait_for 5 file_has ready /tmp/restore.out || { cat /tmp/restore.out; return 1; }
  kill -TERM "$pid"
  wait "$pid"
}
# The bus says of a device whose state is lost that it is a network device.
state_lost() {
  kill_device
  rm "/run/vduse-net/$NAME.state" || return 1
  LOG_BASE=$(stat -c %s "$DEVICE_LOG")
  spawn_device
  wait_for 10 device_ready || { echo "not ready after 10 s"; return 1; }
  gone "$DEVICE_PID" && { echo "it has ended"; return 1; }
  log_since_start | grep -o 'adopting it'
}
check state-lost state_lost
# Detaching waits for whoever has the device open, and says so.
stop_waits() {
  exec 30<>"$VHOST" || return 1
  kill -TERM "$DEVICE_PID"
  wait_for 5 logged "until the process that has $VHOST open" ||
    { echo "the log does not say what it waits for"; exec 30>&-; return 1; }
  gone "$DEVICE_PID" && { echo "did not wait"; exec 30>&-; return 1; }
  exec 30>&-
  wait_for 1 gone "$DEVICE_PID" || { echo "still there 1 s later"; return 1; }
  wait_for 1 no_trace || { echo "something is left behind"; return 1; }
  log_since_start | grep -o 'not detached yet.*'
}
check stop-waits stop_waits
DEVICE_PID=
if [[ $KERNEL != 6.12 ]]; then
  # The test had sent five frames.
  position_of_tx() {
    tr -d ' \n' <"$FILE" | grep -o '"positions":[^]]*' | tail -n 1 >/tmp/tx
    cat /tmp/tx
    grep -qE "^\"positions\":\[[0-9]+,$1(,|\$)" /tmp/tx
  }
  check state-was-saved position_of_tx 5
  check restores restores
fi
