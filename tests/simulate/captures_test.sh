#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: captures_test.sh PROGRAM
#
# `vduse-net simulate` with captures of every kind, as files, on
# standard input and by a pipe.
set -euo pipefail

program=$1
captures="$(dirname "${BASH_SOURCE[0]}")/captures"
failures=0

# expect NAME GOT WANTED
expect() {
  [[ $2 == "$3" ]] && return
  printf 'wrong: %s\n  wanted: %s\n  got: %s\n' "$@"
  failures=$((failures + 1))
}
# has NAME TEXT PART
has() {
  [[ $2 == *"$3"* ]] && return
  printf 'wrong: %s\n  wanted: ...%s...\n  got: %s\n' "$1" "$3" "$2"
  failures=$((failures + 1))
}
simulate() { "$program" simulate --pcap "$@" 2>&1; }

wanted=$(simulate "$captures/usecs.pcap" off 3/64)
has "three packets" "$wanted" "off                        3"
for name in usecs.pcapng nsecs.pcap two_interfaces.pcapng; do
  expect "$name" "$(simulate "$captures/$name" off 3/64)" "$wanted"
  expect "$name on standard input" \
    "$(simulate - off 3/64 <"$captures/$name")" "$wanted"
done
expect "unpacked" "$(zcat "$captures/usecs.pcap.gz" | simulate - off 3/64)" \
  "$wanted"
has "packed" "$(simulate "$captures/usecs.pcap.gz" || echo "ends with $?")" \
  "usecs.pcap.gz | vduse-net simulate --pcap -"
has "packed" "$(simulate "$captures/usecs.pcap.gz" || echo "ends with $?")" \
  "ends with 2"
has "packed, by a pipe" "$(simulate - <"$captures/usecs.pcap.gz" || true)" \
  "standard input: it is compressed: \`zcat FILE"

two_ways="$captures/two_ways.pcap"
has "filter" "$(simulate "$two_ways" --filter 'udp port 53' off)" \
  "two_ways.pcap: 2 of 4 packets"
has "one direction" "$(simulate "$two_ways" --to 52:54:00:00:00:01 off)" \
  "two_ways.pcap: 2 of 4 packets"
has "the other" "$(simulate "$two_ways" --from 52:54:00:00:00:01 \
  --filter udp off)" "two_ways.pcap: 1 of 4 packets"
has "wrong filter" "$(simulate "$two_ways" --filter 'udp prt 53' off || true)" \
  "filter 'udp prt 53': "
has "wrong address" "$(simulate "$two_ways" --to x off || true)" \
  "--to: MAC address 'x' is not of the form"
has "no capture" "$("$program" simulate --arrivals steady:5 --filter udp 2>&1 ||
  true)" "--filter requires --pcap"

has "a clock that is set back" \
  "$(simulate "$captures/clock_steps_back.pcap" off)" "steps back 1 time(s)"
has "each packet is notified of" \
  "$(simulate "$captures/clock_steps_back.pcap" off)" \
  "off                      199"
has "one wrong time" "$(simulate "$captures/one_late_time.pcap" off)" \
  "1 packet(s) have a time that does not fit"

exit $((failures > 0))
