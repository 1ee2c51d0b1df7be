// SPDX-License-Identifier: Apache-2.0
//
// A device's TAP: opening it, losing it, opening it again, and setting it.
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status_text.h"
#include "daemon/runner.h"
#include "net/path/offload.h"

namespace program {
namespace {

using base::Log;
using base::Severity;

constexpr net::Duration kTapRetry = std::chrono::seconds(1);

}  // namespace

// The state file tells which interface an adopted device had. If that interface
// was the operator's, the operator has to create it again.
void Runner::OpenTap() {
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
void Runner::OnTapGone() {
  if (tap_lost_ || phase_ == Phase::kDetaching) return;
  tap_lost_ = true;
  tap_ready_ = false;
  net_->SetLink(false);
  // Whoever creates the interface again does not want it to go with the device.
  saved_.tap_created = false;
  saved_.tap_index = 0;
  saved_.tap_namespace = 0;
  Save();
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

void Runner::OnTapAppeared() {
  if (!tap_lost_ || phase_ == Phase::kDetaching) return;
  if (tap_opening_) {
    // That attempt may have been too early.
    tap_retry_at_ = net::Now() + kTapRetry;
  } else {
    OpenTap();
  }
}

void Runner::OnNoTap(const absl::Status& status) {
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

void Runner::GoOnWithoutTap() {
  tap_wait_until_.reset();
  net_->SetLink(false);
  CheckReady();
}

AdminProcess::TapIdentity Runner::KnownTap() const {
  return {.index = saved_.tap_index, .name_space = saved_.tap_namespace};
}

void Runner::OnIdentity(const AdminProcess::Event& event) {
  if (event.tap_identity == KnownTap()) return;
  saved_.tap_index = event.tap_identity.index;
  saved_.tap_namespace = event.tap_identity.name_space;
  Save();
}

void Runner::OnTapLink(const AdminProcess::Event& event) {
  if (!tap_ready_) return;
  OnIdentity(event);
  net_->SetLink(event.link_up);
}

// For the administration process that replaces a killed one.
void Runner::KeepCopies(const std::vector<net::Tap>& tap) {
  tap_copies_.clear();
  for (const net::Tap& queue : tap) {
    base::UniqueFd copy(fcntl(queue.fd(), F_DUPFD_CLOEXEC, 0));
    if (!copy) {
      Log(Severity::kError,
          "cannot copy the TAP's descriptors, which a new administration "
          "process would need: {}",
          base::Text(absl::ErrnoToStatus(errno, "F_DUPFD_CLOEXEC")));
      tap_copies_.clear();
      return;
    }
    tap_copies_.push_back(std::move(copy));
  }
}

void Runner::OnTap(AdminProcess::Event event) {
  tap_opening_ = false;
  // The TAP may have been created before a later step failed.
  if (event.tap_created && !saved_.tap_created) {
    saved_.tap_created = true;
    Save();
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
  KeepCopies(event.tap);
  // Without a control queue there is one pair, regardless of the options.
  while (event.tap.size() > saved_.queue_pairs) event.tap.pop_back();
  const absl::Status set = net_->SetTap(
      std::move(event.tap), net::PortDrops::OpenFile(event.tap_name));
  if (!set.ok()) Log(Severity::kError, "{}", base::Text(set));
  net_->SetLink(event.link_up);
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
void Runner::FollowDriver() {
  if (!tap_ready_ || admin_restart_at_) return;
  const TapSettings::Values wanted = {
      .offloads = net::TunOffloads(net_->port_offloads()),
      .queues = net_->active_pairs()};
  if (const auto values = tap_settings_.Next(wanted, net::Now())) {
    admin_.SetTap(values->offloads, values->queues);
  }
}

void Runner::OnTapSet(const absl::Status& status) {
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

void Runner::ServeTap() {
  FollowDriver();
  const net::Instant now = net::Now();
  if (tap_retry_at_ && now >= *tap_retry_at_) {
    tap_retry_at_.reset();
    OpenTap();
  }
  if (tap_wait_until_ && now >= *tap_wait_until_) GoOnWithoutTap();
}

std::optional<net::Instant> Runner::TapDeadline() const {
  std::optional<net::Instant> first =
      net::Earlier(tap_retry_at_, tap_wait_until_);
  if (tap_ready_ && !admin_restart_at_) {
    first = net::Earlier(first, tap_settings_.retry_at());
  }
  return first;
}

}  // namespace program
