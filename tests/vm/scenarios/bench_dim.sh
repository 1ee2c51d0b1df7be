# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# What the driver's own adaptive coalescing (DIM, ethtool's adaptive-rx) makes
# of loads that follow one another: how often it set each rx-usecs, by the
# device's log, and interrupts per second. Control-queue gate lifted. Prints
#   ROW dim LOAD FIGURE VALUE
# and what was set over time, as far as the device logged it: ten a second.
# tests/bench/run.sh makes a table of it.

SECONDS_EACH=${SECONDS_EACH:-6}
PACED_US=${PACED_US:-100}  # between two packets of the paced load
ROUNDS=${ROUNDS:-5}
PROFILES="1 8 64 128 256"

irq_setup
start_device --attach
iperf_server

# load NAME COMMAND...
load() {
  local name=$1 mark log values usecs unlogged=0
  shift
  mark=$(stat -c %s "$DEVICE_LOG")
  "$@" >/tmp/load 2>&1 || die "$name" "$(tail -n 3 /tmp/load)"
  log=$(tail -c +$((mark + 1)) "$DEVICE_LOG" | grep 'VQ_SET rx')
  values=$(sed -nE 's/.*usecs=([0-9]+).*/\1/p' <<<"$log")
  while read -r usecs; do
    unlogged=$((unlogged + usecs))
  done < <(sed -nE 's/.*\(([0-9]+) changes before it not logged.*/\1/p' <<<"$log")
  progress "$name: ${values//$'\n'/ }"
  for usecs in $PROFILES; do
    say "ROW dim $name ${usecs}_us $(grep -cx "$usecs" <<<"$values")"
  done
  say "ROW dim $name not_logged $unlogged"
  say "ROW dim $name interrupts/s $((IRQS * 1000000 / ELAPSED_US))"
}
tcp() {
  irq_reset
  now; local begin=$NOW
  iperf -t "$SECONDS_EACH" || return 1
  now
  IRQS=$(irq_count rx) ELAPSED_US=$((NOW - begin))
}
low() { measure_flow rx $((SECONDS_EACH * 200)) 5000; }
paced() { measure_flow rx $((SECONDS_EACH * 1000000 / PACED_US)) "$PACED_US"; }

for ((round = 0; round < ROUNDS; round++)); do
  c ethtool -C "$CONSUMER" adaptive-rx on || die ethtool "adaptive-rx refused"
  load low low
  load paced paced
  load tcp tcp
  load low_again low
  c ethtool -C "$CONSUMER" adaptive-rx off rx-usecs 0 rx-frames 1 ||
    die ethtool "adaptive-rx off refused"
done
