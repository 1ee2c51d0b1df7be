# shellcheck shell=bash disable=SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
# Needs: system
#
# The Debian packages, on a Debian with systemd: installed, used, upgraded under
# traffic, after a reboot, and purged. With the module "open" the package
# vduse-net-dkms lifts the gate; with "stock" it is not installed.

PHASE_FILE=/var/lib/vm-phase
UNIT=vduse-net@$NAME.service
CONF=/etc/vduse-net/$NAME.conf
KILLS=${KILLS:-5}

apt_get() {
  DEBIAN_FRONTEND=noninteractive timeout 1200 apt-get -q -y \
    -o Dpkg::Use-Pty=0 "$@"
}
main_pid() { systemctl show -P MainPID "$UNIT"; }
active() { [[ $(systemctl is-active "$UNIT") == active ]]; }
# other_main PID: another process is the unit's, and is ready.
other_main() {
  MAIN=$(main_pid)
  [[ $MAIN != 0 && $MAIN != "$1" ]] && active &&
    [[ $(<"/run/vduse-net/$NAME.lock") == "$MAIN" ]]
}
# explain: what systemd and the device say, for a check that failed.
explain() {
  systemctl status --no-pager --full "$UNIT"
  journalctl --no-pager -o cat -n 40 -u "$UNIT"
  return 1
}
# udev may give the netdev another name.
take_pair() {
  wait_for 10 find_netdev
  udevadm settle --timeout=10
  setup_tap
  take_netdev
}
ifindex() { ip -n consumer -o link show "$CONSUMER" | sed 's/:.*//'; }

# --- Installation ---------------------------------------------------------------

installed() {
  apt_get install /run/vm/before/vduse-net.deb || return 1
  getent passwd vduse-net || { echo "no user vduse-net"; return 1; }
  [[ -e /sys/module/vduse && -e /sys/module/tun ]] ||
    { echo "the modules are not loaded"; return 1; }
  dpkg-query -W vduse-net
}
module_built() {
  apt_get install /run/vm/packages/vduse-net-dkms_*.deb || return 1
  dkms status
  modinfo -F filename vduse | grep updates/dkms ||
    { echo "the kernel has another vduse"; return 1; }
  vduse-net check || { echo "check: status $?"; return 1; }
  echo "$(dkms status), in $SECONDS s"
}

configured() {
  printf 'tap = %s\nmac = %s\n' "$TAP" "$CONSUMER_MAC" >"$CONF"
  vduse-net config check "$CONF"
}
unit_sound() { systemd-analyze verify --man=no "$UNIT" && echo sound; }
started() {
  timeout 30 systemctl enable --now "$UNIT" || explain || return 1
  active || explain || return 1
  MAIN=$(main_pid)
  [[ $(<"/run/vduse-net/$NAME.lock") == "$MAIN" ]] || explain || return 1
  # The children with their users.
  ps -o user:12=,comm= --ppid "$MAIN" | sort | tr '\n' ' ' >/tmp/children
  cat /tmp/children
  grep -q 'root *vduse-net-admin.*vduse-net *vduse-net-dev' /tmp/children
}
shown() {
  vduse-net config show "$NAME" >/tmp/shown || return 1
  cat /tmp/shown
  grep -qE "^tap = +$TAP +# $CONF" /tmp/shown &&
    grep -q "^# process $(main_pid)" /tmp/shown
}
coalescing() {
  timeout 5 "${IN_CONSUMER[@]}" ethtool -C "$CONSUMER" rx-usecs 50 rx-frames 8
}
# The gate: what the consumer's ethtool is answered.
check_coalescing() {
  if [[ $MODULE == open ]]; then
    check "$1" coalescing
  else
    check "$1" ethtool_refused
  fi
}

# --- Under traffic ----------------------------------------------------------------

