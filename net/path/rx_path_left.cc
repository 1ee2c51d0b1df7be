// SPDX-License-Identifier: Apache-2.0
//
// What others have left: a predecessor that was killed, in the journal; an
// earlier driver, in the port. And what is left to a successor.
#include <errno.h>

#include <algorithm>
#include <utility>

#include "net/path/rx_path.h"

namespace net {

// Takes up the packets that the predecessor read and did not deliver.
void RxPath::Recover(Instant now) {
  const std::optional<PairJournal::Received> left =
      journal().ReceivedAt(ring().published_index());
  if (!left || !receiving_) {
    journal().Clear(Direction::kRx);
    return;
  }
  gone_ = left->gone;
  const uint32_t in_chains = left->whole ? 0 : left->batch.in_chains;
  // If a packet was read into chains, it was the only one of the batch.
  const size_t end = in_chains == 0 ? kMaxBatch : 1;
  for (size_t slot = gone_; slot < end; ++slot) {
    const auto bytes = static_cast<size_t>(std::max(left->bytes[slot], 0));
    if (!IsPacketLength(bytes)) continue;
    if (ReadBack(std::min<size_t>(bytes, in_chains), now)) {
      staging_.Push(slot, bytes);
    } else {
      ++counters_.bad_packet;
    }
  }
  whole_ = true;
  NoteProgress(staging_.FrontSlot());
}

// Copies the first `bytes` of a packet from the driver's buffers to its slot.
// The buffers are those that they were, unless the driver has changed them: if
// they are too small now, the packet is lost, and false is returned.
bool RxPath::ReadBack(size_t bytes, Instant now) {
  if (bytes == 0) return true;
  chains_->BeginStep();
  const bool found = chains_->Collect(bytes, now);
  if (found) chains_->Read(staging_.Slot(0).first(bytes));
  chains_->GiveBack();
  return found;
}

void RxPath::NoteResults(std::span<const Io> packets) {
  for (const Io& packet : packets) journal().Note(packet);
}

// The packets of the slots before `gone` are done with once what was pushed is
// published.
void RxPath::NoteProgress(size_t gone) {
  journal().SetProgress({.before = ring().published_index(),
                         .after = ring().pushed_index(),
                         .gone_before = std::exchange(gone_, gone),
                         .gone_after = gone,
                         .whole = whole_});
}

// Reads a batch of packets and drops them.
void RxPath::Discard() {
  iov_.clear();
  ios_.clear();
  for (size_t slot = 0; slot < kMaxBatch; ++slot) {
    iov_.push_back(
        {.iov_base = staging_.Slot(slot).data(), .iov_len = kSmallBytes});
    ios_.push_back({.segments = std::span(iov_).subspan(slot)});
  }
  step().SetWorked();
  bool more = port().usable();
  for (size_t done = 0; more && done < kMaxBatch;) {
    const size_t left = kMaxBatch - done;
    const size_t at_once = std::min(port()->at_once(left), left);
    const auto part = std::span(ios_).subspan(done, at_once);
    port()->Read(part);
    done += at_once;
    for (const Io& io : part) {
      // The kernel drops a packet for which it says EINVAL; see ReadFailed().
      const bool came = io.result.error == 0 || io.result.error == EINVAL;
      if (came) ++counters_.stale;
      more = more && came;
    }
  }
  discard_left_ -= more ? uint32_t{kMaxBatch} : discard_left_;
}

}  // namespace net
