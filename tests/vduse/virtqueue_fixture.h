// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_VDUSE_VIRTQUEUE_FIXTURE_H_
#define VDUSE_NET_TESTS_VDUSE_VIRTQUEUE_FIXTURE_H_

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/test_bed.h"

namespace vduse {

// The ways in which a driver may run a ring. Every test of the ring runs in
// each of them.
struct RingKind {
  uint16_t base;
  bool event_idx;
  bool indirect;  // chains are offered as indirect tables
};

class VirtqueueTest : public testing::TestWithParam<RingKind> {
 protected:
  static constexpr uint32_t kSize = 8;
  // An address at which the driver has no memory.
  static constexpr uint64_t kHole = 0x7000000000;

  static uint16_t base() { return GetParam().base; }
  static bool event_idx() { return GetParam().event_idx; }

  // A new chain, laid out as the test's parameter says.
  tests::ChainBuilder Chain() {
    tests::ChainBuilder chain = bed.driver.Chain();
    if (GetParam().indirect) chain.Indirect();
    return chain;
  }

  // Descriptor `i` of the chain at `head`, which must be the only chain built
  // so far.
  Desc& DescOf(uint16_t head, uint32_t i) {
    return GetParam().indirect ? bed.driver.table(head)[i]
                               : bed.driver.desc(head + i);
  }

  // The bytes of a chain that the device may read.
  static std::string Gather(const vduse::Chain& chain) {
    std::string text;
    for (const iovec& part : chain.readable()) {
      text.append(static_cast<const char*>(part.iov_base), part.iov_len);
    }
    return text;
  }

  // Takes the next chain, which must have `error`, and returns it with length
  // 0. Checks that the driver gets it and that the queue still works.
  void ExpectDropped(ChainError error) {
    std::optional<vduse::Chain> chain = queue().Pop();
    ASSERT_TRUE(chain) << queue().broken_reason();
    EXPECT_EQ(ChainErrorName(chain->error()), ChainErrorName(error));
    EXPECT_LE(chain->slots(), kSize + 1);  // bounded work
    EXPECT_TRUE(chain->readable().empty());
    EXPECT_TRUE(chain->writable().empty());
    EXPECT_EQ(chain->readable_bytes() + chain->writable_bytes(), 0U);
    queue().Push(std::move(*chain), 0);
    EXPECT_EQ(queue().Publish(), 1U);
    const std::optional<tests::UsedEntry> used = bed.driver.TakeUsed();
    ASSERT_TRUE(used);
    EXPECT_EQ(used->len, 0U);
    EXPECT_EQ(queue().chain_errors()[static_cast<size_t>(error)], 1U);
    ExpectWorks("after the malformed one");
  }

  // Checks that a valid chain passes through the queue.
  void ExpectWorks(std::string_view text) {
    Chain().Readable(text).Writable(4).Offer();
    std::optional<vduse::Chain> chain = queue().Pop();
    ASSERT_TRUE(chain) << queue().broken_reason();
    EXPECT_FALSE(chain->malformed()) << ChainErrorName(chain->error());
    EXPECT_EQ(Gather(*chain), text);
    queue().Push(std::move(*chain), 0);
    EXPECT_EQ(queue().Publish(), 1U);
    EXPECT_TRUE(bed.driver.TakeUsed());
  }

  // Pops one chain, pushes it and lets the driver take it.
  void Complete(uint64_t written = 0) {
    std::optional<vduse::Chain> chain = queue().Pop();
    ASSERT_TRUE(chain) << queue().broken_reason();
    queue().Push(std::move(*chain), written);
    queue().Publish();
    EXPECT_TRUE(bed.driver.TakeUsed());
  }

  Virtqueue& queue() { return bed.queue; }

  tests::TestBed bed{{.size = kSize,
                      .base = GetParam().base,
                      .event_idx = GetParam().event_idx}};
};

inline constexpr RingKind kFlags{
    .base = 0, .event_idx = false, .indirect = false};
inline constexpr RingKind kEventIdx{
    .base = 0, .event_idx = true, .indirect = false};
constexpr RingKind AtEnd(RingKind kind) {
  kind.base = 65530;
  return kind;
}
constexpr RingKind Indirect(RingKind kind) {
  kind.indirect = true;
  return kind;
}

inline const auto kEveryRing = testing::Values(
    kFlags, Indirect(kFlags), kEventIdx, Indirect(kEventIdx), AtEnd(kFlags),
    AtEnd(Indirect(kFlags)), AtEnd(kEventIdx), AtEnd(Indirect(kEventIdx)));

// For tests that build their own kind of chain.
inline const auto kEveryDirectRing =
    testing::Values(kFlags, kEventIdx, AtEnd(kFlags), AtEnd(kEventIdx));

inline std::string RingName(const testing::TestParamInfo<RingKind>& info) {
  return fmt::format("Base{}{}{}", info.param.base,
                     info.param.event_idx ? "EventIdx" : "Flags",
                     info.param.indirect ? "Indirect" : "Direct");
}

}  // namespace vduse

#endif  // VDUSE_NET_TESTS_VDUSE_VIRTQUEUE_FIXTURE_H_
