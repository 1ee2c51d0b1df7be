# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# Several queue pairs: as many as the driver asks for carry packets, the others
# cost nothing.
PAIRS=4
TCP_SECONDS=${TCP_SECONDS:-1}
IDLE_SECONDS=${IDLE_SECONDS:-5}

# Sets MOVED: pairs whose packet counters have moved by FLOWS flows each way.
said() { (($(grep -c "pair $((PAIRS - 1)) tx:" "$DEVICE_LOG") > $1)); }
counters() {
  local before pair
  before=$(grep -c "pair $((PAIRS - 1)) tx:" "$DEVICE_LOG")
  kill -USR1 "$DEVICE_PID"
  wait_for 2 said "$before" || return 1
  for ((pair = 0; pair < PAIRS; pair++)); do
    [[ $(grep "pair $pair $1:" "$DEVICE_LOG" | tail -n 1) =~ \
      packets\ ([0-9]+) ]] && echo "${BASH_REMATCH[1]}"
  done
}
# moved rx|tx MOST: more than one pair, and at most MOST, by several flows.
moved() {
  local direction=$1 most=$2 before after pair moved=0
  mapfile -t before < <(counters "$direction")
  if [[ $direction == rx ]]; then
    some_tcp -P 16 || return 1
  else
    # The consumer's kernel picks a queue by the CPU that sends: iperf3's is one.
    some_tcp -P 8 -R -A 0,1 && some_tcp -P 8 -R -A 1,0 || return 1
  fi
  mapfile -t after < <(counters "$direction")
  for ((pair = 0; pair < PAIRS; pair++)); do
    ((after[pair] - before[pair] < 100)) || moved=$((moved + 1))
  done
  echo "pairs=$moved packets: ${before[*]} -> ${after[*]}; $(
    tail -n 1 /tmp/iperf.out)"
  ((moved <= most && (most == 1 || moved > 1)))
}
pairs() { c ethtool -L "$CONSUMER" combined "$1"; }
shown() {
  c ethtool -l "$CONSUMER" | tail -n 1
  [[ $(c ethtool -l "$CONSUMER" | tail -n 1) == *[[:space:]]"$1" ]]
}
memory() { grep -E '^(Threads|VmRSS)' "/proc/$(serving)/status" | tr '\n' ' '; }
per_queue() {
  c ethtool --per-queue "$CONSUMER" queue_mask 0x2 --coalesce rx-usecs 300 \
    rx-frames 7 || return 1
  c ethtool --per-queue "$CONSUMER" queue_mask 0x2 --show-coalesce |
    grep -E 'rx-(usecs|frames):'
  c ethtool --per-queue "$CONSUMER" queue_mask 0x2 --show-coalesce |
    grep -q '^rx-usecs:[[:space:]]*300$' &&
    c ethtool --per-queue "$CONSUMER" queue_mask 0x1 --show-coalesce |
    grep -q '^rx-usecs:[[:space:]]*0$'
}
resumed() { logged 'adopted: the driver is active'; }
restarted() {
  kill_device
  launch_device --queue-pairs "$PAIRS"
  wait_for 5 resumed
}

if [[ $MODULE == stock ]]; then
  start_device --attach --queue-pairs "$PAIRS"
  check said-one-pair logged 'and so one queue pair'
  check ping ping -c 3 -i 0.2 -W 2 -q "$CONSUMER_IP"
  iperf_server
  check tcp some_tcp -P 4
  kill "$IPERF_PID"
  check stop stopped
  return
fi

start_device --attach --queue-pairs "$PAIRS"
iperf_server
check one pairs 1
check one-rx moved rx 1
check one-tx moved tx 1
check four pairs "$PAIRS"
check four-shown shown "$PAIRS"
check four-rx moved rx "$PAIRS"
check four-tx moved tx "$PAIRS"
check per-queue per_queue
check two pairs 2
check two-rx moved rx 2
check two-tx moved tx 2
check idle idle
check killed restarted
check killed-shown shown 2
check killed-rx moved rx 2
check killed-tx moved tx 2
check killed-ping ping -c 3 -i 0.2 -W 2 -q "$CONSUMER_IP"
kill "$IPERF_PID"
check stop stopped

# Not offered; the most there are; threads on CPUs of their own.
PAIRS=1
start_device --attach --queue-pairs 4 --without MQ
check without-mq ping -c 3 -i 0.2 -W 2 -q "$CONSUMER_IP"
check without-mq-memory memory
check without-mq-stop stopped
PAIRS=16
start_device --attach --queue-pairs "$PAIRS" --cpus 1,0
check sixteen pairs 16
check sixteen-ping ping -c 3 -i 0.2 -W 2 -q "$CONSUMER_IP"
on_cpus() {
  local task want=(2 1) pair=0 name key value pid
  pid=$(serving)
  for ((pair = 0; pair < PAIRS; pair++)); do
    for task in /proc/"$pid"/task/*; do
      name=$(<"$task/comm")
      [[ $name == "vn-pair-$pair" ]] || continue
      while read -r key value; do
        [[ $key != Cpus_allowed: ]] || [[ $value == "${want[pair % 2]}" ]] ||
          { echo "$name: $value"; return 1; }
      done <"$task/status"
    done
  done
}
check sixteen-cpus on_cpus
check sixteen-memory memory
check sixteen-one pairs 1
check sixteen-idle idle
check sixteen-stop stopped
single() {
  local status=0
  ip tuntap add one0 mode tap
  vduse-net run --name "$NAME" --tap one0 --queue-pairs 2 \
    >/tmp/refused 2>&1 || status=$?
  tail -n 1 /tmp/refused
  ((status == 1)) && grep -q multi_queue /tmp/refused
}
check single-queue-tap single
