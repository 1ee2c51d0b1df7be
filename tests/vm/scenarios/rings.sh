# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# From the smallest ring that Linux's driver can work with to the largest there
# is: TCP both ways and a flood of pings, and nothing gets stuck. With TABLE=whole
# at two MTUs, with one pair and four, and for longer.
case ${TABLE:-short} in
  short) SIZES='32 256 32768' MTUS=1500 PAIRS=1 TCP_SECONDS=3 FLOOD_SECONDS=3 ;;
  whole)
    SIZES='32 64 128 256 1024 4096 32768' MTUS='1500 9000' PAIRS='1 4'
    TCP_SECONDS=20 FLOOD_SECONDS=20
    ;;
  *) die table "no TABLE '$TABLE'" ;;
esac
# Half a gigabyte of bounce memory is given back.
STOP_SECONDS=15

# What the driver says when it is out of bounce memory or its queue is stuck.
COMPLAINTS='NETDEV WATCHDOG|Failed to add sgs|Unexpected TXQ'
complaints() { dmesg | grep -cE "$COMPLAINTS"; }
no_complaints() {
  dmesg | grep -E -m 1 "$COMPLAINTS"
  (($(complaints) == $1))
}

# refused ARGS...: a wrong command line, and the reason.
refused() {
  local status=0
  timeout 10 vduse-net run --name "$NAME" --tap "$TAP" "$@" \
    >/tmp/refused 2>&1 || status=$?
  grep -v '^Run with' /tmp/refused | tail -n 1
  ((status == 2))
}
check size-16-refused refused --queue-size 16
check too-much-refused refused --queue-size 32768 --queue-pairs 16

flood() {
  local out
  out=$(ping -n -q -f -w "$FLOOD_SECONDS" "$CONSUMER_IP")
  grep received <<<"$out"
  [[ $out =~ ([0-9]+)\ packets\ transmitted,\ ([0-9]+)\ received ]] &&
    ((BASH_REMATCH[2] > 100 && BASH_REMATCH[2] >= BASH_REMATCH[1] * 95 / 100))
}
bounce() {
  local bytes
  bytes=$(<"/sys/class/vduse/$NAME/bounce_size")
  echo "bounce_mib=$((bytes >> 20)) least=$(($1 * $2 * 4096 >> 20))"
  ((bytes >= $1 * $2 * 4096))
}

for pairs in $PAIRS; do
  for mtu in $MTUS; do
    for size in $SIZES; do
      at=$size-mtu-$mtu-pairs-$pairs
      before=$(complaints)
      start_device --attach --queue-size "$size" --mtu "$mtu" \
        --queue-pairs "$pairs"
      if [[ -z ${IPERF_PID:-} ]]; then iperf_server; fi
      ((pairs == 1)) || check "$at-pairs" c ethtool -L "$CONSUMER" \
        combined "$pairs"
      check "$at-bounce" bounce "$size" "$pairs"
      check "$at-ping" wait_for 5 ping_once
      check "$at-tcp-tx" some_tcp -R -P "$pairs"
      check "$at-tcp-rx" some_tcp -P "$pairs"
      check "$at-flood" flood
      check "$at-after" wait_for 2 ping_once
      check "$at-quiet" no_complaints "$before"
      check "$at-stop" stopped
    done
  done
done
