// SPDX-License-Identifier: Apache-2.0
#include "net/device/ctrl_server.h"

#include <chrono>
#include <utility>

#include "base/eventfd.h"
#include "net/wire/features.h"

namespace net {
namespace {

// Between tries to map the rings. The driver is waiting.
constexpr Duration kMapRetry = std::chrono::milliseconds(10);

}  // namespace

CtrlServer::CtrlServer(vduse::Device& device, base::UniqueFd kick,
                       CommandTarget& target)
    : device_(device), kick_(std::move(kick)), target_(target), map_(device) {}

bool CtrlServer::TakeKick() { return base::ClearEventfd(kick_.get()) != 0; }

absl::Status CtrlServer::Start(const vduse::QueueInfo& info,
                               const StartOptions& options) {
  auto ring = vduse::Virtqueue::Create(
      info,
      {.event_idx = Has(options.features, kFeatureEventIdx),
       .indirect = Has(options.features, kFeatureIndirectDesc)},
      options.start, map_);
  if (!ring.ok()) return ring.status();
  NotifiedQueue queue(device_, options.index, std::move(*ring),
                      NotifiedQueue::kNoEarlyFlush);
  if (options.notify_once) queue.Owe();
  queue_.emplace(std::move(queue), options.features, target_, mode_);
  again_ = true;  // look once: the driver may have kicked already
  return absl::OkStatus();
}

std::optional<QueuePosition> CtrlServer::Stop(std::optional<FlushCause> settle,
                                              Instant now) {
  std::optional<QueuePosition> position;
  if (queue_) {
    if (settle) queue_->queue().Settle(*settle, now);
    position = queue_->queue().ring().position();
  }
  queue_.reset();
  again_ = false;
  retry_at_.reset();
  return position;
}

std::string CtrlServer::Serve(Instant now, Notifications notifications) {
  if (!queue_) return "";
  vduse::Virtqueue& ring = queue_->queue().ring();
  if (map_.Trim()) ring.UnmapRings();
  const bool was_broken = ring.broken();
  again_ = queue_->Serve(now);
  if (notifications == Notifications::kDrop) queue_->queue().Cancel();
  retry_at_.reset();
  if (!ring.mapped()) retry_at_ = now + kMapRetry;
  const std::string fault = map_.TakeFault();
  if (!fault.empty() && !was_broken) {
    ring.Break(fault);
    again_ = true;
  }
  return !was_broken && ring.broken() ? ring.broken_reason() : "";
}

std::optional<Instant> CtrlServer::deadline() const {
  if (again_) return Instant{};
  if (!queue_) return retry_at_;
  return Earlier(retry_at_, queue_->queue().deadline());
}

void CtrlServer::SetAsid(uint32_t asid) {
  if (queue_) queue_->queue().ring().UnmapRings();
  map_.SetAsid(asid);
  again_ = running();
}

void CtrlServer::Drop(uint64_t first, uint64_t last) {
  map_.Drop(first, last);
  if (!queue_) return;
  queue_->queue().ring().UnmapRings();
  again_ = true;
}

}  // namespace net
