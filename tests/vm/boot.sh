#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Boots a VM that runs one scenario, shows its result lines as they come and
# exits 0 only if the scenario went to its end and no check failed.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: boot.sh --build DIR --module open|stock --scenario FILE
               [--kernel 6.12|7.3] [--timeout SECONDS] [--log FILE]
               [--env K=V]... [--no-checks] [--icount]

  --build DIR      build folder, holds vduse-net and tests/tools/
  --module         vduse without the control-queue gate, or the stock module
  --scenario FILE  one of tests/vm/scenarios/
  --kernel SERIES  see kernel.sh                       (default: 6.12)
  --timeout N      seconds for the whole run           (default: 300)
  --log FILE       everything that was printed
                   (default: DIR/vm-logs/SCENARIO.MODULE.KERNEL.log)
  --env K=V        a variable for the scenario
  --no-checks      the scenario need not check anything (the demo)
  --icount         QEMU's icount: the VM's clock counts executed instructions, a
                   nanosecond each, and its CPUs take turns. What else the host
                   does is not seen in it. Only with the accelerator tcg
  --verbose        show every line, not the results alone
environment: VDUSE_NET_CACHE (kernel cache), VDUSE_NET_VM_MEMORY (MiB),
VDUSE_NET_ACCEL (QEMU's accelerator: tcg unless set; kvm where it works)
USAGE
}

die() {
  printf 'boot.sh: %s\n' "$*" >&2
  exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
args=("$@")
build='' module='' scenario='' log='' timeout=300 series=6.12 icount=0
env=() need_checks=1 verbose=0
while (($# > 0)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --no-checks) need_checks=0; shift; continue ;;
    --icount) icount=1; shift; continue ;;
    --verbose) verbose=1; shift; continue ;;
    --*) (($# > 1)) || die "$1 needs a value" ;;
    *) usage >&2; die "unknown argument '$1'" ;;
  esac
  case $1 in
    --build) build=$2 ;;
    --module) module=$2 ;;
    --scenario) scenario=$2 ;;
    --kernel) series=$2 ;;
    --timeout) timeout=$2 ;;
    --log) log=$2 ;;
    --env) env+=(--env "$2") ;;
    *) usage >&2; die "unknown argument '$1'" ;;
  esac
  shift 2
done
[[ -n $build && -n $module && -n $scenario ]] ||
  { usage >&2; die "--build, --module and --scenario are needed"; }
[[ -d $build ]] || die "no such build folder: $build"
[[ -f $scenario ]] || die "no such scenario: $scenario"
[[ $timeout =~ ^[0-9]+$ ]] || die "--timeout takes seconds, not '$timeout'"
for tool in qemu-system-x86_64 cpio ldd objcopy; do
  command -v "$tool" >/dev/null ||
    die "'$tool' is missing: run scripts/install-deps.sh"
done

name=$(basename "$scenario" .sh).$module.$series
: "${log:=$build/vm-logs/$name.log}"
mkdir -p "$(dirname "$log")"
: >"$log"

# What a scenario needs beyond the initramfs it says itself.
needs=$(sed -n 's/^# Needs: //p' "$scenario")
# What the kernel may complain of, as a pattern: a defect of its own.
known=$(sed -n 's/^# Kernel says: //p' "$scenario")
if [[ $needs == system ]]; then
  kernel=$("$here/debian.sh") || die "no Debian to boot, see above"
else
  kernel=$("$here/kernel.sh" "$series") || die "no kernel to boot, see above"
fi
emulator="qemu-system-x86_64"
disk=() guest_kernel=() memory=2048
# What a kernel that panics does, which is the end of the run.
panic=(-no-reboot) panic_seconds=-1
case $needs in
  '' | vhost) ;;
  system)
    disk=(-drive "file=$kernel/disk,if=virtio,format=raw,snapshot=on")
    memory=3072
    panic=() panic_seconds=0  # it may reboot
    ;;
  userland | migration)
    userland=$("$here/userland.sh") || die "no disk with QEMU, see above"
    # A KVM guest asks more of the emulated CPUs than Debian 12's QEMU keeps.
    emulator=$userland/qemu-system-x86_64
    # The guest's kernel is the same whatever the VM's own. As a disk it is
    # read much sooner than in the initramfs.
    inner=$("$here/kernel.sh" 6.12) || die "no kernel for the guest, see above"
    guest_kernel=(--guest-kernel "$inner")
    disk=(-drive "file=$userland/disk,if=virtio,format=raw,readonly=on"
      -drive "file=$inner/vmlinux,if=virtio,format=raw,readonly=on")
    memory=3072
    if [[ $needs == migration ]]; then
      newer=$("$here/userland.sh" newer) || die "no disk with QEMU, see above"
      disk+=(-drive "file=$newer/disk,if=virtio,format=raw,readonly=on")
    fi
    ;;
  peer)
    peer=$("$here/userland.sh" peer) || die "no disk with DPDK, see above"
    disk=(-drive "file=$peer/disk,if=virtio,format=raw,readonly=on")
    ;;
  *) die "$scenario needs '$needs', which nobody knows" ;;
