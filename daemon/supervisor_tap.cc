// SPDX-License-Identifier: Apache-2.0
//
// A device's TAP: opening it, losing it, opening it again, and setting it.
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status_text.h"
#include "daemon/supervisor.h"
#include "net/path/offload.h"
#include "net/path/port_drops.h"
#include "net/wire/features.h"

namespace program {
namespace {

using base::Log;
using base::Severity;

constexpr net::Duration kTapRetry = std::chrono::seconds(1);

}  // namespace

// The state file tells which interface an adopted device had. If that interface
// was the operator's, the operator has to create it again.
void Supervisor::OpenTap() {
  AdminProcess::TapIdentity identity;
  if (adopted_ && !tap_lost_) identity = KnownTap();
  const bool of_operator = identity.index != 0 && !saved_.tap_created;
  admin_.OpenTap({.name = options_.tap,
                  .mtu = options_.mtu,
                  .queues = saved_.queue_pairs,
                  .if_absent = tap_lost_ || of_operator
                                   ? net::Tap::IfAbsent::kFail
                                   : net::Tap::IfAbsent::kCreate,
                  .identity = identity});
  tap_opening_ = true;
}

// The old TAP's useless descriptors are kept until there is a new TAP, because
// closing them would take the rtnl lock.
void Supervisor::OnTapGone() {
  if (tap_lost_ || phase_ == Phase::kDetaching) return;
  tap_lost_ = true;
  tap_ready_ = false;
  // Whoever creates the interface again does not want it to go with the device.
  saved_.tap_created = false;
  saved_.tap_index = 0;
  saved_.tap_namespace = 0;
  SetLink(false);
  if (options_.tap_lost == TapLost::kExit) {
    Log(Severity::kError, "TAP '{}' was deleted: ending (--tap-lost exit)",
        options_.tap);
    exit_code_ = base::kExitFailure;
    BeginDetach();
    return;
  }
  Log(Severity::kWarning,
      "TAP '{}' was deleted: the link is down until an interface of that name "
      "exists",
      options_.tap);
}

void Supervisor::OnTapAppeared() {
  if (!tap_lost_ || phase_ == Phase::kDetaching) return;
  if (tap_opening_) {
    // That attempt may have been too early.
    tap_retry_at_ = net::Now() + kTapRetry;
  } else {
    OpenTap();
  }
}

void Supervisor::OnNoTap(const absl::Status& status) {
  if (tap_lost_ && absl::IsNotFound(status)) return;  // deleted once more
  const std::string before = std::exchange(tap_error_, base::Text(status));
  if (tap_error_ != before) Log(Severity::kError, "{}", tap_error_);
  if (!adopted_ && !tap_lost_) {
    exit_code_ = base::kExitFailure;
    BeginDetach();
    return;
  }
  if (phase_ == Phase::kDetaching) return;
  // A driver is using the device, so the device is served with its link down.
  if (absl::IsNotFound(status)) {
    OnTapGone();  // it was deleted while nobody served the device
  } else {
    tap_retry_at_ = net::Now() + kTapRetry;
  }
  GoOnWithoutTap();
}

void Supervisor::GoOnWithoutTap() {
  tap_wait_until_.reset();
  SetLink(false);
  CheckReady();
}

AdminProcess::TapIdentity Supervisor::KnownTap() const {
  return {.index = saved_.tap_index, .name_space = saved_.tap_namespace};
}

void Supervisor::OnIdentity(const AdminProcess::Event& event) {
  if (event.tap_identity == KnownTap()) return;
  saved_.tap_index = event.tap_identity.index;
  saved_.tap_namespace = event.tap_identity.name_space;
}

void Supervisor::OnTapLink(const AdminProcess::Event& event) {
  if (!tap_ready_) return;
  OnIdentity(event);
  SetLink(event.link_up);
}

// The device process gets copies of the TAP's descriptors.
void Supervisor::GiveTap() {
  std::vector<int> fds;
  for (const base::UniqueFd& queue : tap_) fds.push_back(queue.get());
  if (tap_drops_) fds.push_back(tap_drops_.get());
  Order({.kind = DeviceOrder::Kind::kTap,
         .link_up = link_up_ ? 1U : 0U,
         .has_drops_file = tap_drops_ ? 1U : 0U},
        fds);
  for (size_t pair = 0; pair < tap_.size(); ++pair) {
    watch_.SetPort(pair + 1, tap_[pair].get());
  }
}

void Supervisor::SetLink(bool up) {
  link_up_ = up;
  Order({.kind = DeviceOrder::Kind::kLink, .link_up = up ? 1U : 0U});
}

void Supervisor::SaveTap() { SetLink(link_up_); }

void Supervisor::OnTap(AdminProcess::Event event) {
  tap_opening_ = false;
  // The TAP may have been created before a later step failed.
  if (event.tap_created && !saved_.tap_created) {
    saved_.tap_created = true;
    SaveTap();
  }
  if (!event.status.ok() || event.tap.empty()) {
    OnNoTap(event.status);
    return;
  }
  tap_retry_at_.reset();
  tap_wait_until_.reset();
  tap_error_.clear();
  if (KnownTap().index != 0 && event.tap_identity != KnownTap() &&
      !event.tap_created) {
    saved_.tap_created = false;  // another owner's, of the same name
  }
  OnIdentity(event);
  const auto queues = static_cast<uint32_t>(event.tap.size());
  // Without a control queue there is one pair, regardless of the options.
  while (event.tap.size() > saved_.queue_pairs) event.tap.pop_back();
  tap_.clear();
  for (net::Tap& queue : event.tap) tap_.push_back(queue.TakeFd());
  tap_drops_ = net::PortDrops::OpenFile(event.tap_name);
  link_up_ = event.link_up;
  GiveTap();
  tap_ready_ = true;
  if (std::exchange(tap_lost_, false)) {
    admin_.DropOldTap();
    Log(Severity::kInfo, "TAP '{}' is there again", options_.tap);
  }
  tap_settings_.Start(TapSettings::Values{.offloads = 0, .queues = queues});
  CheckReady();
}

// Passes the driver's offloads and number of queues on to the TAP. The driver
// already has its answer, because setting the TAP takes the rtnl lock.
void Supervisor::FollowDriver() {
  if (!tap_ready_ || !wants_ || admin_restart_at_) return;
  const TapSettings::Values wanted = {
      .offloads = net::TunOffloads(wants_->offloads & net::kGuestOffloads),
      .queues = std::clamp(wants_->active_pairs, 1U, saved_.queue_pairs)};
  if (const auto values = tap_settings_.Next(wanted, net::Now())) {
    admin_.SetTap(values->offloads, values->queues);
  }
}

void Supervisor::OnTapSet(const absl::Status& status) {
  if (!tap_settings_.OnAnswer(status, net::Now()) || tap_lost_) return;
  if (status.ok()) {
    Log(Severity::kInfo,
        "the TAP now has the settings that the driver asked for");
  } else {
    Log(Severity::kError,
        "the TAP refuses the settings that the driver asked for, and is asked "
        "again later: {}",
        base::Text(status));
  }
}

void Supervisor::ServeTap() {
  FollowDriver();
  const net::Instant now = net::Now();
  if (tap_retry_at_ && now >= *tap_retry_at_) {
    tap_retry_at_.reset();
    OpenTap();
  }
  if (tap_wait_until_ && now >= *tap_wait_until_) GoOnWithoutTap();
}

std::optional<net::Instant> Supervisor::TapDeadline() const {
  std::optional<net::Instant> first =
      net::Earlier(tap_retry_at_, tap_wait_until_);
  if (tap_ready_ && !admin_restart_at_) {
    first = net::Earlier(first, tap_settings_.retry_at());
  }
  return first;
}

}  // namespace program
