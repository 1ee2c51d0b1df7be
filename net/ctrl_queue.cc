// SPDX-License-Identifier: Apache-2.0
#include "net/ctrl_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "net/features.h"

namespace net {
namespace {

using coalesce::Direction;
using coalesce::Params;

// 5.1.6.5: the status byte
constexpr uint8_t kOk = 0;
constexpr uint8_t kErr = 1;

// 5.1.6.5.7
constexpr uint8_t kClassGuestOffloads = 5;
constexpr uint8_t kOffloadsSet = 0;

// 5.1.6.5.9
constexpr uint8_t kClassNotfCoal = 6;
constexpr uint8_t kTxSet = 0;
constexpr uint8_t kRxSet = 1;
constexpr uint8_t kVqSet = 2;
constexpr uint8_t kVqGet = 3;

// struct virtio_net_ctrl_coal
struct CtrlCoal {
  uint32_t max_packets;
  uint32_t max_usecs;
};
static_assert(sizeof(CtrlCoal) == 8);

// struct virtio_net_ctrl_coal_vq
struct CtrlCoalVq {
  uint16_t vq_index;
  uint16_t reserved;  // to be ignored
  CtrlCoal coal;
};
static_assert(sizeof(CtrlCoalVq) == 12);

// The host is little-endian, like the commands (see CMakeLists.txt).
template <typename T>
T ReadAs(std::span<const uint8_t> bytes) {
  T value = {};
  std::memcpy(&value, bytes.data(), std::min(sizeof(T), bytes.size()));
  return value;
}

Params ToParams(CtrlCoal coal) {
  return {.max_packets = coal.max_packets, .max_usecs = coal.max_usecs};
}

// Copies bytes to `offset` of a chain's writable part; what does not fit is
// left out.
void Scatter(std::span<const iovec> to, uint64_t offset,
             std::span<const uint8_t> bytes) {
  for (const iovec& segment : to) {
    if (bytes.empty()) return;
    if (offset >= segment.iov_len) {
      offset -= segment.iov_len;
      continue;
    }
    const size_t n = std::min(bytes.size(), segment.iov_len - offset);
    std::memcpy(static_cast<uint8_t*>(segment.iov_base) + offset, bytes.data(),
                n);
    bytes = bytes.subspan(n);
    offset = 0;
  }
}

}  // namespace

struct CtrlQueue::Command {
  uint8_t command_class;
  uint8_t command;
  unsigned feature;
  size_t payload_bytes;  // exactly
  size_t reply_bytes;    // before or behind the status byte
  Reply (CtrlQueue::*run)(Payload);
};

const CtrlQueue::Command CtrlQueue::kCommands[] = {
    {kClassNotfCoal, kTxSet, kFeatureNotfCoal, 8, 0, &CtrlQueue::TxSet},
    {kClassNotfCoal, kRxSet, kFeatureNotfCoal, 8, 0, &CtrlQueue::RxSet},
    {kClassNotfCoal, kVqSet, kFeatureVqNotfCoal, 12, 0, &CtrlQueue::VqSet},
    {kClassNotfCoal, kVqGet, kFeatureVqNotfCoal, 4, 8, &CtrlQueue::VqGet},
    {kClassGuestOffloads, kOffloadsSet, kFeatureCtrlGuestOffloads, 8, 0,
     &CtrlQueue::OffloadsSet},
};

CtrlQueue::CtrlQueue(NotifiedQueue queue, uint64_t features,
                     CommandTarget& target)
    : queue_(std::move(queue)), features_(features), target_(target) {}

bool CtrlQueue::Serve(Time now) {
  vduse::Virtqueue& ring = queue_.ring();
  if (!ring.mapped() && !ring.MapRings()) return false;
  queue_.OnTimer(now);
  ring.DisableKicks();
  for (uint32_t i = 0; i < kBudget; ++i) {
    std::optional<vduse::Chain> chain = ring.Pop();
    if (chain) {
      const uint64_t written = Execute(*chain);
      queue_.Complete(std::move(*chain), written, now);
      continue;
    }
    if (ring.broken()) {
      if (!std::exchange(gave_up_, true)) {
        ring.PushUnusableEntry();
        queue_.OnPublished(1, 0, now);
      }
      return false;
    }
    if (!ring.EnableKicks()) return false;
    ring.DisableKicks();
  }
  return true;
}

// Runs one command and returns the number of bytes written for the driver.
uint64_t CtrlQueue::Execute(const vduse::Chain& chain) {
  if (chain.malformed() || chain.writable_bytes() == 0) {
    ++counters_.unanswerable;
    return 0;
  }
  // One byte more than any command has tells that there is too much.
  std::array<uint8_t, kMaxReadable + 1> in;
  size_t gathered = 0;
  for (const iovec& segment : chain.readable()) {
    const size_t n = std::min(in.size() - gathered, segment.iov_len);
    std::memcpy(in.data() + gathered, segment.iov_base, n);
    gathered += n;
  }
  const Command* command = gathered >= 2 ? Find(in[0], in[1]) : nullptr;
  const size_t reply_bytes = command != nullptr ? command->reply_bytes : 0;

  // The status byte follows the reply, unless the driver gave it a
  // descriptor of its own in front.
  const bool status_first =
      reply_bytes == 0 || chain.writable().front().iov_len == 1;
  const uint64_t status_at = status_first ? 0 : reply_bytes;
  const bool fits = chain.writable_bytes() >= reply_bytes + 1;

  Reply reply;
  if (command != nullptr && fits && gathered - 2 == command->payload_bytes) {
    reply =
        (this->*command->run)(Payload(in).subspan(2, command->payload_bytes));
  }
  const uint8_t status = reply.ok ? kOk : kErr;
  if (!fits) {
    // Where the status byte is can only be guessed: all bytes say ERR.
    ++counters_.rejected;
    std::array<uint8_t, kMaxReply> errors;
    errors.fill(kErr);
    Scatter(chain.writable(), 0, errors);
    return chain.writable_bytes();
  }
  Scatter(chain.writable(), status_at, {&status, 1});
  if (!reply.ok) {
    ++counters_.rejected;
    return 1;
  }
  ++counters_.commands;
  Scatter(chain.writable(), status_first ? 1 : 0,
          std::span(reply.bytes).first(reply_bytes));
  return reply_bytes + 1;
}

const CtrlQueue::Command* CtrlQueue::Find(uint8_t command_class,
                                          uint8_t command) const {
  for (const Command& row : kCommands) {
    if (row.command_class == command_class && row.command == command) {
      return Has(features_, row.feature) ? &row : nullptr;
    }
  }
  return nullptr;
}

CtrlQueue::Reply CtrlQueue::SetAll(Direction direction, Payload payload) {
  target_.SetCoalescing(direction, ToParams(ReadAs<CtrlCoal>(payload)));
  return {.ok = true};
}

CtrlQueue::Reply CtrlQueue::TxSet(Payload payload) {
  return SetAll(Direction::kTx, payload);
}

CtrlQueue::Reply CtrlQueue::RxSet(Payload payload) {
  return SetAll(Direction::kRx, payload);
}

CtrlQueue::Reply CtrlQueue::VqSet(Payload payload) {
  const auto command = ReadAs<CtrlCoalVq>(payload);
  return {.ok = target_.SetQueueCoalescing(command.vq_index,
                                           ToParams(command.coal))};
}

CtrlQueue::Reply CtrlQueue::VqGet(Payload payload) {
  const auto command = ReadAs<CtrlCoalVq>(payload);
  const std::optional<Params> params =
      target_.QueueCoalescing(command.vq_index);
  if (!params) return {};
  const CtrlCoal coal{.max_packets = params->max_packets,
                      .max_usecs = params->max_usecs};
  Reply reply{.ok = true};
  std::memcpy(reply.bytes.data(), &coal, sizeof(coal));
  return reply;
}

CtrlQueue::Reply CtrlQueue::OffloadsSet(Payload payload) {
  return {.ok = target_.SetGuestOffloads(ReadAs<uint64_t>(payload))};
}

}  // namespace net
