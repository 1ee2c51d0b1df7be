# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
# Needs: vhost
#
# The process that serves the device is killed while each kind of request that
# only a VMM causes is under way: each is answered by the next process. The VMM
# is a program of ours, see tests/tools/vhost_vdpa_kill_test.cc.
CONSUMER=none  # for lib.sh: there is no netdev
VHOST=/dev/vhost-vdpa-0

launch_device
attach_device
ip link set "$TAP" up arp off || die tap "cannot set up $TAP"
wait_for 5 test -c "$VHOST" || die vhost "no $VHOST after 5 s"

# one TEST: in a process of its own, which kills the device process once.
one() {
  local status=0
  wait_for 5 find_child stby || { echo "no standby"; return 1; }
  VHOST=$VHOST TAP=$TAP SERVING=$(serving) \
    timeout 60 vhost_vdpa_test --gtest_filter="$1" >/tmp/test.out 2>&1 ||
    status=$?
  cat /tmp/test.out
  grep -E '^(ms=.*|.* is no such request|.* one address space)$' \
    /tmp/test.out | tail -n 1
  ((status == 0)) && grep -qE '^\[  (PASSED|SKIPPED) +\] 1 test' /tmp/test.out
}
tests=0 suite=
while read -r test _; do
  if [[ $test == *. ]]; then suite=$test; continue; fi
  tests=$((tests + 1))
  check "$test" one "$suite$test"
done < <(vhost_vdpa_test --gtest_list_tests --gtest_filter='*KillTest*' |
  grep -v '^Running')
all_there() {
  echo "tests=$tests"
  ((tests > 0))
}
check all-there all_there
check stop stopped
