# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# The distribution's own vduse module: no control queue, the device says so,
# carries traffic, and coalesces as the operator set it. Boot with
# --module stock.

COUNT=${COUNT:-5000}
INTERVAL_US=${INTERVAL_US:-1000}

[[ $MODULE == stock ]] || die module "this scenario is for --module stock"
irq_setup
vduse-net check >/tmp/host-check 2>&1
cat /tmp/host-check >&3
check check-says-so grep -iE -m 1 'control.queue' /tmp/host-check

start_device
says() { log_since_start | grep -iE -m 1 "$1"; }
check log-says-so says 'control.queue'

timeout 10 vdpa dev config show "$NAME" >/tmp/config 2>&1
cat /tmp/config >&3
no_control_queue() {
  cat /tmp/config
  grep -q "mac $CONSUMER_MAC" /tmp/config &&
    ! grep -qE 'CTRL_VQ|NOTF_COAL|bit_52|bit_53' /tmp/config
}
check config no_control_queue
check ethtool-refused ethtool_refused

check ping ping -n -q -c 10 -i 0.05 -W 1 "$CONSUMER_IP"
iperf_server
check iperf-tcp-rx some_tcp
check iperf-tcp-tx some_tcp -R
kill "$IPERF_PID"
check frames-rx frame_check --from "$TAP" --to "$CONSUMER@consumer" \
  --count 20000
check frames-tx frame_check --from "$CONSUMER@consumer" --to "$TAP" \
  --count 20000

check rx-off flow_off rx
rx_off=$IRQS
check tx-off flow_off tx
tx_off=$IRQS
check stop stopped

for setting in '200 64 0' '2000 16 0' '20000 32 10'; do
  read -r usecs frames factor <<<"$setting"
  start_device --attach --rx-usecs "$usecs" --rx-frames "$frames" \
    --tx-usecs "$usecs" --tx-frames "$frames"
  check "rx-${usecs}us-$frames" flow_coalesced rx "$usecs" "$frames" "$factor" \
    "$rx_off"
  check "tx-${usecs}us-$frames" flow_coalesced tx "$usecs" "$frames" "$factor" \
    "$tx_off"
  check "stop-${usecs}us" stopped
done
