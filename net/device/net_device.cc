// SPDX-License-Identifier: Apache-2.0
#include "net/device/net_device.h"

#include <errno.h>
#include <fmt/format.h>

#include <utility>

#include "base/eventfd.h"
#include "net/device/summary.h"
#include "net/wire/features.h"

namespace net {

using base::LogLimited;
using base::Severity;

NetDevice::NetDevice(vduse::Device& device, Options options,
                     Resources resources)
    : device_(device),
      options_(std::move(options)),
      attention_(std::move(resources.attention)),
      workers_(std::move(resources.workers)),
      queues_(options_.queue_pairs, Has(options_.features, kFeatureCtrlVq)
                                        ? QueueTable::ControlQueue::kPresent
                                        : QueueTable::ControlQueue::kAbsent),
      link_(device),
      settings_({.device = device,
                 .session = session_,
                 .queues = queues_,
                 .workers = workers_,
                 .link = link_,
                 .port_drops = port_drops_},
                {.features = options_.features,
                 .queue_pairs = options_.queue_pairs,
                 .mac = options_.mac,
                 .rx = options_.rx,
                 .tx = options_.tx,
                 .persist = options_.persist,
                 .clock = options_.clock}),
      ctrl_(device, std::move(resources.ctrl_kick), settings_) {}

absl::StatusOr<std::unique_ptr<NetDevice>> NetDevice::Create(
    vduse::Device& device, Options options) {
  const bool control = Has(options.features, kFeatureCtrlVq);
  const uint32_t wanted = 2 * options.queue_pairs + (control ? 1 : 0);
  if (device.queue_count() != wanted) {
    return absl::FailedPreconditionError(
        fmt::format("the device has {} virtqueues, {} are needed for {} queue "
                    "pair(s) {} a control queue",
                    device.queue_count(), wanted, options.queue_pairs,
                    control ? "and" : "without"));
  }
  if (!options.journal.empty() &&
      (options.journal.size() != JournalBytes(options.queue_pairs) ||
       reinterpret_cast<uintptr_t>(options.journal.data()) %
               PairJournal::kPageBytes !=
           0)) {
    return absl::InvalidArgumentError(
        fmt::format("the journal has {} bytes, {} from a page boundary are "
                    "needed",
                    options.journal.size(), JournalBytes(options.queue_pairs)));
  }
  base::UniqueFd attention = base::MakeEventfd();
  base::UniqueFd ctrl_kick = base::MakeEventfd();
  if (!attention || !ctrl_kick) return absl::ErrnoToStatus(errno, "eventfd");
  auto workers =
      WorkerPool::Start(device, options.queue_pairs,
                        {.mtu = options.mtu,
                         .attention = attention.get(),
                         .engine = options.engine,
                         .busy_poll = options.busy_poll,
                         .timer_poll = options.timer_poll,
                         .journal = options.journal},
                        options.cpus, options.pulses, options.start_runner);
  if (!workers.ok()) return workers.status();
  return std::unique_ptr<NetDevice>(
      new NetDevice(device, std::move(options),
                    {.attention = std::move(attention),
                     .ctrl_kick = std::move(ctrl_kick),
                     .workers = std::move(*workers)}));
}

NetDevice::~NetDevice() {
  // The driver goes on with a successor. What an earlier driver left has been
  // cleared when it ended.
  workers_.CallAll([](QueuePair& pair) { pair.journal().Leave(); });
  StopDriver();
}

absl::Status NetDevice::SetTap(std::vector<Tap> queues, base::UniqueFd drops) {
  if (queues.size() != workers_.size()) {
    return absl::InvalidArgumentError(
        fmt::format("{} queues of the TAP for {} queue pairs", queues.size(),
                    workers_.size()));
  }
  port_drops_.SetFile(std::move(drops));
  absl::Status status = workers_.SetTap(std::move(queues));
  if (status.ok()) {
    if (!ctrl_.broken()) link_.ClearBroken();
    CollectFaults();
  }
  link_.Update(options_.clock());
  return status;
}

void NetDevice::BecomeCaretaker() {
  caretaker_ = true;
  ctrl_.SetMode(CtrlQueue::Mode::kRefuse);
}

void NetDevice::SetLink(bool up) { link_.SetTapLink(up, options_.clock()); }

uint64_t NetDevice::port_offloads() const {
  return guest_offloads() & ~(short_rx_ring_ ? kGuestSegmentation : 0);
}

// --- The driver's memory ----------------------------------------------------

void NetDevice::OnIotlbUpdate(uint32_t asid, uint64_t first, uint64_t last) {
  if (asid == settings_.asid(kDataGroup)) {
    workers_.CallAll(
        [&](QueuePair& pair) { pair.InvalidateIova(first, last); });
  }
  if (asid == settings_.asid(queues_.control_group())) ctrl_.Drop(first, last);
  // A queue whose rings could not be mapped may start now.
  if (session_.served()) LookForQueuesSoon();
}

absl::StatusOr<uint32_t> NetDevice::OnGroupAsid(uint32_t group, uint32_t asid) {
  if (group >= kGroups || asid >= kAddressSpaces) {
    return absl::OutOfRangeError(fmt::format(
        "address space {} for virtqueue group {}: there are {} and {}", asid,
        group, kAddressSpaces, kGroups));
  }
  if (asid != settings_.asid(group)) {
    LogLimited(asid_log_, Severity::kInfo, "{} in address space {} from now on",
               group == kCtrlGroup ? "control queue" : "data queues", asid);
  }
  const uint32_t before = settings_.SetAsid(group, asid);
  UseAsids();
  return before;
}

void NetDevice::UseAsids() {
  workers_.CallAll(
      [&](QueuePair& pair) { pair.SetAsid(settings_.asid(kDataGroup)); });
  ctrl_.SetAsid(settings_.asid(queues_.control_group()));
}

// --- The control thread's turn ----------------------------------------------

absl::Status NetDevice::Serve(Instant now) {
  if (absl::Status status = vduse::ServeRequests(device_, *this);
      !status.ok()) {
    return status;
  }
  if (ctrl_.TakeKick()) FollowCtrlKick(now);
  ServeCtrlQueue(now);
  CheckWorkers();
  if (in_force_at_ && now >= *in_force_at_) LookIfInForce(now);
  if (session_.served() && look_at_ && now >= *look_at_) {
    LookForReadyQueues(now);
  }
  if (link_.OnTimer(now) == LinkStatus::Verdict::kNotInForce) {
    WarnOfCommandsOnly();
    ServeCommandsOnly(session_.features());
  }
  return absl::OkStatus();
}

void NetDevice::ServeCtrlQueue(Instant now) {
  const std::string latched = ctrl_.Serve(
      now, session_.commands_only() ? CtrlServer::Notifications::kDrop
                                    : CtrlServer::Notifications::kSend);
  if (!latched.empty()) MarkBroken("control queue: " + latched);
}

void NetDevice::CheckWorkers() {
  if (!base::ClearEventfd(attention_.get())) return;
  CollectFaults();
  link_.Update(options_.clock());
  StartIfInForce();
  if (session_.served()) look_at_ = options_.clock();
}

void NetDevice::CollectFaults() {
  for (const std::string& fault : workers_.Faults()) MarkBroken(fault);
}

void NetDevice::MarkBroken(const std::string& what) {
  LogLimited(broken_log_, Severity::kError, "{}", what);
  link_.MarkBroken(options_.clock());
}

std::optional<Instant> NetDevice::deadline() const {
  return Earlier(Earlier(look_at_, in_force_at_),
                 Earlier(link_.deadline(), ctrl_.deadline()));
}

std::vector<std::string> NetDevice::Summary() const {
  std::vector<std::string> lines;
  for (uint32_t pair = 0; pair < workers_.size(); ++pair) {
    Summarize(pair, workers_.counters(pair), lines);
    Summarize(fmt::format("pair {} rx", pair), workers_.histograms(2 * pair),
              lines);
    Summarize(fmt::format("pair {} tx", pair),
              workers_.histograms(2 * pair + 1), lines);
  }
  lines.push_back(fmt::format("dropped by the TAP: {}", port_drops_.count()));
  const coalesce::ParamTable& params = settings_.params();
  for (uint32_t queue = 0; queue < params.queue_count(); ++queue) {
    const coalesce::ParamTable::Entry& entry = params.entry(queue);
    lines.push_back(
        fmt::format("{} coalescing: usecs {} packets {}, set by {}",
                    queues_.QueueName(queue), entry.params.max_usecs,
                    entry.params.max_packets, SourceName(entry.source)));
  }
  if (const CtrlQueue* ctrl = ctrl_.queue()) Summarize(*ctrl, lines);
  return lines;
}

}  // namespace net
