// SPDX-License-Identifier: Apache-2.0
#include "net/path/port_drops.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace net {

base::UniqueFd PortDrops::OpenFile(const std::string& interface_name) {
  const std::string path =
      fmt::format("/sys/class/net/{}/statistics/tx_dropped", interface_name);
  return base::UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

void PortDrops::SetFile(base::UniqueFd file) {
  const bool counting = counting_;
  Stop();
  file_ = std::move(file);
  if (counting) Start();
}

void PortDrops::Start() {
  Stop();
  counting_ = true;
  begin_ = last_ = Read().value_or(UINT64_MAX);
}

void PortDrops::Stop() {
  before_ += Running();
  counting_ = false;
  begin_ = last_ = 0;
}

uint64_t PortDrops::Running() const {
  if (!counting_) return 0;
  // The file of a deleted interface cannot be read; its last value stays.
  last_ = std::max(last_, Read().value_or(0));
  return last_ - begin_;
}

std::optional<uint64_t> PortDrops::Read() const {
  std::array<char, 32> text;
  const ssize_t size = pread(file_.get(), text.data(), text.size(), 0);
  if (size <= 0) return std::nullopt;
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + size, value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

}  // namespace net
