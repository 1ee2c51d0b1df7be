// SPDX-License-Identifier: Apache-2.0
#include "cli/option_checks.h"

#include <fmt/format.h>
#include <net/if.h>

namespace cli {

absl::Status CheckTapName(const std::string& name) {
  bool good = !name.empty() && name.size() < IFNAMSIZ;
  for (const char c : name) {
    // The kernel treats 0xa0 as a blank, whatever the encoding.
    good = good && c != '/' && c != ':' && c != '%' && c != '\x7f' &&
           (c < 0 ? c != '\xa0' : c > ' ');
  }
  for (const char* reserved : {".", "..", "all", "default"}) {
    good = good && name != reserved;
  }
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format(
      "'{}' is not a name for an interface: 1 to {} characters other than '/', "
      "':', '%' and blanks, but not '.', '..', 'all' or 'default'",
      name, IFNAMSIZ - 1));
}

std::vector<std::string> CoalescingWarnings(
    const program::RunOptions& options) {
  std::vector<std::string> warnings;
  const struct {
    const char* name;
    const coalesce::Setting& setting;
  } sides[] = {{"rx", options.rx}, {"tx", options.tx}};
  for (const auto& [name, setting] : sides) {
    const coalesce::Params& params = setting.params;
    if (setting.goal && params != coalesce::Params()) {
      warnings.push_back(fmt::format(
          "--{0}-usecs and --{0}-frames have no effect beside a goal for "
          "adaptive coalescing, until `coalesce set` says adaptive-{0} off",
          name));
    } else if ((params.max_usecs == 0) != (params.max_packets == 0)) {
      const bool usecs = params.max_usecs != 0;
      warnings.push_back(fmt::format(
          "--{0}-{1} {2} has no effect without --{0}-{3}: coalescing takes "
          "both numbers",
          name, usecs ? "usecs" : "frames",
          usecs ? params.max_usecs : params.max_packets,
          usecs ? "frames" : "usecs"));
    }
  }
  return warnings;
}

}  // namespace cli
