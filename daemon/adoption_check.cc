// SPDX-License-Identifier: Apache-2.0
#include "daemon/adoption_check.h"

#include <fmt/format.h>

#include <string>

namespace program {

absl::Status FitsDevice(const RunOptions& options, const SavedState& saved) {
  const auto differs = [&](const char* option, const std::string& was,
                           const std::string& is) {
    return absl::InvalidArgumentError(fmt::format(
        "the device '{}' exists and was made with {} {}, this command says {}: "
        "start it as it was made, or end it first",
        options.name, option, was, is));
  };
  // Not known of a device that an older release made.
  if (!saved.tap_name.empty() && options.tap != saved.tap_name) {
    return differs("--tap", saved.tap_name, options.tap);
  }
  if (options.mtu && *options.mtu != saved.mtu) {
    return differs("--mtu", std::to_string(saved.mtu),
                   std::to_string(*options.mtu));
  }
  if (options.mac && *options.mac != saved.mac) {
    return differs("--mac", FormatMac(saved.mac), FormatMac(*options.mac));
  }
  if (options.queue_size && *options.queue_size != saved.queue_size) {
    return differs("--queue-size", std::to_string(saved.queue_size),
                   std::to_string(*options.queue_size));
  }
  return absl::OkStatus();
}

}  // namespace program
