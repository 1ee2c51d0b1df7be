# shellcheck shell=bash disable=SC2015,SC2034
# SPDX-License-Identifier: Apache-2.0
#
# A QEMU guest inside the VM as the consumer, for scenarios to source after
# lib.sh. They say "# Needs: userland" in a line of their own: then the disk
# with QEMU is there, and vhost_vdpa binds the device.

GUEST_PID=
CONSOLE_PID=
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
  tail -n 30 /tmp/qemu.log >&3
  return 124
}

guest_ready() {
  local line out
  for out in 21 23; do
    while :; do
      IFS= read -r -t 30 -u $out line || return 1
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

# launch_guest generic|netdev [QEMU ARGS...]
launch_guest() {
  local form=$1 port path device=()
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
        -device "virtio-net-pci,netdev=n0,romfile=,$kicks")
      ;;
    *) die guest "no form '$form'" ;;
  esac
  for port in 0 1; do
    for path in in out; do
      rm -f "/tmp/cmd$port.$path"
      mkfifo "/tmp/cmd$port.$path"
    done
  done
  rm -f /tmp/monitor.in /tmp/monitor.out
  mkfifo /tmp/monitor.in /tmp/monitor.out
  exec 20<>/tmp/cmd0.in 21<>/tmp/cmd0.out 22<>/tmp/cmd1.in 23<>/tmp/cmd1.out \
    24<>/tmp/monitor.in 25<>/tmp/monitor.out
  # The guest's console, and what QEMU says, are shown as they grow.
  : >/tmp/guest.console
  : >/tmp/qemu.log
  tail -q -f /tmp/guest.console /tmp/qemu.log 2>/dev/null |
    sed 's/^/guest| /' >&3 &
  CONSOLE_PID=$!
  # On one CPU: code that the guest's kernel patches on one and runs on another
  # is more than the emulation of this VM's CPUs can take.
  taskset 2 qemu-system-x86_64 -machine q35,memory-backend=m -accel kvm \
    -cpu qemu64,+x2apic,+tsc-deadline -smp 1 -m 256 \
    -object "memory-backend-memfd,id=m,size=256M,share=${GUEST_SHARE:-on}" \
    -nodefaults -display none -serial file:/tmp/guest.console \
    -chardev pipe,id=monitor,path=/tmp/monitor -mon chardev=monitor \
    -device virtio-serial-pci \
    -chardev pipe,id=cmd0,path=/tmp/cmd0 \
    -device virtserialport,chardev=cmd0,name=cmd0 \
    -chardev pipe,id=cmd1,path=/tmp/cmd1 \
    -device virtserialport,chardev=cmd1,name=cmd1 \
    -kernel /tmp/vmlinux -initrd /tmp/guest.initrd -append \
    "console=ttyS0 quiet nokaslr tsc=reliable panic=-1 ipv6.disable=1" \
    "${device[@]}" "$@" >/tmp/qemu.log 2>&1 3>&- 7>&- </dev/null &
  GUEST_PID=$!
}

# start_guest generic|netdev [QEMU ARGS...]: up to its shell.
start_guest() {
  local start
  now; start=$NOW
  launch_guest "$@"
  guest_ready ||
    die guest "no shell after 30 s: $(tail -n 3 /tmp/qemu.log \
      /tmp/guest.console 2>&1)"
  now
  GUEST_BOOT_MS=$(((NOW - start) / 1000))
}

# The guest's interface goes up and has its address.
guest_link_up() {
  c ip address replace "$CONSUMER_IP/24" dev "$CONSUMER" &&
    c ip link set "$CONSUMER" up
}

# The guest's kernel had nothing to complain about.
guest_sound() {
  if grep -E -m 1 'BUG: |WARNING: |Oops|Kernel panic|NETDEV WATCHDOG' \
    /tmp/guest.console; then
    cat /tmp/guest.console >&3
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
