// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_TAP_SETTINGS_H_
#define VDUSE_NET_DAEMON_TAP_SETTINGS_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "base/status_text.h"
#include "net/path/worker.h"

namespace program {

// Decides what the TAP is told about its driver: which packets it accepts and
// how many queues it uses. There is one request at a time, and only the latest
// values count, because a driver may change them in a loop. A refused request
// is repeated, because packets that need it are dropped meanwhile.
class TapSettings {
 public:
  struct Values {
    unsigned offloads = 0;
    uint32_t queues = 0;
    bool operator==(const Values&) const = default;
  };

  static constexpr net::Duration kFirstPause = std::chrono::seconds(1);
  static constexpr net::Duration kLongestPause = std::chrono::seconds(30);

  // `is` are the settings with which a TAP was opened. Without a value they are
  // unknown, as for a new administration process.
  void Start(std::optional<Values> is) {
    *this = TapSettings();
    is_ = is;
  }

  // What to ask for now, if anything. OnAnswer() must follow.
  std::optional<Values> Next(const Values& wanted, net::Instant now) {
    if (asked_ || is_ == wanted) return std::nullopt;
    if (refused_ == wanted && now < retry_at_) return std::nullopt;
    asked_ = wanted;
    return wanted;
  }

  // Takes the answer. True if it is worth a line in the log, because it differs
  // from the previous one.
  bool OnAnswer(const absl::Status& status, net::Instant now) {
    const std::optional<Values> asked = std::exchange(asked_, std::nullopt);
    const std::string before = std::exchange(why_, base::Text(status));
    if (status.ok()) {
      is_ = asked;
      refused_.reset();
      pause_ = net::Duration::zero();
    } else {
      is_.reset();  // part of it may be in force
      refused_ = asked;
      pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
      retry_at_ = now + pause_;
    }
    return why_ != before;
  }

  // When to call Next() again.
  std::optional<net::Instant> retry_at() const {
    if (!refused_ || asked_) return std::nullopt;
    return retry_at_;
  }

  // Why the TAP is not set as wanted; empty if it is.
  const std::string& why() const { return why_; }

 private:
  std::optional<Values> is_;
  std::optional<Values> asked_;
  std::optional<Values> refused_;
  net::Instant retry_at_{};
  net::Duration pause_{};
  std::string why_;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_TAP_SETTINGS_H_
