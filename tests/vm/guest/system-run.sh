#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC1091,SC2153
#
# Runs the scenario in a VM in which systemd is process 1. What is printed goes
# through the virtio port named "results", as in init.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/vm/bin HOME=/root LC_ALL=C

for name in /sys/class/virtio-ports/*/name; do
  if [[ $(<"$name") == results ]]; then
    port=${name%/name}
    exec 3>"/dev/${port##*/}" >&3 2>&3 </dev/null
  fi
done
echo 7 >/proc/sys/kernel/printk
echo 20 >/proc/sys/kernel/hung_task_timeout_secs
ping -q -i 3600 127.0.0.1 >/dev/null 2>&1 &  # see init

set -a
. /run/vm/scenario.env
set +a
echo "kernel $(uname -r), vduse module: $MODULE, scenario: $SCENARIO"
rm -rf /tmp/*
(
  set -u
  . /run/vm/lib.sh
  . /run/vm/scenario.sh
  end_of_scenario
)
status=$?
[[ ! -e /run/vm/rebooting ]] || exit 0
if ((status == 0)); then
  echo "DONE"
else
  echo "the scenario ended early, status $status"
fi
sync
systemctl poweroff -ff
