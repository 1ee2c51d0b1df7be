#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The commands under "Use it" in README.md, from modprobe on, typed line by
# line into a fresh root shell of the VM. usage: readme_test.sh BUILD_DIR
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${1:?usage: readme_test.sh BUILD_DIR}
commands=$(sed -n '/^## Use it/,/^## /{/^```sh/,/^```$/p}' \
  "$here/../../README.md" | sed '/^```$/q' | sed -n '/^modprobe/,/^```$/p' |
  sed '$d')
[[ -n $commands ]] || { echo "README.md has no commands under 'Use it'"; exit 1; }
exec "$here/boot.sh" --build "$build" --module open --timeout 200 \
  --scenario "$here/scenarios/readme.sh" --env "COMMANDS=$commands"
