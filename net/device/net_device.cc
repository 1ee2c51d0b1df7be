// SPDX-License-Identifier: Apache-2.0
#include "net/device/net_device.h"

#include <errno.h>
#include <fmt/format.h>
#include <linux/virtio_config.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/eventfd.h"
#include "base/status_text.h"
#include "net/device/summary.h"
#include "net/wire/features.h"

namespace net {
namespace {

using base::LogLimited;
using base::Severity;
using coalesce::Direction;
using coalesce::ParamTable;
using std::chrono::milliseconds;

constexpr Time kCtrlRetry = milliseconds(10);
constexpr Time kAnnounceDelay = milliseconds(100);

// An answered DRIVER_OK is in force within a millisecond, unless its writer has
// to wait for a CPU.
constexpr Time kInForceLimit = std::chrono::seconds(10);

}  // namespace

NetDevice::NetDevice(vduse::Device& device, Options options)
    : device_(device),
      options_(std::move(options)),
      params_(options_.queue_pairs, options_.rx, options_.tx),
      ctrl_map_(device) {}

absl::StatusOr<std::unique_ptr<NetDevice>> NetDevice::Create(
    vduse::Device& device, Options options) {
  std::unique_ptr<NetDevice> net(new NetDevice(device, std::move(options)));
  if (absl::Status status = net->Init(); !status.ok()) return status;
  return net;
}

absl::Status NetDevice::Init() {
  uint32_t wanted = 2 * options_.queue_pairs;
  if (Has(options_.features, kFeatureCtrlVq)) ctrl_index_ = wanted++;
  if (device_.queue_count() != wanted) {
    return absl::FailedPreconditionError(
        fmt::format("the device has {} virtqueues, {} are needed for {} queue "
                    "pair(s) {} a control queue",
                    device_.queue_count(), wanted, options_.queue_pairs,
                    ctrl_index_ ? "and" : "without"));
  }
  queues_.assign(wanted, QueueState::kDown);
  state_.positions.assign(wanted, 0);
  attention_ = base::MakeEventfd();
  ctrl_kick_ = base::MakeEventfd();
  if (!attention_ || !ctrl_kick_) return absl::ErrnoToStatus(errno, "eventfd");
  const auto cpu_of = [&](uint32_t pair) -> std::optional<int> {
    if (options_.cpus.empty()) return std::nullopt;
    return options_.cpus[pair % options_.cpus.size()];
  };
  for (uint32_t pair = 0; pair < options_.queue_pairs; ++pair) {
    auto worker = Worker::Start(device_, {.pair = pair,
                                          .mtu = options_.mtu,
                                          .attention = attention_.get(),
                                          .engine = options_.engine,
                                          .busy_poll = options_.busy_poll,
                                          .timer_poll = options_.timer_poll,
                                          .cpu = cpu_of(pair)});
    if (!worker.ok()) return worker.status();
    workers_.push_back(std::move(*worker));
  }
  return absl::OkStatus();
}

NetDevice::~NetDevice() { StopDriver(); }

absl::Status NetDevice::SetTap(std::vector<Tap> queues, base::UniqueFd drops) {
  if (queues.size() != workers_.size()) {
    return absl::InvalidArgumentError(
        fmt::format("{} queues of the TAP for {} queue pairs", queues.size(),
                    workers_.size()));
  }
  port_drops_.SetFile(std::move(drops));
  absl::Status status;
  for (size_t pair = 0; pair < workers_.size(); ++pair) {
    status.Update(workers_[pair]->SetTap(std::move(queues[pair])));
  }
  if (status.ok()) {
    broken_ = ctrl_ && ctrl_->queue().ring().broken();
    LookForBroken();
  }
  UpdateLink();
  return status;
}

void NetDevice::SetLink(bool up) {
  tap_link_ = up;
  UpdateLink();
}

void NetDevice::UpdateLink() {
  if (!tap_link_ && !broken_ && !shown_status_) return;
  const bool up = tap_link_.value_or(false) && !broken_;
  FollowAnnounce(up);
  uint16_t status = up ? kStatusLinkUp : 0;
  if (announcing_) status |= kStatusAnnounce;
  const std::optional<uint16_t> shown = shown_status_;
  if (status == shown || !ShowStatus(status)) return;
  if (!shown || ((status ^ *shown) & kStatusLinkUp) != 0) {
    LogLimited(link_log_, Severity::kInfo, "link {}", up ? "up" : "down");
  }
  OweConfig();
  InjectConfig(Now());
}

// Notes that the driver must be told of a change to the configuration space.
void NetDevice::OweConfig() {
  if (std::exchange(config_owed_, true)) return;
  config_since_ = Now();
  config_delay_ = kConfigRetry;
}

bool NetDevice::ShowStatus(uint16_t status) {
  const std::array<uint8_t, 2> bytes = {static_cast<uint8_t>(status), 0};
  const absl::Status set =
      device_.SetConfig(offsetof(ConfigSpace, status), bytes);
  if (set.ok()) {
    shown_status_ = status;
  } else {
    LogLimited(config_log_, Severity::kError, "link status: {}",
               base::Text(set));
  }
  return set.ok();
}

// Asks the driver to announce itself, once it has had time to see the link come
// up: what it sends before that is lost.
void NetDevice::FollowAnnounce(bool up) {
  if (!up || !driver_ok_ || !state_.announce) {
    announcing_ = false;
    announce_at_.reset();
  } else if (!announcing_ && !announce_at_) {
    announce_at_ = Now() + kAnnounceDelay;
  }
}

void NetDevice::InjectConfig(Time now) {
  config_retry_.reset();
  // Without a driver there is nobody to notify; a driver reads the space when
  // it starts.
  if (!driver_ok()) return;
  if (device_.InjectConfig() != vduse::InjectResult::kNotYet) {
    config_owed_ = false;
    return;
  }
  if (now - config_since_ >= kInForceLimit) {
    SayCommandsAlone();
    ServeCommandsAlone(features_, start_);
    return;
  }
  config_retry_ = now + config_delay_;
  config_delay_ = std::min<Time>(2 * config_delay_, kLastConfigRetry);
}

absl::Status NetDevice::OnStatus(uint8_t status) {
  if (status == 0 || (status & VIRTIO_CONFIG_S_FAILED) != 0) {
    if (driver_ok_) {
      LogLimited(end_log_, Severity::kInfo, "{} by the driver",
                 status == 0 ? "reset" : "given up (FAILED)");
    }
    StopDriver();
    if (status == 0) {
      suspended_ = false;
      ForgetAsids();
      ShowMac(options_.mac);
      // An announcement asked of the last driver is not asked of the next.
      UpdateLink();
    }
    if (state_.phase == DeviceState::Phase::kRunning) {
      state_.coalescing = params_.snapshot();
      state_.phase = DeviceState::Phase::kStopped;
    } else if (state_.phase == DeviceState::Phase::kSuspended) {
      state_.phase = DeviceState::Phase::kStopped;
    }
    params_.Reset();
    Persist();
    return absl::OkStatus();
  }
  const bool driver_ok = (status & VIRTIO_CONFIG_S_DRIVER_OK) != 0;
  const bool features_ok = (status & VIRTIO_CONFIG_S_FEATURES_OK) != 0;
  if (driver_ok && !features_ok) {
    return absl::InvalidArgumentError("DRIVER_OK without FEATURES_OK");
  }
  // ACKNOWLEDGE and DRIVER may be missing: QEMU's vhost-vdpa leaves them out.
  // DRIVER_OK is an edge: repeating it starts nothing (2.1.1).
  const bool in_force = driver_ok_ && !commands_only_;
  if (in_force || suspended_ || !features_ok) return absl::OkStatus();
  const absl::StatusOr<uint64_t> features = device_.NegotiatedFeatures();
  if (!features.ok()) return features.status();
  if (absl::Status check = CheckNegotiated(options_.features, *features);
      !check.ok()) {
    return check;
  }
  if (!driver_ok) {
    HearOfCommands(*features);
    return absl::OkStatus();
  }
  EndCommandsAlone();
  TakeUpState(*features);
  LogLimited(life_log_, Severity::kInfo, "driver active, features {}",
             FeatureNames(features_));
  if (!goes_on_) DiscardQueued();
  StartDriver(adopted_ ? vduse::Virtqueue::Start::kRecovered
                       : vduse::Virtqueue::Start::kFresh);
  return absl::OkStatus();
}

void NetDevice::OnIotlbUpdate(uint32_t asid, uint64_t first, uint64_t last) {
  if (asid == state_.asids[kDataGroup]) {
    for (const std::unique_ptr<Worker>& worker : workers_) {
      worker->Call([&](QueuePair& pair) { pair.InvalidateIova(first, last); });
    }
  }
  if (asid == state_.asids[CtrlGroup()]) {
    ctrl_map_.Drop(first, last);
    if (ctrl_) {
      ctrl_->queue().ring().UnmapRings();
      ctrl_again_ = true;
    }
  }
  // A queue whose rings could not be mapped may start now.
  if (driver_ok_) LookSoon();
}

absl::Status NetDevice::Serve(Time now) {
  if (absl::Status status = vduse::ServeRequests(device_, *this);
      !status.ok()) {
    return status;
  }
  if (base::ClearEventfd(ctrl_kick_.get())) FollowCtrlKick(now);
  ServeCtrlQueue(now);
  CheckWorkers();
  if (driver_ok_ && look_at_ && now >= *look_at_) LookForReadyQueues(now);
  if (announce_at_ && now >= *announce_at_) {
    announce_at_.reset();
    announcing_ = true;
    UpdateLink();
  }
  if (config_owed_ && config_retry_ && now >= *config_retry_) {
    InjectConfig(now);
  }
  return absl::OkStatus();
}

void NetDevice::ServeCtrlQueue(Time now) {
  if (!ctrl_) return;
  if (ctrl_map_.Trim()) ctrl_->queue().ring().UnmapRings();
  const bool was_broken = ctrl_->queue().ring().broken();
  ctrl_again_ = ctrl_->Serve(now);
  // Such a driver cannot be notified.
  if (commands_only_) ctrl_->queue().Cancel();
  // If the rings cannot be mapped, retry soon: the driver is waiting.
  ctrl_retry_.reset();
  if (!ctrl_->queue().ring().mapped()) ctrl_retry_ = now + kCtrlRetry;
  const std::string fault = ctrl_map_.TakeFault();
  if (!fault.empty() && !was_broken) {
    ctrl_->queue().ring().Break(fault);
    ctrl_again_ = true;
  }
  if (!was_broken && ctrl_->queue().ring().broken()) {
    MarkBroken("control queue: " + ctrl_->queue().ring().broken_reason());
  }
}

void NetDevice::CheckWorkers() {
  if (!base::ClearEventfd(attention_.get())) return;
  LookForBroken();
  UpdateLink();
  InForceAfterAll();
  if (driver_ok_) look_at_ = Now();
}

void NetDevice::LookForBroken() {
  std::vector<std::string> broken;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->Call([&](QueuePair& pair) {
      for (const Direction direction : {Direction::kRx, Direction::kTx}) {
        const std::string reason = pair.BrokenReason(direction);
        if (reason.empty()) continue;
        broken.push_back(
            (direction == Direction::kRx ? "rx queue: " : "tx queue: ") +
            reason);
      }
      if (pair.port_lost()) broken.push_back("the TAP interface is gone");
    });
  }
  for (const std::string& reason : broken) MarkBroken(reason);
}

