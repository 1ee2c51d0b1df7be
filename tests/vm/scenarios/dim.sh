# shellcheck shell=bash disable=SC2015,SC2016,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# What the driver's own adaptive coalescing (DIM, ethtool's adaptive-rx) makes
# of loads that follow one another: it settles where the load wants it, and the
# device has what it chose. Control-queue gate lifted. Prints, too,
#   ROW dim LOAD FIGURE VALUE     the percentage of the time for which each
#                                 rx-usecs was set, how often it was changed,
#                                 interrupts per second, packets per second
#   CHOICE ROUND LOAD MS USECS    each change, since the load's beginning, and
#                                 what was set when it began and when it ended
# of which tests/bench/run.sh makes a table and a chart. DIM compares samples of
# 64 interrupts with each other: only with boot.sh's --icount is a load the same
# in all of them.

SECONDS_EACH=${SECONDS_EACH:-1}
LOW_US=${LOW_US:-5000}  # between two packets
PACED_US=${PACED_US:-40}
ROUNDS=${ROUNDS:-1}
LOADS=${LOADS:-paced,in_turn}

((ICOUNT)) || die icount "this is for boot.sh --icount"

irq_setup
# The driver asks for the setting of what DIM chose, once for each change.
echo 'r:choice net_dim_get_rx_irq_moder usecs=+0($retval):u16' \
  >>"$TRACING/kprobe_events" && echo mono >"$TRACING/trace_clock" &&
  echo 1 >"$TRACING/events/kprobes/choice/enable" ||
  die kprobe "cannot see what DIM chooses"
start_device --attach
iperf_server

# packets: that the consumer's driver received.
packets() { c cat "/sys/class/net/$CONSUMER/statistics/rx_packets"; }

# load NAME COMMAND...: sets GOT and IRQS_TAKEN, of it, and CHOSEN, the rx-usecs
# at its end. The choices are in /tmp/choices.
load() {
  local name=$1 begin got usecs
  shift
  echo >"$TRACING/trace"
  got=$(packets)
  irq_reset
  now; begin=$NOW
  echo begin >"$TRACING/trace_marker"
  "$@" >/tmp/load 2>&1 || die "$name" "$(tail -n 3 /tmp/load)"
  echo end >"$TRACING/trace_marker"
  now
  IRQS_TAKEN=$(irq_count rx) GOT=$(($(packets) - got))
  awk -v load="$name" -v round="$ROUND" -v usecs="$CHOSEN" '
    { at = $0; sub(/^.* \[[0-9]+\] [^ ]+ +/, "", at); at = at + 0 }
    / tracing_mark_write: begin/ { begin = at }
    / choice: / { usecs = $NF; sub(/.*=/, "", usecs) }
    begin { print "CHOICE", round, load, int((at - begin) * 1000), usecs }
    ' "$TRACING/trace" >/tmp/choices
  CHOSEN=$(sed -n 's/^CHOICE.* //p' /tmp/choices | tail -n 1)
  cat /tmp/choices >&3
  for usecs in 0 1 8 64 128 256; do
    say "ROW dim $name ${usecs}_us_percent_of_time" \
      "$(percent_of_time 0 "$usecs" "$usecs")"
  done
  say "ROW dim $name changes $(($(wc -l </tmp/choices) - 2))"
  say "ROW dim $name interrupts/s $((IRQS_TAKEN * 1000000 / (NOW - begin)))"
  say "ROW dim $name packets/s $((GOT * 1000000 / (NOW - begin)))"
}
# percent_of_time FROM LEAST MOST: prints the percentage of the last load's
# duration during which rx-usecs was LEAST to MOST. The first FROM percent of
# the load are left out.
percent_of_time() {
  awk -v from="$1" -v least="$2" -v most="$3" '
    { at[NR] = $4; usecs[NR] = $5 }
    END {
      begin = at[NR] * from / 100
      for (i = 1; i < NR; i++) {
        if (usecs[i] < least || usecs[i] > most || at[i + 1] < begin) continue
        in_it += at[i + 1] - (at[i] > begin ? at[i] : begin)
      }
      printf "%.0f\n", in_it * 100 / (at[NR] - begin)
    }' /tmp/choices
}

# settled LEAST MOST: where it is after the first half.
settled() {
  local percent
  percent=$(percent_of_time 50 "$1" "$2")
  echo "percent=$percent least=$1 most=$2 last=$CHOSEN"
  ((percent >= 90))
}
# saves FACTOR: so many packets per interrupt, or more.
saves() {
  echo "packets=$GOT interrupts=$IRQS_TAKEN"
  ((GOT >= IRQS_TAKEN * $1))
}
in_force() { shows "rx queue 0: usecs $CHOSEN frames [0-9]* set by driver"; }

low() { measure_flow rx $((SECONDS_EACH * 1000000 / LOW_US)) "$LOW_US"; }
paced() { measure_flow rx $((SECONDS_EACH * 1000000 / PACED_US)) "$PACED_US"; }
# Each packet waits for the answer to the one before.
in_turn() { ping -f -q -w "$SECONDS_EACH" "$CONSUMER_IP"; }
full() { iperf -t "$SECONDS_EACH"; }

for ((ROUND = 1; ROUND <= ROUNDS; ROUND++)); do
  progress "round $ROUND of $ROUNDS"
  check adaptive-rx-on c ethtool -C "$CONSUMER" adaptive-rx on
  CHOSEN=0
  for name in ${LOADS//,/ }; do
    load "$name" "${name%_again}"
    case $name in
      paced*)
        check "$name-high" settled 128 256
        check "$name-saves" saves 4
        ;;
      in_turn*) check "$name-low" settled 1 8 ;;
      low*) ;;   # nothing to choose by
      full*) ;;  # TCP needs a while until it is the same all the time
      *) die loads "there is no load '$name'" ;;
    esac
    # Nothing was set before DIM has chosen for the first time.
    ((CHOSEN == 0)) || check "$name-in-force" wait_for 2 in_force
  done
  check adaptive-rx-off c ethtool -C "$CONSUMER" adaptive-rx off rx-usecs 0 \
    rx-frames 1
done
