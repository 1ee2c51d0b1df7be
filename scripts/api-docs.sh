#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# API documentation of the libraries' headers, in build/api-docs/html. Fails if
# a comment cannot be read.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v doxygen >/dev/null || {
  echo "api-docs.sh: no doxygen: apt-get install doxygen" >&2
  exit 1
}
mkdir -p build
doxygen docs/Doxyfile
echo "build/api-docs/html/index.html"
