// SPDX-License-Identifier: Apache-2.0
#include "daemon/landlock.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "base/unique_fd.h"

namespace program {
namespace {

// struct landlock_ruleset_attr as of version 6. An older kernel accepts it if
// what it does not know is 0.
struct RulesetAttributes {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;  // from version 4 on
  uint64_t scoped;              // from version 6 on
};
static_assert(sizeof(RulesetAttributes) == 24);

constexpr uint32_t kGetVersion = 1U << 0;  // LANDLOCK_CREATE_RULESET_VERSION

// Rights 0 to `count` - 1.
constexpr uint64_t First(int count) { return (uint64_t{1} << count) - 1; }

uint64_t FileRights(int abi) {
  if (abi >= 5) return First(16);  // IOCTL_DEV
  if (abi >= 3) return First(15);  // TRUNCATE
  if (abi >= 2) return First(14);  // REFER
  return First(13);
}

}  // namespace

absl::StatusOr<int> LandlockAbi() {
  const long abi =
      syscall(SYS_landlock_create_ruleset, nullptr, size_t{0}, kGetVersion);
  if (abi > 0) return static_cast<int>(abi);
  if (abi < 0 && errno == EOPNOTSUPP) {
    return absl::UnavailableError(
        "Landlock is turned off (see the kernel's parameter lsm=)");
  }
  return absl::UnavailableError("the kernel has no Landlock");
}

absl::Status EnterLandlock(int abi) {
  const RulesetAttributes attributes = {
      .handled_access_fs = FileRights(abi),
      .handled_access_net = abi >= 4 ? First(2) : 0,  // bind, connect
      .scoped = abi >= 6 ? First(2) : 0};  // abstract sockets, signals
  const base::UniqueFd ruleset(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes,
                               sizeof(attributes), uint32_t{0})));
  if (!ruleset ||
      syscall(SYS_landlock_restrict_self, ruleset.get(), uint32_t{0}) != 0) {
    return absl::ErrnoToStatus(errno, "Landlock");
  }
  return absl::OkStatus();
}

}  // namespace program
