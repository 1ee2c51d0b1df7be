#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR
# SPDX-License-Identifier: Apache-2.0
#
# Runs the demo's scenario on this machine, as tests/vm/guest/init does in the
# VM. For `demo.sh --host`, which starts it in a mount namespace of its own:
# the helpers write to /tmp and name a network namespace, and here they get a
# /tmp and a place for names that are gone at the end, however it comes.
set -u
[[ $(readlink /proc/self/ns/mnt) != $(readlink "/proc/$PPID/ns/mnt") ]] ||
  { echo "demo-host.sh: start it with demo.sh --host" >&2; exit 2; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p /run/netns
mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /run/netns || exit 1
[[ -e /sys/kernel/tracing/kprobe_events ]] ||
  mount -t tracefs tracefs /sys/kernel/tracing || exit 1

exec 3>&1
# shellcheck source=../tests/vm/guest/lib.sh
. "$here/../tests/vm/guest/lib.sh"
# The VM's own also asks its kernel for the blocked tasks.
die() { fail "$@"; exit 1; }
[[ ! -e $TRACING/events/kprobes/rxdone ]] ||
  die kprobe "there is a kprobe rxdone already: remove it first"

cleanup() {
  trap '' INT TERM HUP
  end_of_scenario
  # shellcheck disable=SC2046  # one argument each
  kill $(jobs -p) 2>/dev/null
  wait
  irq_teardown
  ip netns del consumer
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
# shellcheck source=demo-scenario.sh
. "$here/demo-scenario.sh"
