# shellcheck shell=bash disable=SC1091,SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
# Needs: userland
#
# The consumer is DPDK's virtio-user, which polls and wants no interrupts.
# testpmd sends back what it gets: what goes into the TAP comes out of it.
. /qemu.sh

FRAMES=${FRAMES:-1000000}
WINDOW=${WINDOW:-128}
# shellcheck disable=SC2034  # for lib.sh: there is no netdev
CONSUMER=none

mkfifo /tmp/testpmd.in
exec 20<>/tmp/testpmd.in

# launch_testpmd: its memory is a shared file, without which the device could
# not map it. One CPU for it alone: it never waits.
launch_testpmd() {
  dpdk-testpmd -l 0,1 --no-pci --no-huge -m 128 --iova-mode=va \
    --no-telemetry \
    --vdev "net_virtio_user0,path=$VHOST,queues=1,queue_size=256" \
    -- --forward-mode=io --port-topology=loop --nb-cores=1 --no-numa \
    --rxd=256 --txd=256 --total-num-mbufs=4096 \
    <&20 >/tmp/testpmd.log 2>&1 3>&- 7>&- &
  TESTPMD_PID=$!
}

round_trip() { frame_check --from "$TAP" --to "$TAP" "$@"; }

# some_frames: succeeds if a few frames return, or if testpmd has ended, so that
# waiting is pointless.
some_frames() {
  gone "$TESTPMD_PID" || round_trip --count 20 --idle-ms 200
}
start_testpmd() {
  launch_testpmd
  wait_for 20 some_frames >/tmp/some_frames && ! gone "$TESTPMD_PID" || {
    say "$(</tmp/testpmd.log)"
    kill -KILL "$TESTPMD_PID" 2>/dev/null
    die testpmd "does not send frames back: $(tail -n 1 /tmp/some_frames)"
  }
  tail -n 1 /tmp/some_frames
}

# stop_testpmd: it ends at a new line, and says what it has seen.
stop_testpmd() {
  local status=0
  echo >&20
  wait_for 10 gone "$TESTPMD_PID" || {
    kill -KILL "$TESTPMD_PID"
    echo "still running after 10 s"
  }
  wait "$TESTPMD_PID" || status=$?
  say "$(</tmp/testpmd.log)"
  echo "status=$status" \
    "$(grep -oE '[RT]X-(packets|dropped): *[0-9]+' /tmp/testpmd.log |
      tail -n 4 | sed 's/: */=/' | tr '\n' ' ')"
  ((status == 0))
}

start_for_guest
check starts start_testpmd
progress "$FRAMES frames, all compared"
check frames timeout 300 frame_check --from "$TAP" --to "$TAP" \
  --count "$FRAMES" --window "$WINDOW" --seed 3
check testpmd-ends stop_testpmd
# The device is as good as new for the next one.
check starts-again start_testpmd
check frames-again round_trip --count 20000 --seed 4
check ends-again stop_testpmd
check stop stopped
