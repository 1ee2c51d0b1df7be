# shellcheck shell=bash disable=SC1091,SC2015,SC2034,SC2153
# SPDX-License-Identifier: Apache-2.0
# Needs: userland
#
# Guests whose memory is in huge pages of 2 MiB, in both of QEMU's forms: they
# work like others, through resets, and no page stays taken when they are gone.
. /qemu.sh

REBINDS=${REBINDS:-10}
GUEST_PAGES=,hugetlb=on,hugetlbsize=2M

huge_free() { awk '$1 == "HugePages_Free:" {print $2}' /proc/meminfo; }
echo 144 >/proc/sys/vm/nr_hugepages
free=$(huge_free)
reserved() {
  echo "free=$free"
  ((free >= 128))
}
check reserved reserved

pages_taken() {
  echo "free=$(huge_free) before=$free"
  (($(huge_free) < free))
}
mapped() {
  grep -m 1 -E 'hugetlb|memfd:' "/proc/$(serving)/maps"
}
all_free() { (($(huge_free) == free)); }
pages_back() {
  wait_for 10 all_free
  echo "free=$(huge_free) before=$free"
  all_free
}

start_for_guest
for form in generic netdev; do
  start_guest "$form"
  progress "the guest's shell after $GUEST_BOOT_MS ms"
  check "$form-pages-taken" pages_taken
  check "$form-link-up" guest_link_up
  check "$form-ping" wait_for 10 ping_once
  check "$form-mapped" mapped
  iperf_server
  check "$form-tcp-rx" some_tcp
  check "$form-tcp-tx" some_tcp -R
  check "$form-rebinds" guest_rebinds "$REBINDS"
  check "$form-tcp-after" some_tcp
  stop_guest
  check "$form-pages-back" pages_back
done
check stop stopped
