# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# A device's state is saved, and restored by the same program elsewhere: STATE
# is what another VM's run of this scenario said, or empty. state_test.sh
# carries it from kernel to kernel. Gate lifted.

COUNT=${COUNT:-3000}
INTERVAL_US=${INTERVAL_US:-1000}
STATE=${STATE:-}
FILE=/tmp/state.json

irq_setup
save() { vduse-net state save "$FILE" --name "$NAME" 2>&1; }
# refused TEXT COMMAND...: it fails, and says why.
refused() {
  local text=$1 said status=0
  shift
  said=$("$@" 2>&1) || status=$?
  echo "status=$status ${said##*$'\n'}"
  ((status == 1)) && [[ $said == *"$text"* ]]
}
coalesced_both() {
  flow_coalesced rx 20000 32 || return 1
  local rx=$IRQS
  flow_coalesced tx 20000 32 || return 1
  figures "rx_irqs=$rx bound=$BOUND"
}

check no-device refused "no process serves" save
if [[ -z $STATE ]]; then
  start_device --attach
  check ping wait_for 5 ping_once
  check running refused "is active" save
  check ethtool-rx c ethtool -C "$CONSUMER" rx-usecs 20000 rx-frames 32
  check ethtool-queue c ethtool -Q "$CONSUMER" queue_mask 0x1 --coalesce \
    tx-usecs 20000 tx-frames 32
  check coalesced coalesced_both
else
  base64 -d <<<"$STATE" >"$FILE"
  cat "$FILE" >&3
  run=(vduse-net run --name "$NAME" --tap "$TAP" --restore "$FILE")
  check other-mac refused "leave --mac out" "${run[@]}" \
    --mac 02:00:00:00:00:99
  check other-profile refused "what is not offered here" "${run[@]}" \
    --profile v1-no-cvq
  sed 's/"version": 2/"version": 3/' "$FILE" >/tmp/version3
  check other-version refused "version 3" vduse-net run --name "$NAME" \
    --tap "$TAP" --restore /tmp/version3
  head -c 300 "$FILE" >/tmp/short
  check cut-short refused "cut short" vduse-net run --name "$NAME" \
    --tap "$TAP" --restore /tmp/short
  start_device --attach --restore "$FILE"
  says() { log_since_start | grep -m 1 "$1"; }
  check ping wait_for 5 ping_once
  check goes-on says "goes on with what it had set"
  # Nobody has sent a coalescing command to this device.
  no_command() { ! log_since_start | grep -E '(RX|TX|VQ)_SET'; }
  check nothing-sent no_command
  check coalesced coalesced_both
  check still-nothing-sent no_command
fi

# What the device elsewhere needs: stopped, it can be saved.
check stop-driver timeout 10 vdpa dev del "$NAME"
check save save
say "STATE $(base64 -w 0 "$FILE")"
