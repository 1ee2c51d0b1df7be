# shellcheck shell=bash disable=SC2015,SC2034
# SPDX-License-Identifier: Apache-2.0
#
# A QEMU guest inside the VM as the consumer, for scenarios to source after
# lib.sh. They say "# Needs: userland" in a line of their own: then the disk
# with QEMU is there, and vhost_vdpa binds the device.

GUEST_PID=
CONSOLE_PID=
GUEST_QEMU=qemu-system-x86_64
GUEST_NIC=      # more properties of virtio-net-pci: ",mac=..."
GUEST_PAGES=    # more properties of the guest's memory: ",hugetlb=on,..."
GUEST_DIR=/tmp  # what belongs to one QEMU: its pipes, console and messages
GUEST_BOOT_MS=0
VHOST=/dev/vhost-vdpa-0
CONSUMER=eth0

# The guest's two ports, so that one command can run beside another.
IN_CONSUMER=(guest_on 0)
c() { guest_on 1 "$@"; }

# --- Commands in the guest --------------------------------------------------

# guest_on PORT COMMAND...: runs a command in the guest, for up to 60 s.
guest_on() {
  local port=$1
  shift
  guest_shell "$port" "timeout 60 $(printf '%q ' "$@")"
}

# guest_shell PORT LINE: a line for the guest's shell.
guest_shell() {
  local in=$((20 + 2 * $1)) out=$((21 + 2 * $1)) line
  printf '%s\n' "$2" >&$in
  while IFS= read -r -t 65 -u $out line; do
    case $line in
      ' '*) printf '%s\n' "${line:1}" ;;
      '='*) return "${line#=}" ;;
    esac
  done
  echo "the guest does not answer: $2"
  monitor 'info status' >&3
  tail -n 30 "$GUEST_DIR/qemu.log" >&3
  return 124
}

guest_ready() {
  local line out
  for out in 21 23; do
    while :; do
      IFS= read -r -t 90 -u $out line || return 1
      [[ $line != *@ready ]] || break
    done
  done
}

# --- Its life ---------------------------------------------------------------

# The device is on the bus, and QEMU can open it.
start_for_guest() {
  launch_device "$@"
  attach_device
  setup_tap
  wait_for 5 test -c "$VHOST" || die vhost "no $VHOST after 5 s"
}

# use_guest DIR: the commands below are for the QEMU of that folder.
use_guest() {
  GUEST_DIR=$1
  exec 20<>"$GUEST_DIR/cmd0.in" 21<>"$GUEST_DIR/cmd0.out" \
    22<>"$GUEST_DIR/cmd1.in" 23<>"$GUEST_DIR/cmd1.out" \
    24<>"$GUEST_DIR/monitor.in" 25<>"$GUEST_DIR/monitor.out"
}

# launch_guest generic|netdev [QEMU ARGS...]
launch_guest() {
  local form=$1 name device=()
  # Kicks by MMIO that meet an interrupt stop the guest with "KVM internal
  # error" on newer kernels: the emulated CPU says that the interrupt was being
  # delivered. x2apic makes fewer such accesses, too.
  local kicks=modern-pio-notify=on
  shift
  case $form in
    generic)
      device=(-device "vhost-vdpa-device-pci,vhostdev=$VHOST,$kicks")
      ;;
    netdev)
      device=(-netdev "type=vhost-vdpa,vhostdev=$VHOST,id=n0"
        -device "virtio-net-pci,netdev=n0,romfile=,$kicks$GUEST_NIC")
      ;;
    *) die guest "no form '$form'" ;;
  esac
  mkdir -p "$GUEST_DIR"
  for name in cmd0 cmd1 monitor; do
    rm -f "$GUEST_DIR/$name.in" "$GUEST_DIR/$name.out"
    mkfifo "$GUEST_DIR/$name.in" "$GUEST_DIR/$name.out"
  done
  use_guest "$GUEST_DIR"
  # The guest's console, and what QEMU says, are shown as they grow.
  : >"$GUEST_DIR/guest.console"
  : >"$GUEST_DIR/qemu.log"
  tail -q -f "$GUEST_DIR/guest.console" "$GUEST_DIR/qemu.log" 2>/dev/null |
    sed 's/^/guest| /' >&3 &
  CONSOLE_PID=$!
  # On one CPU: code that the guest's kernel patches on one and runs on another
  # is more than the emulation of this VM's CPUs can take.
  taskset 2 "$GUEST_QEMU" -machine q35,memory-backend=m -accel kvm \
    -cpu qemu64,+x2apic,+tsc-deadline -smp 1 -m 256 \
    -object "memory-backend-memfd,id=m,size=256M,share=${GUEST_SHARE:-on}$GUEST_PAGES" \
    -nodefaults -display none -serial "file:$GUEST_DIR/guest.console" \
    -chardev "pipe,id=monitor,path=$GUEST_DIR/monitor" -mon chardev=monitor \
    -device virtio-serial-pci \
    -chardev "pipe,id=cmd0,path=$GUEST_DIR/cmd0" \
    -device virtserialport,chardev=cmd0,name=cmd0 \
    -chardev "pipe,id=cmd1,path=$GUEST_DIR/cmd1" \
    -device virtserialport,chardev=cmd1,name=cmd1 \
    -kernel /tmp/vmlinux -initrd /tmp/guest.initrd -append \
    "console=ttyS0 quiet nokaslr tsc=reliable panic=-1 ipv6.disable=1" \
    "${device[@]}" "$@" >"$GUEST_DIR/qemu.log" 2>&1 3>&- 7>&- </dev/null &
  GUEST_PID=$!
}

