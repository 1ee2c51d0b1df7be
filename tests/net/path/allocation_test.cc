// SPDX-License-Identifier: Apache-2.0
//
// Nothing is allocated for a packet: a queue pair has all its memory once its
// queues have started.
#include <errno.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "net/path/queue_pair.h"
#include "net/wire/features.h"
#include "tests/support/fake_device.h"
#include "tests/support/fake_driver.h"
#include "tests/support/instant.h"

namespace {
bool g_counting = false;
size_t g_allocations = 0;
size_t g_bytes = 0;
}  // namespace

// Not inlined: g++ takes one of a pair alone for a mismatch.
[[gnu::noinline]] void* operator new(size_t bytes) {
  if (g_counting) {
    ++g_allocations;
    g_bytes += bytes;
  }
  void* memory = std::malloc(bytes);
  if (memory == nullptr) std::abort();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace net {
namespace {

// Takes everything, and has `waiting` packets of `bytes` to give.
struct Endless {
  size_t most = 1;
  size_t waiting = 0;
  size_t bytes = 0;
  size_t written = 0;
};
class EndlessPort final : public PacketPort {
 public:
  explicit EndlessPort(Endless& state) : state_(&state) {}

  size_t at_once(size_t packets) const override {
    return std::min(packets, state_->most);
  }
  void Read(std::span<Io> packets) override {
    for (Io& packet : packets) {
      packet.result = {.error = EAGAIN};
      if (state_->waiting == 0) continue;
      --state_->waiting;
      size_t rest = kHeaderBytes + state_->bytes;
      for (const iovec& segment : packet.segments) {
        const size_t n = std::min(rest, segment.iov_len);
        std::memset(segment.iov_base, 0, n);
        rest -= n;
      }
      packet.result = {.bytes = kHeaderBytes + state_->bytes};
    }
  }
  void Write(std::span<Io> packets) override {
    for (Io& packet : packets) packet.result = {};
    state_->written += packets.size();
  }

 private:
  Endless* state_;
};

class AllocationTest : public testing::TestWithParam<size_t> {};

TEST_P(AllocationTest, PacketsOfAnySizeNeedNone) {
  constexpr uint32_t kSize = 64;
  static constexpr Instant kNow = tests::At(std::chrono::seconds(1));
  tests::FakeDevice device{2};
  tests::DriverMemory memory{device};
  tests::DriverQueue rx(device, memory, {.index = 0, .size = kSize});
  tests::DriverQueue tx(device, memory, {.index = 1, .size = kSize});
  const uint64_t features = kOfferedFeatures & ~Bit(kFeatureEventIdx);
  QueuePair pair{device, {.mtu = 1500}};
  Endless port{.most = GetParam()};
  pair.SetPort(std::make_unique<EndlessPort>(port));
  for (const auto& [direction, queue] :
       {std::pair(Direction::kRx, &rx), std::pair(Direction::kTx, &tx)}) {
    ASSERT_TRUE(pair.path(direction)
                    .Start(queue->info(), features,
                           vduse::Virtqueue::Start::kFresh, {}, kNow)
                    .ok());
  }
  constexpr uint8_t kNoise[1600] = {};
  g_allocations = 0;
  size_t sent = 0;
  for (const size_t bytes : {60U, 1514U, 60U, 5000U, 65000U, 60U, 9000U}) {
    for (int round = 0; round < 5; ++round) {
      port.bytes = bytes;
      port.waiting = 20;
      for (uint32_t i = 0; i < kSize - 4; ++i) {
        if (rx.outstanding() < kSize - 2) rx.Chain().Writable(2048).Offer();
      }
      for (int i = 0; i < 20; ++i) {
        // Every other one is refused: it is no packet.
        tx.Chain()
            .Readable(std::span(kNoise).first(i % 2 == 0 ? 100 : 5))
            .Offer();
        tx.Chain().Indirect().Readable(kNoise).Readable("1").Offer();
      }
      sent += 40;
      g_counting = true;
      for (int i = 0; i < 4; ++i) {
        pair.Step({.port_readable = true, .rx_kick = true, .tx_kick = true},
                  [] { return kNow; });
      }
      g_counting = false;
      rx.DrainUsed();
      ASSERT_EQ(tx.DrainUsed(), 40U);
    }
  }
  EXPECT_EQ(g_allocations, 0U);
  EXPECT_EQ(port.written, sent / 4) << "the long ones are over the MTU";
  EXPECT_GT(pair.counters().rx.packets, 300U);
}

INSTANTIATE_TEST_SUITE_P(Batches, AllocationTest,
                         testing::Values(1, kMaxBatch));

TEST(QueueMemoryTest, Row135_AnEntryCostsADescriptorAndAChainAtMost) {
  static constexpr size_t kMostForSmallest = 256 << 10;
  static constexpr size_t kMostPerEntry =
      sizeof(vduse::Desc) + sizeof(vduse::Chain);
  tests::FakeDevice device{2};
  tests::DriverMemory memory{device};
  QueuePair pair{device, {.mtu = 1500}};
  const auto bytes_to_start = [&](Direction direction, uint32_t size) {
    const tests::DriverQueue queue(
        device, memory,
        {.index = direction == Direction::kRx ? 0U : 1U, .size = size});
    g_bytes = 0;
    g_counting = true;
    const absl::Status started =
        pair.path(direction).Start(queue.info(), kOfferedFeatures,
                                   vduse::Virtqueue::Start::kFresh, {}, {});
    g_counting = false;
    EXPECT_TRUE(started.ok()) << started;
    pair.Stop();
    return g_bytes;
  };
  for (const Direction direction : {Direction::kRx, Direction::kTx}) {
    const size_t smallest = bytes_to_start(direction, 1);
    EXPECT_LE(smallest, kMostForSmallest);
    EXPECT_LE(bytes_to_start(direction, vduse::kMaxQueueSize),
              smallest + vduse::kMaxQueueSize * kMostPerEntry);
  }
}

}  // namespace
}  // namespace net
