// SPDX-License-Identifier: Apache-2.0
#include "net/device/ctrl_queue.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "vduse/chain_io.h"

namespace net {
namespace {

void WriteAt(const vduse::Chain& chain, uint64_t offset,
             std::span<const uint8_t> bytes) {
  vduse::ChainWriter writer(chain);
  writer.Skip(offset);
  writer.Write(bytes);
}

}  // namespace

CtrlQueue::CtrlQueue(NotifiedQueue queue, uint64_t features,
                     CommandTarget& target, Mode mode)
    : queue_(std::move(queue)),
      features_(features),
      target_(target),
      mode_(mode) {}

bool CtrlQueue::Serve(Instant now) {
  vduse::Virtqueue& ring = queue_.ring();
  if (!ring.mapped() && !ring.MapRings()) return false;
  queue_.OnTimer(now);
  ring.DisableKicks();
  const uint64_t end = ring.walked() + kWalkBudget;
  for (uint32_t i = 0; i < kBudget && ring.walked() < end; ++i) {
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
  vduse::ChainReader payload(chain);
  const Command* command = nullptr;
  if (payload.left() >= sizeof(ctrl::Header)) {
    const auto header = payload.Take<ctrl::Header>();
    command = Find(header.command_class, header.command);
  }
  const size_t reply_bytes = command != nullptr ? command->reply_bytes : 0;

  // The status byte follows the reply, unless the driver put a one-byte
  // descriptor for it in front.
  const bool status_first =
      reply_bytes == 0 || chain.writable().front().iov_len == 1;
  const uint64_t status_at = status_first ? 0 : reply_bytes;
  const bool fits = chain.writable_bytes() >= reply_bytes + 1;

  Reply reply;
  if (command != nullptr && fits && mode_ == Mode::kExecute &&
      command->payload.Admits(payload.left())) {
    reply = (this->*command->run)(payload);
  }
  const uint8_t status = reply.ok ? ctrl::kOk : ctrl::kErr;
  if (!fits) {
    // The position of the status byte is unknown, so all bytes say ERR.
    ++counters_.rejected;
    std::array<uint8_t, kMaxReplyBytes> errors;
    errors.fill(ctrl::kErr);
    WriteAt(chain, 0, errors);
    return chain.writable_bytes();
  }
  WriteAt(chain, status_at, {&status, 1});
  if (!reply.ok) {
    ++counters_.rejected;
    // The used length counts from the first writable byte (2.7.8.2), so a reply
    // in front of the status is written as well: as zeros.
    reply.bytes.assign(status_at, 0);
    WriteAt(chain, 0, reply.bytes);
    return status_at + 1;
  }
  ++counters_.commands;
  WriteAt(chain, status_first ? 1 : 0, reply.bytes);
  return std::min<uint64_t>(chain.writable_bytes(), reply.bytes.size() + 1);
}

}  // namespace net
