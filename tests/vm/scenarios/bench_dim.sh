# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# What the driver's own adaptive coalescing (DIM, ethtool's adaptive-rx) makes
# of loads that follow one another: how often it set each rx-usecs, by the
# device's log, and interrupts per second. Control-queue gate lifted. Prints
#   ROW dim LOAD FIGURE VALUE
# and what was set over time. tests/bench/run.sh makes a table of it.

SECONDS_EACH=${SECONDS_EACH:-6}
PACED_US=${PACED_US:-100}  # between two packets of the paced load
ROUNDS=${ROUNDS:-5}
PROFILES="1 8 64 128 256"

irq_setup
start_device --attach
iperf_server

# load NAME COMMAND...
load() {
  local name=$1 mark begin interrupts values usecs
  shift
  mark=$(stat -c %s "$DEVICE_LOG")
  interrupts=$(irq_total rx)
  now; begin=$NOW
  "$@" >/tmp/load 2>&1 || die "$name" "$(tail -n 3 /tmp/load)"
  now
  interrupts=$((($(irq_total rx) - interrupts) * 1000000 / (NOW - begin)))
  values=$(tail -c +$((mark + 1)) "$DEVICE_LOG" |
    sed -nE 's/.*VQ_SET.*usecs=([0-9]+).*/\1/p')
  progress "$name: ${values//$'\n'/ }"
  for usecs in $PROFILES; do
    say "ROW dim $name ${usecs}_us $(grep -cx "$usecs" <<<"$values")"
  done
  say "ROW dim $name interrupts/s $interrupts"
}
low() { measure_flow rx $((SECONDS_EACH * 200)) 5000; }
paced() { measure_flow rx $((SECONDS_EACH * 1000000 / PACED_US)) "$PACED_US"; }

for ((round = 0; round < ROUNDS; round++)); do
  c ethtool -C "$CONSUMER" adaptive-rx on || die ethtool "adaptive-rx refused"
  load low low
  load paced paced
  load tcp iperf -t "$SECONDS_EACH"
  load low_again low
  c ethtool -C "$CONSUMER" adaptive-rx off rx-usecs 0 rx-frames 1 ||
    die ethtool "adaptive-rx off refused"
done
