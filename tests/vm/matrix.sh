#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every consumer on every kernel with either module: one VM per cell, one
# table at the end. What a kernel or a VMM cannot do, its scenario checks for
# being said.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: matrix.sh --build DIR [--long] [--row NAME]... [--column NAME]...
  --long:  5000 packets per flow, 10 guest boots, 1000000 frames through DPDK;
           without it a fifth of that or less
  rows:    virtio-vdpa generic netdev dpdk   (default: all)
  columns: 6.12-open 6.12-stock 7.3-open 7.3-stock
USAGE
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build='' rows=() columns=()
size=(--env COUNT=1000 --env BOOTS=1 --env FRAMES=20000 --env TCP_SECONDS=1)
while (($# > 0)); do
  case $1 in
    --long) size=(); shift; continue ;;
    --build) build=${2:-} ;;
    --row) rows+=("${2:-}") ;;
    --column) columns+=("${2:-}") ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  (($# > 1)) || { usage >&2; exit 2; }
  shift 2
done
[[ -d $build ]] || { echo "matrix.sh: no build folder '$build'" >&2; exit 2; }
((${#rows[@]})) || rows=(virtio-vdpa generic netdev dpdk)
((${#columns[@]})) || columns=(6.12-open 6.12-stock 7.3-open 7.3-stock)

# shellcheck disable=SC2016  # backticks for Markdown
declare -A titles=(
  [virtio-vdpa]='host netdev, `virtio_vdpa`'
  [generic]='QEMU 10, `vhost-vdpa-device-pci`'
  [netdev]='QEMU 10, `-netdev vhost-vdpa`'
  [dpdk]="DPDK 22.11, virtio-user"
  [6.12-open]='6.12, gate lifted' [6.12-stock]='6.12, stock'
  [7.3-open]='7.3, gate lifted' [7.3-stock]='7.3, stock'
)

# scenario ROW MODULE
scenario() {
  case $1 in
    virtio-vdpa) if [[ $2 == open ]]; then echo basic; else echo stock; fi ;;
    generic | netdev) echo "qemu_$1" ;;
    dpdk) echo dpdk ;;
    *) echo "matrix.sh: no row '$1'" >&2; return 1 ;;
  esac
}

# One cell's VM. What else the host does disturbs it: it may have two more tries.
cell() {
  "$here/boot.sh" --build "$build" --kernel "$series" --module "$module" \
    --timeout 400 --scenario "$here/scenarios/$name.sh" --log "$log" \
    "${size[@]}"
}

declare -A cells
failed=0
for row in "${rows[@]}"; do
  for column in "${columns[@]}"; do
    series=${column%-*} module=${column#*-}
    name=$(scenario "$row" "$module")
    log=$build/vm-logs/matrix.$row.$column.log
    echo "=== $row, $column: $name.sh"
    start=$SECONDS
    for ((try = 1; try <= 3; try++)); do
      ((try == 1)) || echo "=== $row, $column: once more"
      cell && break
    done
    if ((try <= 3)); then
      cells[$row,$column]="yes, $(grep -c 'CHECK ok' "$log") checks"
    else
      cells[$row,$column]="NO, $(grep -c 'CHECK FAIL' "$log") failed"
      failed=$((failed + 1))
    fi
    echo "=== $row, $column: $((SECONDS - start)) s"
  done
done

for row in "${rows[@]}"; do
  for column in "${columns[@]}"; do
    [[ ${cells[$row,$column]} == NO* ]] || continue
    echo "=== $row, $column:"
    sed -n '/CHECK FAIL/s/^ *[0-9.]* //p' \
      "$build/vm-logs/matrix.$row.$column.log" | tail -n 5
  done
done

# The table, as it stands in docs/compatibility.md.
line='|'
rule='|---'
for column in "${columns[@]}"; do
  line+=" | ${titles[$column]}"
  rule+='|---'
done
printf '%s |\n%s|\n' "$line" "$rule"
for row in "${rows[@]}"; do
  line="| ${titles[$row]}"
  for column in "${columns[@]}"; do line+=" | ${cells[$row,$column]}"; done
  printf '%s |\n' "$line"
done
exit $((failed > 0))
