// SPDX-License-Identifier: Apache-2.0
//
// A configuration file: the options of a command, a line each.
//
//   # a comment, also with ';'
//   tap = tap0
//   attach = true
//   cpus = "2,4-6"
//
// A key is an option's name without its dashes. Quotes around a value are left
// out. There are no sections. The form is common to INI and TOML, but for
// values that TOML wants in quotes.
#ifndef VDUSE_NET_CLI_CONFIG_FILE_H_
#define VDUSE_NET_CLI_CONFIG_FILE_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace cli {

struct ConfigEntry {
  std::string key;
  std::string value;  // never empty
  int line = 0;       // counted from 1
};

// Parses the text of `file`, whose name is for messages. Each key occurs once.
//   InvalidArgument: a line is not of the form; the text names file and line.
absl::StatusOr<std::vector<ConfigEntry>> ParseConfig(const std::string& file,
                                                     std::string_view text);

// Reads `file` and parses it.
//   InvalidArgument: as above, or the file is not a regular one.
//   Other codes: it cannot be read.
absl::StatusOr<std::vector<ConfigEntry>> ReadConfig(const std::string& file);

// The device that a file is for by its name: "vn0" for ".../vn0.conf". Nothing
// if the file has another suffix.
std::optional<std::string> DeviceOfConfig(const std::string& file);

}  // namespace cli

#endif  // VDUSE_NET_CLI_CONFIG_FILE_H_
