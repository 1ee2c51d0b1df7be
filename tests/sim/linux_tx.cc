// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/linux_tx.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "net/wire/header.h"

namespace sim {

using tests::ChainBuilder;
using tests::UsedEntry;

LinuxTx::LinuxTx(World& world, Kernel& kernel, tests::DriverMemory& memory,
                 Wire& wire, const Options& options)
    : world_(world),
      queue_(world, kernel, memory, options.queue),
      wire_(wire),
      options_(options),
      memory_(memory) {}

void LinuxTx::AllocateBuffers() {
  for (uint32_t i = 0; i < queue_.size(); ++i) {
    buffers_.push_back(memory_.Allocate(options_.largest_packet));
  }
}

void LinuxTx::Start(uint16_t base) {
  queue_.Restart(base);
  if (!offered_.empty()) wire_.Skip();
  offered_.clear();
  free_buffers_ = buffers_;
  free_ = queue_.size();
  stopped_ = false;
  poll_ = options_.napi && !queue_.AwaitNext();
}

void LinuxTx::Send(bool more) {
  if (stopped_) return;
  do {
    if (options_.napi) queue_.DisableNotification();
    TakeBack();
  } while (options_.napi && !more && !queue_.AwaitMost());
  // Without NAPI an interrupt may wake the queue too soon. Linux drops the
  // packet then.
  if (free_ >= kMostDescriptors) {
    Offer();
    if (free_ < kMostDescriptors) Stop();
  }
  if (!more || stopped_) queue_.ring().KickIfWanted();
}

void LinuxTx::Stop() {
  world_.Note("tx queue stops", queue_.index(), free_);
  stopped_ = true;
  if (queue_.AwaitMost()) return;
  if (options_.napi) {
    poll_ = true;
    return;
  }
  TakeBack();
  if (free_ < kMostDescriptors) return;
  stopped_ = false;
  queue_.DisableNotification();
}

void LinuxTx::Interrupt() {
  if (!queue_.Interrupt()) return;
  if (options_.napi) {
    poll_ = true;
  } else {
    stopped_ = false;
  }
}

void LinuxTx::Poll() {
  poll_ = false;
  queue_.DisableNotification();
  TakeBack();
  if (free_ >= kMostDescriptors) stopped_ = false;
  if (queue_.AwaitNext()) return;
  queue_.DisableNotification();
  poll_ = true;
}

void LinuxTx::TakeBack() {
  uint32_t taken = 0;
  for (; const std::optional<UsedEntry> used = queue_.Take(); ++taken) {
    if (offered_.empty() || used->id != offered_.front().head) {
      world_.Fail(fmt::format("queue {}: chain {} came back out of order",
                              queue_.index(), used->id));
      return;
    }
    const Offered& offered = offered_.front();
    free_ += offered.descriptors;
    free_buffers_.push_back(offered.buffer);
    wire_.Returned(offered.number);
    offered_.pop_front();
  }
  if (taken > 0) world_.Note("driver took back", queue_.index(), taken);
}

// A packet in one piece, or a header and pieces.
void LinuxTx::Offer() {
  const bool small = !world_.OneIn(4);
  const size_t bytes = world_.Between(
      Wire::kLeastBytes, small ? std::min<size_t>(options_.largest_packet, 200)
                               : options_.largest_packet);
  const uint64_t buffer = free_buffers_.back();
  free_buffers_.pop_back();
  Wire::Write(next_, false, {memory_.At(buffer), bytes});

  uint32_t pieces = 1;
  if (world_.OneIn(3)) {
    pieces = static_cast<uint32_t>(world_.Between(2, kMostDescriptors - 1));
  }
  const bool indirect = options_.indirect && pieces > 1 && !world_.OneIn(4);
  ChainBuilder chain = queue_.ring().Chain();
  if (indirect) chain.Indirect();
  const size_t frame = bytes - net::kHeaderBytes;
  size_t at = 0;
  for (uint32_t piece = 1; piece <= pieces; ++piece) {
    size_t end = bytes;
    if (piece < pieces) {
      end = net::kHeaderBytes + frame * (piece - 1) / (pieces - 1);
    }
    chain.ReadableAt(buffer + at, static_cast<uint32_t>(end - at));
    at = end;
  }
  const uint16_t head = chain.Offer();
  queue_.CountOffered();
  const uint32_t descriptors = indirect ? 1 : pieces;
  free_ -= descriptors;
  offered_.push_back({next_++, head, descriptors, buffer});
  world_.Note("driver sends", queue_.index(), next_ - 1);
}

void LinuxTx::CheckUsed() {
  if (queue_.ring().used_idx() != queue_.ring().avail_idx()) {
    world_.Fail(
        fmt::format("queue {}: packets were left in the ring", queue_.index()));
  }
  if (stopped_) {
    world_.Fail(
        fmt::format("queue {}: it is stopped for ever", queue_.index()));
  }
}

}  // namespace sim