esac
work=$(mktemp -d "${TMPDIR:-/tmp}/vm.XXXXXX")
qemu=
cleanup() {
  if [[ -n $qemu ]]; then kill -KILL "$qemu" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

"$here/image.sh" --build "$build" --kernel "$kernel" --module "$module" \
  --scenario "$scenario" --output "$work/initrd" --env "KERNEL=$series" \
  --env "NEEDS=$needs" --env "ICOUNT=$icount" "${guest_kernel[@]}" \
  "${env[@]}" ||
  die "no initramfs, see above"

# A /dev/kvm may be there and fail in the middle of a boot: it is for those
# who know that theirs works.
accel=${VDUSE_NET_ACCEL:-tcg,thread=multi}
clock=()
if ((icount)); then
  [[ $accel == tcg* ]] || die "--icount does not go with VDUSE_NET_ACCEL=$accel"
  accel=tcg,thread=single clock=(-icount "shift=0,sleep=off")
fi
# The emulator keeps what it has translated by address. At random ones, a program
# that starts again would be translated again: hence norandmaps below.
# In emulation `rep movsb` goes byte by byte: the kernel shall copy otherwise.
cpu=max,-erms,-fsrm

SECONDS=0
start=${EPOCHREALTIME/./}
# The results come out of QEMU's standard output, kernel messages go to a
# file, QEMU's own complaints to another.
exec 4< <(exec "$emulator" -machine q35 -accel "$accel" "${clock[@]}" \
  -cpu "$cpu" -smp 2 -m "${VDUSE_NET_VM_MEMORY:-$memory}" "${panic[@]}" \
  -nodefaults "${disk[@]}" -display none -monitor none -serial "file:$work/console" \
  -chardev file,id=results,path=/dev/stdout -device virtio-serial-pci \
  -device virtserialport,chardev=results,name=results \
  -kernel "$kernel/vmlinuz" -initrd "$work/initrd" -append \
  "console=ttyS0 quiet panic=$panic_seconds oops=panic mitigations=off nokaslr \
tsc=reliable ipv6.disable_ipv6=1 norandmaps" </dev/null 2>"$work/qemu")
qemu=$!

checks=0 failures=0 finished=0 timed_out=0 broken=0
while ((SECONDS < timeout)); do
  line=
  if IFS= read -r -t $((timeout - SECONDS)) -u 4 line; then
    more=1
  else
    more=$?
    [[ -n $line ]] || { ((more > 128)) && continue; break; }
  fi
  at=$(((${EPOCHREALTIME/./} - start) / 10000))
  printf '%4d.%02d %s\n' $((at / 100)) $((at % 100)) "$line" >>"$log"
  case $line in
    'CHECK ok '*) checks=$((checks + 1)) ;;
    'CHECK FAIL '*) failures=$((failures + 1)) ;;
    DONE) finished=1 ;;
    'PROGRESS '* | 'ROW '*) ;;
    *"KVM internal error"*) broken=1; printf '%s\n' "$line"; break ;;
    *) ((verbose)) || continue ;;
  esac
  [[ $line == DONE ]] || printf '%s\n' "$line"
done

# fail NAME WHY: a failure that the guest could not tell.
fail() {
  failures=$((failures + 1))
  printf 'CHECK FAIL %s: %s\n' "$1" "$2" | tee -a "$log"
}

if ((broken || SECONDS >= timeout)) && kill -0 "$qemu" 2>/dev/null; then
  ((broken)) || timed_out=1
  kill -KILL "$qemu"
fi
qemu_status=0
wait "$qemu" || qemu_status=$?
qemu=

touch "$work/console"
{
  echo "--- QEMU (accel $accel)"
  cat "$work/qemu"
  echo "--- kernel console"
  tr -d '\r' <"$work/console"
} >>"$log"

# A kernel that patches its code relies on what the emulator does not always
# keep: another CPU may still run into the breakpoint that was there meanwhile.
# Nor does it keep all that KVM relies on (see guest/qemu.sh). That says nothing
# about what is tested here.
attempt=${VDUSE_NET_VM_ATTEMPT:-1}
if ((attempt < 3)) &&
  failed=$(grep -a -h -m 1 -o 'Oops: int3\|KVM internal error' \
    "$work/console" "$log"); then
  echo "PROGRESS the emulated CPU failed the kernel (${failed%%$'\n'*}):" \
    "once more"
  cleanup
  exec env VDUSE_NET_VM_ATTEMPT=$((attempt + 1)) "$here/boot.sh" "${args[@]}"
fi

splat='BUG: |WARNING: |Oops|general protection fault|Kernel panic'
splat+='|blocked for more than [0-9]+ seconds|self-detected stall'
splat+='|detected stalls|soft lockup|hard LOCKUP|unable to handle'
splat+='|NETDEV WATCHDOG|refcount_t|UBSAN|KASAN'
if bad=$(grep -E "$splat" "$work/console" | grep -vE -m 1 "${known:-^$}"); then
  fail kernel "$(tr -d '\r' <<<"$bad")"
fi
if ((timed_out)); then
  fail timeout "not finished after $timeout s; the VM was stopped"
elif ((finished == 0)); then
  fail end "the scenario did not reach its end (QEMU's status $qemu_status)"
elif ((need_checks && checks + failures == 0)); then
  fail checks "the scenario checked nothing"
fi

if ((failures)); then
  # The log's end holds the kernel's messages; what came before them matters
  # as much.
  echo "--- last lines of $log"
  sed '/^--- QEMU/,$d' "$log" | tail -n 80
  head -n 20 "$work/qemu"
  echo "--- last lines of the kernel console"
  tail -n 25 "$work/console" | tr -d '\r'
  echo "--- $name: $checks ok, $failures failed, $SECONDS s"
  exit 1
fi
echo "--- $name: $checks ok, $SECONDS s"
