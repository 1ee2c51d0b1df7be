// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SUPPORT_INSTANT_H_
#define VDUSE_NET_TESTS_SUPPORT_INSTANT_H_

#include "coalesce/time.h"

namespace tests {

// A point on a test's clock, so long after its start.
constexpr coalesce::Instant At(coalesce::Duration since_start) {
  return coalesce::Instant(since_start);
}

}  // namespace tests

#endif  // VDUSE_NET_TESTS_SUPPORT_INSTANT_H_
