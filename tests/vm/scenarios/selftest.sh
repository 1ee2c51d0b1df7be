# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# The harness itself, without a device. MODE makes it go wrong on purpose:
# harness_test.sh sees whether boot.sh notices.

case ${MODE:-ok} in
  fail) fail deliberate "this check fails on purpose, figure=1" ;;
  early) pass first "and then the scenario dies"; exit 3 ;;
  hang) pass first "and then the scenario hangs"; nap 1000 ;;
  warning)
    pass first "and then a task is reported as blocked"
    echo '<4>INFO: task made_up:1 blocked for more than 20 seconds.' >/dev/kmsg
    ;;
  panic) pass first "and then the kernel dies"; echo c >/proc/sysrq-trigger ;;
  emulator)
    pass first "and then a guest inside fails"
    say "KVM internal error"
    nap 1000
    ;;
  nothing) ;;
  ok)
    check mgmtdev grep vduse <(vdpa mgmtdev show)
    check control ls /dev/vduse/control
    irq_setup
    check kprobes tail -n 1 "$TRACING/kprobe_events"
    say "clock source: $(</sys/devices/system/clocksource/clocksource0/\
current_clocksource)"

    ip link add "$TAP" type veth peer name veth1
    CONSUMER=veth1
    ip address add "$TAP_IP/24" dev "$TAP"
    ip link set "$TAP" up
    ip link set veth1 netns consumer
    ip -n consumer address add "$CONSUMER_IP/24" dev veth1
    ip -n consumer link set veth1 up
    check ping wait_for 5 ping_once

    flow() {
      measure_flow "$1" 1000 1000
      echo "sent=$SENT received=$RECEIVED elapsed_us=$ELAPSED_US irqs=$IRQS"
      ((SENT == 1000 && LOST == 0 && ELAPSED_US > 990000))
    }
    check flow-to-consumer flow rx
    check flow-from-consumer flow tx
    check frames frame_check --from "$TAP" --to veth1@consumer --count 20000
    check frames-back frame_check --from veth1@consumer --to "$TAP" \
      --count 20000
    refuses() { if "$@"; then echo "accepted"; return 1; fi; }
    check frames-no-peer refuses frame_check --from "$TAP" \
      --to lo --count 10 --idle-ms 300
    check storm-refused refuses coalesce_storm --dev lo --count 1
    iperf_server
    check iperf iperf -t 1
    check iperf-udp iperf -t 1 -u -b 10M -l 1400
    ;;
  *) fail selftest "unknown MODE '$MODE'" ;;
esac
