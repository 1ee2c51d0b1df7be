// SPDX-License-Identifier: Apache-2.0
#include "net/path/pair_journal.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

namespace net {
namespace {

// "vnpair" and the version of the layout.
constexpr uint64_t kFormat = 0x0001'7269'6170'6e76;
constexpr size_t kPage = PairJournal::kPageBytes;
// The memory of an io_uring instance.
constexpr size_t kRingBytes = 2 * kPage;
// Everything before the staging memory: the layout and the instance.
constexpr size_t kHeadBytes = kPage + kRingBytes;
constexpr std::align_val_t kAlign{kPage};

// PairJournal::Progress in one word.
struct PackedProgress {
  uint16_t before;
  uint16_t after;
  uint16_t sequence;  // the end of the batch's
  uint16_t gone_before : 6;
  uint16_t gone_after : 6;
  uint16_t whole : 1;
  uint16_t unused : 3;
};
static_assert(sizeof(PackedProgress) == sizeof(uint64_t));

template <typename T>
T Load(T& from) {
  return std::atomic_ref<T>(from).load(std::memory_order_acquire);
}
// Stores what comes before it in the program first.
template <typename T>
void Store(T& to, T value) {
  std::atomic_ref<T>(to).store(value, std::memory_order_release);
}

constexpr int32_t kNoResult = INT32_MIN;

}  // namespace

// A result as io_uring writes it.
struct PairJournal::Result {
  uint64_t tag;
  int32_t result;  // bytes, or a negative errno
  uint32_t flags;
};

// One direction.
struct PairJournal::Queue {
  uint64_t sequence;             // of the last batch; 0: there was none
  std::array<Batch, 2> batches;  // by sequence % 2
  uint64_t progress;             // rx: PackedProgress
  uint64_t desc_addr;
  uint64_t driver_addr;
  uint64_t device_addr;
  uint32_t size;
  uint32_t is_tx;
  std::array<Result, kMaxBatch> results;  // by index

  Batch batch() { return batches[Load(sequence) % 2]; }

  uint64_t first_tag() {
    return Load(sequence) << kSequenceShift | uint64_t{is_tx != 0} << 15;
  }

  // The index of a packet of the last batch; nothing for any other tag.
  std::optional<size_t> IndexOf(uint64_t tag) {
    const uint64_t index = (tag - first_tag()) >> kIndexShift;
    if (Load(sequence) == 0 || index >= kMaxBatch) return std::nullopt;
    return index;
  }

  void Keep(uint64_t tag, int32_t result) {
    const std::optional<size_t> index = IndexOf(tag);
    if (!index) return;
    Result& to = results[*index];
    // The tag last: a part of a result belongs to no batch.
    Store(to.tag, uint64_t{0});
    Store(to.result, result);
    Store(to.tag, tag);
  }

