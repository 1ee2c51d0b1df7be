# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# Types the README's commands, one after the other, into one shell. COMMANDS
# has them (readme_test.sh). The modules are loaded already.

mkdir -p /var/log
commands=/tmp/commands
cat >"$commands" <<'HEAD'
modprobe() {
  local name
  for name in "${@:2}"; do
    [[ -e /sys/module/$name ]] || { echo "no module $name"; return 1; }
  done
}
HEAD
# A status file says which line failed, and whether the last one was reached.
while IFS= read -r line; do
  [[ -n $line ]] || continue
  printf '%s\n' "$line"
  printf '[[ $? == 0 ]] || { echo %q; exit 1; }\n' "failed: $line"
done <<<"$COMMANDS" >>"$commands"
echo 'echo every line went' >>"$commands"

setsid bash <"$commands" >/tmp/output 2>&1 || true
cat /tmp/output
went() {
  tail -n 3 /tmp/output
  file_has 'every line went' /tmp/output
}
check readme-commands went

netdev=$(ls /sys/bus/vdpa/devices/vn0/virtio*/net)
set_as_told() {
  ethtool -c "$netdev" | grep -E '^(rx-usecs|rx-frames):'
  ethtool -c "$netdev" | grep -qE '^rx-usecs:\s+200$'
}
check readme-coalescing-in-force set_as_told

pid=$(pidof vduse-net | tr ' ' '\n' | sort -n | head -n 1)
kill -TERM "$pid"
ended() { gone "$pid" && [[ ! -e /dev/vduse/vn0 ]]; }
check readme-ends wait_for 10 ended
