# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# `tune` on a device that works, and `simulate` against what it does: packets
# are captured on their way, and the same arrivals are simulated.
COUNT=${COUNT:-700}
INTERVAL_US=${INTERVAL_US:-3000}  # of the simulated flows

irq_setup
start_device --attach
wait_for 5 ping_once

# --- simulate -----------------------------------------------------------------

# Whom tcpdump is to run as.
mkdir -p /etc
echo 'root:x:0:0::/:/bin/bash' >>/etc/passwd
capturing() { grep -q 'listening on' /tmp/capture.log; }
# captured rx|tx: measures a flow and leaves its packets in /tmp/flow.pcap.
captured() {
  local capture
  tcpdump -Z root -i "$TAP" --immediate-mode -U -w /tmp/flow.pcap --time-stamp-precision=nano \
    "udp and dst host $([[ $1 == rx ]] && echo "$CONSUMER_IP" ||
      echo "$TAP_IP")" >/tmp/capture.log 2>&1 3>&- 7>&- </dev/null &
  capture=$!
  wait_for 5 capturing || { cat /tmp/capture.log; return 1; }
  measure_flow "$1" "$COUNT" "$INTERVAL_US"
  nap 0.3
  kill -INT "$capture"
  wait "$capture"
}
# simulated SETTING: notifications, with the captured arrivals. Not of "off":
# packets that come while the device wakes up are completed together, and how
# many do is the machine's doing.
simulated() {
  vduse-net simulate --pcap /tmp/flow.pcap -j "$1" |
    sed -n 's/^ *"notifications": \([0-9]*\),$/\1/p'
}
# agrees DIRECTION SETTING WORDS...: the number of injected interrupts is within
# 5 % of the simulation. `irqs` counts only interrupts for which the driver
# found work: on a tx queue it also frees sent packets when it transmits.
# Measures again if they differ, because a busy machine delays packets between
# capture and device.
agrees() {
  local direction=$1 setting=$2 attempt taken wanted
  shift 2
  for attempt in 1 2 3 4 5 6 7; do
    set_to "$@" || return 1
    captured "$direction" || return 1
    taken=$(irq_count inject)
    wanted=$(simulated "$setting")
    near "$direction $setting" "$taken" "${wanted:-0}" 5 >/tmp/near &&
      ((SENT == COUNT && wanted > 0)) && {
        echo "$(</tmp/near) packets=$SENT irqs=$IRQS runs=$attempt"
        return 0
      }
    cat /tmp/near
  done
  return 1
}
for direction in rx tx; do
  check "simulate-$direction-30300us-64" agrees "$direction" 30300/64 \
    "$direction-usecs" 30300 "$direction-frames" 64
  check "simulate-$direction-300000us-8" agrees "$direction" 300000/8 \
    "$direction-usecs" 300000 "$direction-frames" 8
  check "simulate-$direction-rate" agrees "$direction" rate:25 \
    "adaptive-$direction" on max-irq-rate 25
done

# --- tune ---------------------------------------------------------------------

# tuned ARGS...: in the consumer's namespace, where its netdev is seen.
tuned() {
  c vduse-net tune dev "$NAME" --rounds 3 --chart /tmp/tune.svg "$@" \
    >/tmp/tune.out 2>/tmp/tune.err
}
# The setting of before, which is to be found again.
former() {
  set_to adaptive-rx on target-latency-usecs 77 adaptive-tx off tx-usecs 5 \
    tx-frames 3
}
as_before() {
  show | head -n 1
  show | head -n 1 | grep -q 'adaptive-rx on target-latency-usecs 77 .*'`
    `'tx-usecs 5 tx-frames 3 adaptive-tx off'
}
start_traffic() {
  udp_flow send --to "$CONSUMER_IP" --port 8000 --count 0 \
    --interval-usecs 1000 --size 200 >/tmp/traffic 2>&1 3>&- &
  TRAFFIC=$!
}
stop_traffic() { kill -TERM "$TRAFFIC"; wait "$TRAFFIC"; }

recommends() {
  local attempt
  for attempt in 1 2 3; do
    tuned --direction rx --max-wait-usecs 12000 500/64 20000/64 100000/64 &&
      break
    cat /tmp/tune.out /tmp/tune.err
  done
  cat /tmp/tune.out /tmp/tune.err >&3
  grep -q '</svg>' /tmp/tune.svg || { echo 'no chart'; return 1; }
  echo "$(sed -n 's/^where the driver runs: *//p' /tmp/tune.out) runs=$attempt"
  # Packets wait for half of 20 ms on average; of 64, one waits for 32.
  grep -q "^rx: 20000/64 is recommended" /tmp/tune.out &&
    grep -q "ethtool -C $CONSUMER rx-usecs 20000 rx-frames 64\$" /tmp/tune.out
}
refuses() {
  local status=0
  tuned --direction rx --window-msecs 50 20000/64 || status=$?
  cat /tmp/tune.out /tmp/tune.err
  ((status == 1)) && grep -q 'no recommendation: .* packets' /tmp/tune.out
}
interrupted() {
  local pid status=0
  "${IN_CONSUMER[@]}" vduse-net tune dev "$NAME" >/tmp/tune.out 2>&1 &
  pid=$!
  wait_for 5 show_has 'rx-usecs 16 rx-frames 64 adaptive-rx off'
  kill -TERM "$pid"
  wait "$pid" || status=$?
  cat /tmp/tune.out
  ((status == 1)) && grep -q interrupted /tmp/tune.out
}
show_has() { [[ $(show) == *"$1"* ]]; }

check tune-former former
check tune-without-traffic refuses
check tune-left-as-before-1 as_before
start_traffic
check tune-recommends recommends
check tune-left-as-before-2 as_before
check tune-interrupted interrupted
check tune-left-as-before-3 as_before
if [[ $MODULE == open ]]; then
  recommended() {
    local line
    line=$(sed -n 's/^where the driver runs: *//p' /tmp/tune.line)
    # shellcheck disable=SC2086
    c $line && shows 'rx queue 0: usecs 20000 frames 64 set by driver_all'
  }
  recommends >/dev/null 2>&1 && cp /tmp/tune.out /tmp/tune.line
  check tune-line-is-ethtools recommended
  asked() {
    local status=0
    tuned --direction rx || status=$?
    cat /tmp/tune.err
    ((status == 1)) && grep -q 'driver has set' /tmp/tune.err
  }
  check tune-driver-has-asked asked
fi
stop_traffic
check stop stopped
