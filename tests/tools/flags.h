// SPDX-License-Identifier: Apache-2.0
//
// Command lines of the test tools: "--name value" pairs.

#ifndef TESTS_TOOLS_FLAGS_H_
#define TESTS_TOOLS_FLAGS_H_

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace tools {

// Prints "PROGRAM: message" and exits with status 2.
template <typename... Args>
[[noreturn]] void Die(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stderr, "{}: {}\n", program_invocation_short_name,
             fmt::format(format, std::forward<Args>(args)...));
  std::exit(2);
}

// As Die(), and says what errno means.
[[noreturn]] inline void DieErrno(std::string_view what) {
  Die("{}: {}", what, std::strerror(errno));
}

class Flags {
 public:
  // Takes the arguments from `first` on; `allowed` lists their names, each
  // between spaces.
  Flags(int argc, char** argv, int first, std::string_view allowed) {
    for (int i = first; i < argc; i += 2) {
      std::string_view name = argv[i];
      if (allowed.find(fmt::format(" {} ", name)) == std::string_view::npos) {
        Die("unknown argument '{}'; known are:{}", name, allowed);
      }
      if (i + 1 == argc) Die("{} needs a value", name);
      values_[std::string(name)] = argv[i + 1];
    }
  }

  [[nodiscard]] std::string String(const std::string& name) const {
    auto found = values_.find(name);
    if (found == values_.end()) Die("{} is needed", name);
    return found->second;
  }

  [[nodiscard]] uint64_t Number(const std::string& name) const {
    const std::string text = String(name);
    uint64_t value = 0;
    auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
      Die("{} takes a number, not '{}'", name, text);
    }
    return value;
  }

  [[nodiscard]] uint64_t Number(const std::string& name,
                                uint64_t otherwise) const {
    return values_.contains(name) ? Number(name) : otherwise;
  }

  [[nodiscard]] bool Has(const std::string& name) const {
    return values_.contains(name);
  }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace tools

#endif  // TESTS_TOOLS_FLAGS_H_
