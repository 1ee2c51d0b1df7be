# shellcheck shell=bash disable=SC2015,SC2153
# SPDX-License-Identifier: Apache-2.0
#
# Control commands other than coalescing: receive modes and MAC tables, the MAC
# address, VLANs, statistics, and announcements. The modes that Linux never sets
# are in vhost_vdpa.
#
# Linux 7.3 declares an array of statistics requests with one element and uses
# several; UBSAN reports this:
# Kernel says: UBSAN: array-index-out-of-bounds in .*/drivers/net/virtio_net.c:
OTHER_MAC=02:00:5e:10:00:99
GROUP_MAC=01:00:5e:10:00:99
FILE=/tmp/state.json

for module in llc stp garp mrp 8021q; do
  insmod "/lib/modules/$module.ko" || die modules "cannot load $module.ko"
done

# arrives all|none MAC [VLAN]: what the consumer gets of frames to an address,
# soon: its driver passes some changes on in its own time.
arrives() { wait_for 2 arrives_now "$@"; }
arrives_now() {
  local want=$1 figures
  figures=$(frame_probe --from "$TAP" --to "$CONSUMER@consumer" --dst "$2" \
    ${3:+--vlan "$3"} 2>&1) || { echo "$figures"; return 1; }
  echo "$figures wanted=$want"
  case $want in
    all) [[ $figures == 'sent=20 received=20' ]] ;;
    none) [[ $figures == 'sent=20 received=0' ]] ;;
  esac
}
link() { ip -n consumer link set "$CONSUMER" "$@"; }

# negotiated BIT: by the consumer's driver.
negotiated() {
  local features
  features=$(cat "/sys/bus/vdpa/devices/$NAME"/virtio*/features)
  echo "features $features"
  [[ ${features:$1:1} == 1 ]]
}
# shows TEXT COMMAND...: is among what it prints.
shows() {
  local text=$1
  shift
  "$@" 2>&1 | tee /tmp/shown | grep -m 1 -e "$text" ||
    { cat /tmp/shown; return 1; }
}
statistics() { c ethtool -S "$CONSUMER"; }
no_statistics() {
  statistics >/tmp/shown || return 1
  cat /tmp/shown
  grep -q rx0_kicks /tmp/shown && ! grep hw_ /tmp/shown
}

start_device --attach --speed 10000
check speed shows 'Speed: 10000Mb/s' c ethtool "$CONSUMER"
check duplex shows 'Duplex: Full' c ethtool "$CONSUMER"

if [[ $MODULE == stock ]]; then
  check any-unicast arrives all "$OTHER_MAC"
  check any-group arrives all "$GROUP_MAC"
  check any-vlan arrives all "$CONSUMER_MAC" 100
  check no-statistics no_statistics
  check stop stopped
  start_device --attach --without SPEED_DUPLEX
  check speed-unknown shows 'Speed: Unknown' c ethtool "$CONSUMER"
  check stop-again stopped
  return
fi

# --- Which packets -----------------------------------------------------------

check own arrives all "$CONSUMER_MAC"
check other arrives none "$OTHER_MAC"
check group arrives none "$GROUP_MAC"
check vlan arrives none "$CONSUMER_MAC" 100

link promisc on
check promisc-other arrives all "$OTHER_MAC"
check promisc-group arrives all "$GROUP_MAC"
check promisc-vlan arrives all "$CONSUMER_MAC" 100
link promisc off
check promisc-off arrives none "$OTHER_MAC"

link allmulticast on
check allmulti-group arrives all "$GROUP_MAC"
check allmulti-other arrives none "$OTHER_MAC"
link allmulticast off
check allmulti-off arrives none "$GROUP_MAC"

c ip maddress add "$GROUP_MAC" dev "$CONSUMER"
check joined arrives all "$GROUP_MAC"
check joined-another arrives none 01:00:5e:10:00:98

# What is in force outlives the process.
kill_device
launch_device --attach
check crash-joined arrives all "$GROUP_MAC"
check crash-another arrives none 01:00:5e:10:00:98
check crash-other arrives none "$OTHER_MAC"
c ip maddress del "$GROUP_MAC" dev "$CONSUMER"
check left arrives none "$GROUP_MAC"

