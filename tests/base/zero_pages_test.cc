// SPDX-License-Identifier: Apache-2.0
#include "base/zero_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace base {
namespace {

const size_t kPageWords =
    static_cast<size_t>(sysconf(_SC_PAGESIZE)) / sizeof(uint64_t);

// How many pages the kernel has provided.
long Resident(const ZeroPages& pages) {
  const size_t bytes = pages.words().size_bytes();
  std::vector<unsigned char> resident(bytes / kPageWords / sizeof(uint64_t) +
                                      1);
  EXPECT_EQ(mincore(pages.words().data(), bytes, resident.data()), 0);
  return std::count_if(resident.begin(), resident.end(),
                       [](unsigned char page) { return (page & 1) != 0; });
}

TEST(ZeroPagesTest, OnlyWhatIsWrittenTakesMemory) {
  const ZeroPages pages(8 * kPageWords);
  ASSERT_EQ(pages.words().size(), 8 * kPageWords);
  EXPECT_EQ(Resident(pages), 0);
  pages.words()[3 * kPageWords] = 7;
  EXPECT_EQ(Resident(pages), 1);
  EXPECT_EQ(pages.words()[3 * kPageWords], 7U);
}

TEST(ZeroPagesTest, EveryWordIsZero) {
  const ZeroPages pages(1000);
  EXPECT_EQ(pages.words().size(), 1000U);
  EXPECT_EQ(std::count(pages.words().begin(), pages.words().end(), 0U), 1000);
}

}  // namespace
}  // namespace base
