// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <span>

#include "base/eventfd.h"

namespace program {
namespace {

constexpr size_t kBytes = 3 << 12;

TEST(JournalMemoryTest, TheNextProcessFindsWhatTheLastOneLeft) {
  const auto file = CreateJournal(kBytes);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto last = MapJournal(file->get(), kBytes);
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_TRUE(
      std::ranges::all_of(*last, [](uint8_t byte) { return byte == 0; }));
  (*last)[kBytes - 1] = 7;
  const auto next = MapJournal(file->get(), kBytes);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_NE(next->data(), last->data());
  EXPECT_EQ((*next)[kBytes - 1], 7);
}

TEST(JournalMemoryTest, ItsSizeIsForLife) {
  const auto file = CreateJournal(kBytes);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(IsJournal(file->get(), kBytes));
  EXPECT_NE(ftruncate(file->get(), 0), 0);
  EXPECT_NE(ftruncate(file->get(), 2 * kBytes), 0);
  EXPECT_TRUE(IsJournal(file->get(), kBytes));
}

TEST(JournalMemoryTest, AnotherFileIsNoJournal) {
  const auto file = CreateJournal(kBytes);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_FALSE(IsJournal(file->get(), kBytes + 4096)) << "of another release";
  EXPECT_FALSE(IsJournal(-1, kBytes));
  EXPECT_FALSE(IsJournal(base::MakeEventfd().get(), kBytes));
  const base::UniqueFd may_shrink(memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(may_shrink.get(), kBytes), 0);
  EXPECT_FALSE(IsJournal(may_shrink.get(), kBytes));
}

}  // namespace
}  // namespace program
