// SPDX-License-Identifier: Apache-2.0
#include "daemon/sandbox_user.h"

#include <fmt/format.h>
#include <pwd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/parse_number.h"

namespace program {
namespace {

// fgetpwent_r reads nothing but the file, also in a static program, where
// getpwnam would load libraries.
std::optional<SandboxUser> FindIn(const std::string& file,
                                  const std::string& name,
                                  std::optional<uid_t> uid) {
  const std::unique_ptr<FILE, decltype(&std::fclose)> stream(
      std::fopen(file.c_str(), "re"), &std::fclose);
  if (!stream) return std::nullopt;
  passwd entry = {};
  passwd* found = nullptr;
  std::array<char, 4096> text;
  while (fgetpwent_r(stream.get(), &entry, text.data(), text.size(), &found) ==
         0) {
    if (uid ? entry.pw_uid == *uid : entry.pw_name == name) {
      return SandboxUser{.uid = entry.pw_uid, .gid = entry.pw_gid};
    }
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<SandboxUser> FindSandboxUser(const std::string& user,
                                            const std::string& file) {
  std::optional<uid_t> number = base::ParseNumber<uid_t>(user);
  // The greatest number stands for "no change".
  if (number == UINT32_MAX) number.reset();
  std::optional<SandboxUser> found = FindIn(file, user, number);
  if (!found && number) found = SandboxUser{.uid = *number, .gid = *number};
  if (!found && user == kDefaultSandboxUser) {
    return SandboxUser{.is_default_missing = true};
  }
  if (!found) {
    return absl::NotFoundError(fmt::format(
        "there is no user '{}' in {}: make it (useradd --system {}), or give "
        "a number",
        user, file, user));
  }
  if (found->uid == 0) {
    return absl::InvalidArgumentError(fmt::format(
        "user '{}' is root: the device process needs no such rights", user));
  }
  return *found;
}

}  // namespace program