# start_guest generic|netdev [QEMU ARGS...]: up to its shell.
start_guest() {
  local start
  now; start=$NOW
  launch_guest "$@"
  guest_ready ||
    die guest "no shell after 90 s: $(tail -n 3 "$GUEST_DIR/qemu.log" \
      "$GUEST_DIR/guest.console" 2>&1)"
  now
  GUEST_BOOT_MS=$(((NOW - start) / 1000))
}

# The guest's interface goes up and has its address.
guest_link_up() {
  c ip address replace "$CONSUMER_IP/24" dev "$CONSUMER" &&
    c ip link set "$CONSUMER" up
}

# guest_rebinds COUNT: the guest's driver leaves and returns, which resets the
# device; each time there is a ping within 3 s. One command for the guest, to
# be quick.
guest_rebinds() {
  local round start worst=0
  local rebind="cd /sys/bus/virtio/drivers/virtio_net && for device in \
    virtio*; do echo \$device >unbind && echo \$device >bind || exit 1; \
    done && ip address replace $CONSUMER_IP/24 dev $CONSUMER && \
    ip link set $CONSUMER up"
  for ((round = 1; round <= $1; round++)); do
    now; start=$NOW
    guest_shell 1 "$rebind" || { echo "round $round failed"; return 1; }
    wait_for 3 ping_once ||
      { echo "round $round: no ping within 3 s"; return 1; }
    now; ((NOW - start > worst)) && worst=$((NOW - start))
    ((round % 25)) || progress "$round of $1 rebinds"
  done
  echo "rebinds=$1 worst_ms_until_ping=$(ms "$worst")"
}

# The guest's kernel had nothing to complain about.
guest_sound() {
  if grep -E -m 1 'BUG: |WARNING: |Oops|Kernel panic|NETDEV WATCHDOG' \
    "$GUEST_DIR/guest.console"; then
    cat "$GUEST_DIR/guest.console" >&3
    return 1
  fi
}

# stop_guest: SIGTERM, as an operator stops QEMU. kill_guest: no chance.
stop_guest() {
  guest_sound >/tmp/sound || fail guest-kernel "$(</tmp/sound)"
  kill -TERM "$GUEST_PID"
  wait_for 10 gone "$GUEST_PID" || kill -KILL "$GUEST_PID"
  guest_gone
}
kill_guest() {
  kill -KILL "$GUEST_PID"
  guest_gone
}
guest_gone() {
  wait "$GUEST_PID" 2>/dev/null
  GUEST_PID=
  kill "$CONSOLE_PID" 2>/dev/null
}

# monitor COMMAND: for QEMU's monitor, which must be done within 5 s. Prints
# what it says.
monitor() {
  local line
  printf '%s\ninfo version\n' "$1" >&24
  while IFS= read -r -t 5 -u 25 line; do
    [[ $line != [0-9]*.[0-9]*.[0-9]* ]] || return 0
    printf '%s\n' "$line"
  done
  echo "QEMU's monitor does not answer: $1"
  return 1
}

# --- Interrupts, in the guest's /proc/interrupts ----------------------------

# irq_total rx|tx
irq_total() {
  local device
  device=$(c readlink "/sys/class/net/$CONSUMER/device")
  device=${device##*/}
  case $1 in
    rx) device+=-input.0 ;;
    tx) device+=-output.0 ;;
    *) echo 0; return ;;
  esac
  c cat /proc/interrupts | awk -v name="$device" '
    $NF == name { for (i = 2; $i ~ /^[0-9]+$/; i++) sum += $i }
    END { print sum + 0 }'
}

# One server in the guest for all iperf3 runs.
iperf_server() {
  c iperf3 -s -D --forceflush >/dev/null ||
    die iperf3 "the server does not start in the guest"
}
