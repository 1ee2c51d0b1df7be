# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# Many devices on one host: what their processes cost, and what happens when
# many device processes are killed at once. Gate lifted.

DEVICES=${DEVICES:-64}
VICTIMS=${VICTIMS:-24}
PSS_LIMIT_KIB=${PSS_LIMIT_KIB:-900}  # of one device among many

declare -a SUPERVISORS
ready_all() {
  local index
  for ((index = 0; index < DEVICES; index++)); do
    file_has 'ready:' "/tmp/many$index.log" || return 1
  done
}
start_all() {
  local index start
  now; start=$NOW
  for ((index = 0; index < DEVICES; index++)); do
    vduse-net run --name "many$index" --tap "mtap$index" --attach \
      >"/tmp/many$index.log" 2>&1 3>&- 7>&- </dev/null &
    SUPERVISORS[index]=$!
  done
  wait_for 200 ready_all || { tail -n 1 /tmp/many*.log; return 1; }
  now
  echo "devices=$DEVICES ms=$(((NOW - start) / 1000))"
}
check start start_all

# The directories of all processes of the program.
processes() {
  local pid comm
  for pid in /proc/[0-9]*; do
    read -r comm 2>/dev/null <"$pid/comm" || continue
    [[ $comm != vduse-net* ]] || echo "$pid"
  done
}
cost() {
  local pid pss=0 rss=0 count=0 key value
  for pid in $(processes); do
    count=$((count + 1))
    while read -r key value _; do
      case $key in
        Rss:) rss=$((rss + value)) ;;
        Pss:) pss=$((pss + value)) ;;
      esac
    done <"$pid/smaps_rollup"
  done
  echo "processes=$count rss_kib=$((rss / DEVICES)) pss_kib=$((pss / DEVICES))" \
    "per device, limit=$PSS_LIMIT_KIB"
  ((count == 4 * DEVICES && pss / DEVICES <= PSS_LIMIT_KIB))
}
check cost cost

# servers: sets SERVERS to the device processes of the first VICTIMS devices.
servers() {
  local index
  SERVERS=()
  for ((index = 0; index < VICTIMS; index++)); do
    DEVICE_PID=${SUPERVISORS[index]}
    find_child dev || return 1
    SERVERS[index]=$CHILD_PID
  done
}
all_served() {
  local index before=("$@")
  servers || return 1
  for ((index = 0; index < VICTIMS; index++)); do
    [[ ${SERVERS[index]} != "${before[index]}" ]] || return 1
  done
}
killed_at_once() {
  local before start
  servers || { echo "not all are served"; return 1; }
  before=("${SERVERS[@]}")
  now; start=$NOW
  kill -KILL "${before[@]}"
  timeout 10 ip link set lo up || { echo "ip link hangs"; return 1; }
  wait_for 10 all_served "${before[@]}" ||
    { echo "not all are served after 10 s"; return 1; }
  now
  echo "killed=$VICTIMS ms=$(((NOW - start) / 1000))"
}
check killed-at-once killed_at_once

ended_all() {
  local index pid
  kill -TERM "${SUPERVISORS[@]}"
  for pid in "${SUPERVISORS[@]}"; do
    wait_for 100 over "$pid" || { echo "$pid is still there"; return 1; }
  done
  wait
  DEVICE_PID=
  compgen -G '/dev/vduse/many*' && return 1
  compgen -G '/sys/class/net/mtap*' && return 1
  return 0
}
check end ended_all