  std::array<int32_t, kMaxBatch> All() {
    std::array<int32_t, kMaxBatch> all;
    all.fill(kNoResult);
    for (Result& result : results) {
      const std::optional<size_t> index = IndexOf(Load(result.tag));
      if (index) all[*index] = Load(result.result);
    }
    return all;
  }
};

struct PairJournal::Layout {
  uint64_t format;
  uint32_t completions;  // the offset of the instance's; 0: none
  std::array<Queue, 2> queues;
};

void PairJournal::FreePages::operator()(uint8_t* memory) const {
  operator delete[](memory, kAlign);
}

PairJournal::PairJournal(std::span<uint8_t> memory) : memory_(memory.data()) {
  static_assert(sizeof(Result) == sizeof(io_uring_cqe));
  static_assert(sizeof(Layout) <= kPage && kHeadBytes == kHeadPages * kPage);
  assert(memory.empty() || memory.size() == kBytes);
  if (memory.empty()) {
    own_.reset(static_cast<uint8_t*>(operator new[](kBytes, kAlign)));
    memory_ = own_.get();
    std::memset(memory_, 0, kHeadBytes);
  }
  layout_ = reinterpret_cast<Layout*>(memory_);
}

void PairJournal::TakeUp() {
  if (std::exchange(taken_up_, true)) return;
  if (Load(layout_->format) != kFormat) {
    std::memset(memory_, 0, kHeadBytes);
    Store(layout_->format, kFormat);
  }
  queue(Direction::kTx).is_tx = 1;
  queue(Direction::kRx).is_tx = 0;
  KeepResults();
}

PairJournal::Queue& PairJournal::queue(Direction direction) const {
  return layout_->queues[static_cast<size_t>(direction)];
}

std::span<uint8_t> PairJournal::staging() const {
  return {memory_ + kHeadBytes, RxStaging::kBytes};
}

std::optional<UringMemory> PairJournal::NextRing() {
  TakeUp();
  KeepResults();
  Store(layout_->completions, uint32_t{0});
  uint8_t* const pages = memory_ + kPage;
  // The kernel takes an instance down some time after its process has ended,
  // and may move its indexes until then. The old pages remain the old
  // instance's.
  if (madvise(pages, kRingBytes, MADV_REMOVE) != 0) return std::nullopt;
  return UringMemory{.rings = pages,
                     .sqes = pages + kPage,
                     .completions = &layout_->completions};
}

uint64_t PairJournal::Begin(Direction direction, const Batch& batch) {
  Queue& to = queue(direction);
  uint64_t sequence = to.sequence + 1;
  if (sequence << kSequenceShift == 0) ++sequence;
  to.batches[sequence % 2] = batch;
  Store(to.sequence, sequence);
  return to.first_tag();
}

void PairJournal::Note(const Io& packet) {
  const IoResult& result = packet.result;
  queue(Direction::kRx)
      .Keep(packet.tag, result.error != 0 ? -result.error
                                          : static_cast<int32_t>(result.bytes));
}

void PairJournal::SetProgress(const Progress& progress) {
  Queue& to = queue(Direction::kRx);
  const PackedProgress packed = {
      .before = progress.before,
      .after = progress.after,
      .sequence = static_cast<uint16_t>(to.sequence),
      .gone_before = static_cast<uint16_t>(progress.gone_before & 63),
      .gone_after = static_cast<uint16_t>(progress.gone_after & 63),
      .whole = progress.whole,
      .unused = 0};
  Store(to.progress, std::bit_cast<uint64_t>(packed));
}

void PairJournal::Clear(Direction direction) {
  if (left_) return;
  TakeUp();
  Begin(direction, {});
}

void PairJournal::SetQueue(Direction direction, const vduse::QueueInfo& info) {
  TakeUp();
  Queue& to = queue(direction);
  to.desc_addr = info.desc_addr;
  to.driver_addr = info.driver_addr;
  to.device_addr = info.device_addr;
  to.size = info.size;
}

bool PairJournal::IsOf(Direction direction, const vduse::QueueInfo& info) {
  TakeUp();
  const Queue& of = queue(direction);
  return of.desc_addr == info.desc_addr && of.driver_addr == info.driver_addr &&
         of.device_addr == info.device_addr && of.size == info.size;
}

size_t PairJournal::SentFrom(uint16_t used) const {
  Queue& tx = queue(Direction::kTx);
  const std::array<int32_t, kMaxBatch> results = tx.All();
  size_t end = kMaxBatch;
  while (end > 0 && results[end - 1] < 0) --end;
  const auto published = static_cast<uint16_t>(used - tx.batch().first);
  return published < end ? end - published : 0;
}

std::optional<PairJournal::Received> PairJournal::ReceivedAt(
    uint16_t used) const {
  Queue& rx = queue(Direction::kRx);
  Received received = {.batch = rx.batch(), .bytes = rx.All()};
  const auto progress = std::bit_cast<PackedProgress>(Load(rx.progress));
  if (progress.sequence != static_cast<uint16_t>(Load(rx.sequence))) {
    // Nothing of the batch has been returned to the driver.
    if (used != received.batch.first) return std::nullopt;
    return received;
  }
  const bool published =
      progress.before == progress.after || used != progress.before;
  received.gone = published ? progress.gone_after : progress.gone_before;
  received.whole = progress.whole != 0;
  return received;
}

// Copies the results of both last batches out of the instance, which others may
// use from now on.
void PairJournal::KeepResults() {
  const uint32_t offset = Load(layout_->completions);
  if (offset == 0 || offset % alignof(Result) != 0 ||
      offset > kPage - kCompletions * sizeof(Result)) {
    return;
  }
  auto* results = reinterpret_cast<Result*>(memory_ + kPage + offset);
  for (Queue& to : layout_->queues) {
    for (size_t i = 0; i < kCompletions; ++i) {
      // The port's part of the tag does not count.
      to.Keep(Load(results[i].tag) & ~uint64_t{0xff}, Load(results[i].result));
    }
  }
}

}  // namespace net
