// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_SETTING_H_
#define VDUSE_NET_SIMULATE_SETTING_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coalesce/coalescer.h"

namespace simulate {

// Parses "off", "USECS/FRAMES", "latency:USECS" or "rate:PER_SECOND".
//   InvalidArgument: the message says what is wrong with the text.
absl::StatusOr<coalesce::Setting> ParseSetting(std::string_view text);

// Formats a setting as ParseSetting() reads it.
std::string FormatSetting(const coalesce::Setting& setting);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_SETTING_H_
