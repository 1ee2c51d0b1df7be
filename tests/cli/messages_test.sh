#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: messages_test.sh PROGRAM
#
# What vduse-net says about a wrong command line and about what it may not do:
# exit code and words. Makes no device.
# shellcheck disable=SC2317  # says calls functions by their name
set -euo pipefail

program=$1
failures=0
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
chmod 755 "$temp"

# says CODE TEXT COMMAND...: COMMAND ends with CODE, and what it prints has
# TEXT.
says() {
  local code=$1 text=$2
  shift 2
  local got=0 output
  output=$("$@" 2>&1 </dev/null) || got=$?
  if [[ $got != "$code" || $output != *"$text"* ]]; then
    printf 'wrong: %s\n  wanted %s: ...%s...\n  got %s: %s\n' \
      "${*:1}" "$code" "$text" "$got" "$output"
    failures=$((failures + 1))
  fi
}

net() { "$program" "$@"; }
run() { "$program" run --name messages0 --tap messages0 "$@"; }
to_full() { "$program" "$@" >/dev/full; }

# --- Commands ---
says 2 "a command is missing: run, " net
says 2 "unknown command 'bogus': vduse-net has run, " net bogus
says 2 "unknown command 'bogus'" net bogus --foo 1
says 2 "unknown command 'get': vduse-net coalesce has show, set" \
  net coalesce get x
says 2 "unknown command 'load'" net state load x
says 2 "coalesce: a command is missing: show, set" net coalesce
says 0 "SUBCOMMAND" net help
says 0 "vduse-net run [OPTIONS]" net help run
says 0 "vduse-net coalesce set [OPTIONS]" net help coalesce set
says 0 "vduse-net coalesce [OPTIONS] SUBCOMMAND" net coalesce --help
says 2 "unknown command 'bogus'" net help bogus
version=$(net --version)
[[ $version =~ ^[0-9]+\.[0-9]+ ]] || says 0 "a version" net --version
says 0 "$version" net -V

# --- Options ---
says 2 "unknown option '--bogus'; see \`vduse-net help run\`" run --bogus
says 2 "unknown option '--nme'" net run --nme x --tap y
says 2 "run: --name is required" net run --tap x
says 2 "run: --mtu needs a value" run --mtu
says 2 "run: --tap is given more than once" run --tap y
says 2 "attach: NAME is required" net attach
says 2 "unexpected argument 'x'" net profiles x
says 2 "'foo' is not one of auto, io_uring, syscalls" run --engine foo
says 2 "--rx-usecs: '-1' is not a number from 0 to 4294967295" \
  run --rx-usecs -1
says 2 "'4294967296' is not a number from 0 to" run --tx-frames 4294967296
says 2 "'x' is not a number from 0 to 4294967295" run --tx-usecs x
says 2 "--mtu: '1e3' is not a number from 68 to 65535" run --mtu 1e3
says 2 "--queue-pairs: '17' is not a number from 1 to 16" run --queue-pairs 17
says 2 "'0' is not a number from 1 to 1000000" run --max-irq-rate 0
says 2 "--mac: MAC address 'x' is not of the form" run --mac x
says 2 "--rounds: '1' is not a number from 2 to 1000" net tune x --rounds 1
says 2 "--direction: 'both' is not one of rx, tx" net tune x --direction both
says 2 "--packets: '0' is not a number from 1 to" \
  net simulate --arrivals steady:1 --packets 0
[[ $(net simulate --arrivals steady:1 --packets 10 --seed 000 off -j) == \
  *'"packets": 10,'* ]] || says 0 "10 packets" false
[[ $(net simulate --arrivals steady:1 --packets 010 off -j) == \
  *'"packets": 10,'* ]] || says 0 "10 packets" false

# --- Configuration files ---
config=$temp/messages0.conf
printf 'tap = messages0\n# more\nrx-usec = 5\n' >"$config"
says 2 "$config:3: unknown key 'rx-usec': the keys are the options of" \
  net run --config "$config"
says 2 "$config:3: unknown key 'rx-usec'" net config check "$config"
says 2 "$config:3: unknown key 'rx-usec'" net config show "$config"
printf 'tap = messages0\nmtu = 1e3\n' >"$config"
says 2 "$config:2: mtu: '1e3' is not a number from 68" \
  net run --config "$config"
says 2 "run: --mtu: '1' is not a number" net run --config "$config" --mtu 1
says 0 "vduse-net run [OPTIONS]" net run --config "$config" --help
printf 'mtu = 1500\n' >"$config"
says 2 "$config: tap is missing, and --tap is not given" \
  net config check "$config"
