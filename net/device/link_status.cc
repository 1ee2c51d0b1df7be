// SPDX-License-Identifier: Apache-2.0
#include "net/device/link_status.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/status_text.h"
#include "net/wire/config_space.h"

namespace net {

using base::LogLimited;
using base::Severity;

void LinkStatus::SetTapLink(bool up, Instant now) {
  tap_link_ = up;
  Update(now);
}

void LinkStatus::MarkBroken(Instant now) {
  broken_ = true;
  Update(now);
}

void LinkStatus::StartDriver(Announcement announcement, Instant now) {
  driver_ = Driver::kInterrupted;
  announcement_ = announcement;
  broken_ = false;
  Update(now);
  owed_ = false;  // nothing was owed to this driver before
  OweInterrupt(now);
  retry_at_ = now + kFirstRetry;
}

void LinkStatus::LimitDriver(Announcement announcement) {
  driver_ = Driver::kNotInForce;
  announcement_ = announcement;
  retry_at_.reset();
  owed_ = false;
}

void LinkStatus::StopDriver() {
  driver_ = Driver::kNone;
  retry_at_.reset();
  owed_ = false;
  announcing_ = false;
  announce_at_.reset();
}

bool LinkStatus::EndAnnouncement() {
  announcement_ = Announcement::kNotWanted;
  announcing_ = false;
  announce_at_.reset();
  // The field is written once the link is known.
  if (!shown_) return true;
  return Show(*shown_ & static_cast<uint16_t>(~kStatusAnnounce));
}

void LinkStatus::Update(Instant now) {
  if (!tap_link_ && !broken_ && !shown_) return;
  const bool up = tap_link_.value_or(false) && !broken_;
  FollowAnnouncement(up, now);
  uint16_t status = up ? kStatusLinkUp : 0;
  if (announcing_) status |= kStatusAnnounce;
  const std::optional<uint16_t> before = shown_;
  if (status == before || !Show(status)) return;
  if (!before || ((status ^ *before) & kStatusLinkUp) != 0) {
    LogLimited(link_log_, Severity::kInfo, "link {}", up ? "up" : "down");
  }
  OweInterrupt(now);
  // The verdict is left to OnTimer().
  if (Interrupt(now) == Verdict::kNotInForce) retry_at_ = now;
}

void LinkStatus::FollowAnnouncement(bool up, Instant now) {
  if (!up || driver_ == Driver::kNone ||
      announcement_ == Announcement::kNotWanted) {
    announcing_ = false;
    announce_at_.reset();
  } else if (!announcing_ && !announce_at_) {
    announce_at_ = now + kAnnounceDelay;
  }
}

bool LinkStatus::Show(uint16_t status) {
  const std::array<uint8_t, 2> bytes = {static_cast<uint8_t>(status), 0};
  const absl::Status set =
      device_.SetConfig(offsetof(ConfigSpace, status), bytes);
  if (set.ok()) {
    shown_ = status;
  } else {
    LogLimited(config_log_, Severity::kError, "link status: {}",
               base::Text(set));
  }
  return set.ok();
}

void LinkStatus::OweInterrupt(Instant now) {
  if (std::exchange(owed_, true)) return;
  owed_since_ = now;
  retry_delay_ = kFirstRetry;
}

LinkStatus::Verdict LinkStatus::Interrupt(Instant now) {
  retry_at_.reset();
  if (driver_ != Driver::kInterrupted) return Verdict::kFine;
  if (device_.InjectConfig() != vduse::InjectResult::kNotYet) {
    owed_ = false;
    return Verdict::kFine;
  }
  if (now - owed_since_ >= kInForceLimit) return Verdict::kNotInForce;
  retry_at_ = now + retry_delay_;
  retry_delay_ = std::min<Duration>(2 * retry_delay_, kLastRetry);
  return Verdict::kFine;
}

LinkStatus::Verdict LinkStatus::OnTimer(Instant now) {
  if (announce_at_ && now >= *announce_at_) {
    announce_at_.reset();
    announcing_ = true;
    Update(now);
  }
  if (owed_ && retry_at_ && now >= *retry_at_) return Interrupt(now);
  return Verdict::kFine;
}

std::optional<Instant> LinkStatus::deadline() const {
  return Earlier(retry_at_, announce_at_);
}

}  // namespace net