void NetDevice::MarkBroken(const std::string& what) {
  broken_ = true;
  LogLimited(broken_log_, Severity::kError, "{}", what);
  UpdateLink();
}

std::optional<Time> NetDevice::deadline() const {
  if (ctrl_again_) return Time::zero();
  std::optional<Time> first = Earlier(Earlier(look_at_, config_retry_),
                                      Earlier(ctrl_retry_, announce_at_));
  if (ctrl_) first = Earlier(first, ctrl_->queue().deadline());
  return first;
}

std::vector<std::string> NetDevice::Summary() {
  std::vector<std::string> lines;
  for (size_t i = 0; i < workers_.size(); ++i) {
    QueuePairCounters counters;
    workers_[i]->Call([&](QueuePair& pair) { counters = pair.counters(); });
    Summarize(i, counters, lines);
    for (const Direction direction : {Direction::kRx, Direction::kTx}) {
      Summarize(fmt::format("pair {} {}", i,
                            direction == Direction::kRx ? "rx" : "tx"),
                workers_[i]->histograms(direction), lines);
    }
  }
  lines.push_back(fmt::format("dropped by the TAP: {}", port_drops_.count()));
  for (uint32_t queue = 0; queue < params_.queue_count(); ++queue) {
    const ParamTable::Entry& entry = params_.entry(queue);
    lines.push_back(fmt::format("{} coalescing: usecs {} packets {}, set by {}",
                                NameOf(queue), entry.params.max_usecs,
                                entry.params.max_packets,
                                SourceName(entry.source)));
  }
  if (ctrl_) Summarize(*ctrl_, lines);
  return lines;
}

}  // namespace net