says 2 "$temp/none.conf: No such file" net config check "$temp/none.conf"
says 2 "config: a command is missing: check, show" net config
printf 'tap = messages0\nattach = true\nrx-usecs = 5\n' >"$config"
says 0 "$config: ok" net config check "$config"
says 0 "--rx-usecs 5 has no effect without --rx-frames" \
  net config check "$config"
says 0 "# $config" net config show "$config"
says 0 '"from": "'"$config"'"' net config show -j "$config"
says 2 "device name '..' begins with" net config show ..

# --- Names ---
says 2 "device name '' is empty" net run --name '' --tap messages0
says 2 "device name '..' begins with" net run --name .. --tap messages0
for tap in '' . .. all default a/b 'tap%d' 'a b' a:b sixteen-letters-; do
  says 2 "--tap: '$tap' is not a name for an interface: 1 to 15" \
    net run --name messages0 --tap "$tap"
done
says 2 "the device's name is missing before 'rx-usecs': vduse-net" \
  net coalesce set rx-usecs 100
says 2 "the device's name is missing: vduse-net coalesce set" net coalesce set
says 2 "the device's name is missing: vduse-net tune" net tune
says 2 "the device's name is missing before '50/64'" net tune 50/64 100/64

# --- A device that is not there ---
says 1 "no process serves a device 'x' here" net tune x --state-dir "$temp"
[[ $(net tune x --state-dir "$temp" 2>&1) != *" s"$'\n'* ]] ||
  says 1 "nothing is promised" net tune x --state-dir "$temp"
says 1 "no process serves a device 'x' here" \
  net coalesce show x --state-dir "$temp"
says 1 "no process serves a device 'x' here" \
  net coalesce set --state-dir "$temp" x rx-usecs 1
says 1 "no process serves a device 'x' here" \
  net coalesce --state-dir "$temp" show x
says 0 "[]" net coalesce show -j --state-dir "$temp"

# --- JSON, where nothing is needed for it ---
says 0 '"name": "' net profiles -j
check_code=0
check=$(net check -j) || check_code=$?
[[ $check == *"\"exit_code\": $check_code"*'"what": "kernel"'* ||
   $check == *'"what": "kernel"'*"\"exit_code\": $check_code"* ]] ||
  says "$check_code" '"what": "kernel"' net check -j
[[ $(net show -j 2>&1 || true) != *"expected"* ]] || says 0 "[" net show -j

# --- Standard output that cannot be written ---
for command in help --help -V profiles check "profiles -j" \
  "simulate --arrivals steady:1000 --packets 10" \
  "coalesce show -j --state-dir $temp"; do
  # shellcheck disable=SC2086  # words on purpose
  says 1 "write error on standard output: No space left on device" \
    to_full $command
done

# --- An ordinary user ---
user=()
if ((EUID == 0)); then
  user=(setpriv --reuid 65534 --regid 65534 --clear-groups
        --inh-caps=-all --bounding-set=-all)
fi
cp "$program" "$temp/vduse-net"
mkdir "$temp/closed"
chmod 700 "$temp/closed"
if "${user[@]}" "$temp/vduse-net" -V >"$temp/version" 2>&1; then
  says 3 "CAP_NET_ADMIN is missing: run this as root" \
    "${user[@]}" "$temp/vduse-net" run --name x --tap x
  says 3 "permission denied: CAP_NET_ADMIN is missing: run this as root" \
    "${user[@]}" "$temp/vduse-net" check
  if ((EUID == 0)); then
    says 1 "cannot read $temp/closed: Permission denied: run this as root" \
      "${user[@]}" "$temp/vduse-net" coalesce show --state-dir "$temp/closed"
    says 1 "Permission denied: run this as root" \
      "${user[@]}" "$temp/vduse-net" coalesce show x \
      --state-dir "$temp/closed"
  fi
else
  echo "left out: an ordinary user cannot be had here: $(cat "$temp/version")"
fi

# --- Coalescing that has no effect ---
# It then fails, as an ordinary user may not make a device.
if [[ -s $temp/version ]]; then
  says 3 "--rx-usecs 100 has no effect without --rx-frames" \
    "${user[@]}" "$temp/vduse-net" run --name x --tap x --rx-usecs 100
  says 3 "--tx-frames 8 has no effect without --tx-usecs" \
    "${user[@]}" "$temp/vduse-net" run --name x --tap x --tx-frames 8
  says 3 "--rx-usecs and --rx-frames have no effect beside a goal" \
    "${user[@]}" "$temp/vduse-net" run --name x --tap x --rx-usecs 100 \
    --rx-frames 8 --max-irq-rate 1000
fi

((failures == 0)) && echo "all messages are as they should be"
exit $((failures > 0))