# More groups than the device has room for.
many_groups() {
  local i
  for i in {10..80}; do
    c ip maddress "$1" "01:00:5e:20:00:$i" dev "$CONSUMER" || return 1
  done
}
check join-many many_groups add
check many-joined arrives all 01:00:5e:20:00:80
check many-any arrives all "$GROUP_MAC"
check leave-many many_groups del
check many-left arrives none "$GROUP_MAC"

c ip link add link "$CONSUMER" name v100 type vlan id 100
c ip link set v100 up
check vlan-100 arrives all "$CONSUMER_MAC" 100
check vlan-101 arrives none "$CONSUMER_MAC" 101
# An interface on top of it with an address of its own.
c ip link set v100 address "$OTHER_MAC"
check second-unicast arrives all "$OTHER_MAC"
check second-unicast-vlan arrives all "$OTHER_MAC" 100
check third-unicast arrives none 02:00:5e:10:00:98
c ip link del v100
check vlan-gone arrives none "$CONSUMER_MAC" 100
check second-gone arrives none "$OTHER_MAC"

# --- Its address -------------------------------------------------------------

link address "$OTHER_MAC"
check address-new arrives all "$OTHER_MAC"
check address-old arrives none "$CONSUMER_MAC"
check address-shown shows "mac $OTHER_MAC" vdpa dev config show "$NAME"
link address "$CONSUMER_MAC"
check address-back arrives all "$CONSUMER_MAC"

# --- What it is asked for ----------------------------------------------------

announces() { wait_for 3 logged 'the driver announces itself'; }
not_moved() { ! logged 'the driver announces itself'; }
check not-moved not_moved
check stop-driver timeout 10 vdpa dev del "$NAME"
check save vduse-net state save "$FILE" --name "$NAME"
check stop stopped
start_device --attach --restore "$FILE"
check moved announces
check moved-filters arrives none "$OTHER_MAC"
check moved-own arrives all "$CONSUMER_MAC"
# --- What it asks for ----------------------------------------------------------

# The driver's and the device's counts of the same, at rest.
value() { field "$1" "$(tr -d ' ' </tmp/statistics | tr ':\n' '= ')"; }
counts_agree() {
  local pair
  {
    statistics
    for pair in rx_packets tx_packets; do
      echo "driver_$pair: $(c cat "/sys/class/net/$CONSUMER/statistics/$pair")"
    done
  } >/tmp/statistics
  for pair in driver_rx_packets=rx0_hw_packets rx0_kicks=rx0_hw_notifications \
    driver_tx_packets=tx0_hw_packets tx0_kicks=tx0_hw_notifications; do
    [[ $(value "${pair%=*}") == $(value "${pair#*=}") ]] || return 1
  done
}
statistics_right() {
  wait_for 3 counts_agree || { cat /tmp/statistics; return 1; }
  local name figures=
  for name in {rx,tx}0_hw_{packets,bytes,notifications,interrupts} \
    cq_hw_command_num cq_hw_ok_num; do
    figures+=" $name=$(value "$name")"
    (($(value "$name") > 0)) || { echo "$name is 0"; return 1; }
  done
  echo "$figures"
  (($(value cq_hw_ok_num) <= $(value cq_hw_command_num)))
}
check ping ping -n -q -c 5 -i 0.05 -W 1 "$CONSUMER_IP"
check statistics statistics_right
check stop-moved stopped

# --- Not offered ---------------------------------------------------------------

# without NAME BIT COMMAND...: how it is where the device lacks a feature.
without() {
  local name=$1 bit=$2 status=0
  shift 2
  start_device --attach --without "$name"
  negotiated "$bit" && { echo "bit $bit is negotiated"; status=1; }
  "$@" || status=1
  stopped >/dev/null || { echo "$STOP_WHY"; return 1; }
  return "$status"
}
unheard_address() {
  link address "$OTHER_MAC"
  arrives none "$OTHER_MAC" && arrives all "$CONSUMER_MAC"
}
check without-rx without CTRL_RX 18 arrives all "$OTHER_MAC"
check without-vlan without CTRL_VLAN 19 arrives all "$CONSUMER_MAC" 100
check without-announce without GUEST_ANNOUNCE 21 ping_once
check without-mac-addr without CTRL_MAC_ADDR 23 unheard_address
check without-stats without DEVICE_STATS 50 no_statistics
check without-speed without SPEED_DUPLEX 63 \
  shows 'Speed: Unknown' c ethtool "$CONSUMER"