# The supervisor is killed, and systemd starts the next one.
killed() {
  local round before start worst=0
  for ((round = 1; round <= KILLS; round++)); do
    before=$(main_pid)
    now; start=$NOW
    kill -KILL "$before"
    wait_for 10 other_main "$before" || explain || return 1
    now
    ((NOW - start > worst)) && worst=$((NOW - start))
    nap 0.3
  done
  echo "kills=$KILLS worst_ms=$((worst / 1000)) restarts=$(systemctl show \
    -P NRestarts "$UNIT")"
}
reloaded() {
  local round before
  for ((round = 1; round <= KILLS; round++)); do
    before=$(main_pid)
    timeout 30 systemctl reload "$UNIT" || explain || return 1
    wait_for 5 other_main "$before" || explain || return 1
    nap 0.3
  done
  echo "reloads=$KILLS"
}
# A configuration that contradicts the device changes nothing.
not_reloaded() {
  local before
  before=$(main_pid)
  cp "$CONF" /tmp/good.conf
  echo 'queue-size = 1024' >>"$CONF"
  timeout 30 systemctl reload "$UNIT" && { echo "reloaded"; return 1; }
  mv /tmp/good.conf "$CONF"
  journalctl -o cat -u "$UNIT" | grep -m 1 'was made with --queue-size' ||
    explain || return 1
  [[ $(main_pid) == "$before" ]] && active
}
upgraded() {
  local before
  before=$(main_pid)
  apt_get install /run/vm/packages/vduse-net_*.deb || return 1
  other_main "$before" || explain || return 1
  [[ $(readlink "/proc/$MAIN/exe") == /usr/sbin/vduse-net ]] ||
    { echo "it runs $(readlink "/proc/$MAIN/exe")"; return 1; }
  dpkg-query -W vduse-net
}
same_netdev() {
  echo "ifindex=$(ifindex) before=$IFINDEX"
  [[ $(ifindex) == "$IFINDEX" ]]
}

first() {
  # What a kill and a start cost must not wait for the emulated disk.
  echo pfifo_fast >/proc/sys/net/core/default_qdisc
  check install installed || die install "nothing to test"
  if [[ $MODULE == open ]]; then check dkms module_built; fi
  check config-check configured
  check unit unit_sound
  check start started || die start "nothing to test"
  check config-show shown
  attach_device
  take_pair
  know_each_other
  check ping wait_for 5 ping_once
  check_coalescing ethtool
  IFINDEX=$(ifindex)
  start_flows 5000
  check kill-9 killed
  check reload reloaded
  check reload-refused not_reloaded
  check upgrade upgraded
  # By now the supervisor was not started by systemd.
  check kill-9-again killed
  stop_flows
  check flow-rx flow_went_on rx 0 0
  check flow-tx flow_went_on tx 0 0
  check same-netdev same_netdev
  check_coalescing ethtool-after
  # From now on, nobody attaches it by hand.
  echo 'attach = true' >>"$CONF"
  echo second >"$PHASE_FILE"
  sync
  progress "reboot"
  touch /run/vm/rebooting
  systemctl reboot
  sleep 60
  die reboot "the system does not go down"
}

# --- After the reboot ----------------------------------------------------------------

came_back() {
  wait_for 60 active || explain || return 1
  systemctl show -P ActiveEnterTimestamp "$UNIT"
}

# The device for a guest: its name, and the group that may use it.
by_name() {
  local link=/dev/vhost-vdpa/by-name/$NAME
  timeout 30 systemctl stop "$UNIT" || explain || return 1
  modprobe -r virtio_vdpa && modprobe vhost_vdpa || return 1
  timeout 30 systemctl start "$UNIT" || explain || return 1
  wait_for 10 test -c "$link" || { ls -lR /dev/vhost*; return 1; }
  stat -L -c '%G %a' "$link" >/tmp/stat
  timeout 30 systemctl stop "$UNIT" || explain || return 1
  wait_for 10 test ! -e "$link" || { ls -lR /dev/vhost*; return 1; }
  echo "$link: $(</tmp/stat)"
  [[ $(</tmp/stat) == "kvm 660" ]]
}
purged() {
  local packages=(vduse-net)
  timeout 30 systemctl start "$UNIT" || explain || return 1
  [[ $MODULE != open ]] || packages+=(vduse-net-dkms)
  apt_get purge "${packages[@]}" || return 1
  ! getent passwd vduse-net || return 1
  [[ -z $(dkms status) ]] || { dkms status; return 1; }
  [[ ! -e /dev/vduse/$NAME && ! -e /sys/class/net/$TAP ]] ||
    { echo "the device is left"; return 1; }
  systemctl list-units --all --plain --no-legend 'vduse-net*' |
    grep -v not-found && return 1
  # Names, but for what dpkg, apt and journald remember.
  find / -xdev \( -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/log \
    -o -path /var/cache -o -path /tmp -o -path /proc \) -prune -o \
    -name '*vduse[-_]net*' -print >/tmp/left
  find /run /dev \( -path /run/vm -o -path /run/udev \) -prune -o \
    -name '*vduse-net*' -print >>/tmp/left
  modinfo -F filename vduse 2>&1 | grep dkms >>/tmp/left
  cat /tmp/left
  [[ ! -s /tmp/left ]]
}

second() {
  check reboot came_back
  echo pfifo_fast >/proc/sys/net/core/default_qdisc
  take_pair
  check ping-after-reboot wait_for 5 ping_once
  check_coalescing ethtool-after-reboot
  check vhost-vdpa-by-name by_name
  check purge purged
}

if [[ -e $PHASE_FILE ]]; then second; else first; fi
