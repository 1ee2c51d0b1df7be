// SPDX-License-Identifier: Apache-2.0
//
// A driver whose memory is in huge pages. Each test reserves pages while it
// runs, if this machine has any and permits it.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstdint>
#include <fstream>
#include <string>

#include "tests/vduse/scripted_device.h"
#include "vduse/iova_map.h"
#include "vduse/sigbus_guard.h"

namespace vduse {
namespace {

constexpr uint64_t kPages = 2;

class HugePagesTest : public testing::TestWithParam<uint64_t> {
 protected:
  void SetUp() override {
    SigbusGuard::Install();
    (void)SigbusGuard::TakePoisoned();
    before_ = Number("nr_hugepages");
    if (Number("free_hugepages") < kPages + 1) {
      std::ofstream(Path("nr_hugepages")) << before_ + kPages + 1;
    }
    if (Number("free_hugepages") < kPages) {
      GTEST_SKIP() << "no " << kPages << " free huge pages of " << page_
                   << " bytes, and none can be reserved";
    }
    // The flags contain the logarithm of the page size (MFD_HUGE_SHIFT).
    const auto log = static_cast<unsigned>(std::countr_zero(page_));
    const int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | log << 26);
    ASSERT_GE(fd, 0);
    device_.file = base::UniqueFd(fd);
    ASSERT_EQ(ftruncate(fd, static_cast<off_t>(kPages * page_)), 0);
    // The region is part of the file, like a guest's memory beside a range that
    // the guest cannot use.
    device_.offset = 0xc0000;
    device_.last = kBase + kPages * page_ - 0xc0000 - 1;
  }
  void TearDown() override {
    map_.DropAll();
    device_.file.Reset();
    (void)SigbusGuard::TakePoisoned();
    std::ofstream(Path("nr_hugepages")) << before_;
  }

  std::string Path(const char* file) const {
    return "/sys/kernel/mm/hugepages/hugepages-" + std::to_string(page_ >> 10) +
           "kB/" + file;
  }
  uint64_t Number(const char* file) const {
    uint64_t number = 0;
    std::ifstream(Path(file)) >> number;
    return number;
  }
  // The driver's byte at `offset` of the file.
  volatile uint8_t* At(uint64_t offset) {
    return map_.Find(kBase + offset - device_.offset, 1, Access::kWrite).data;
  }

  const uint64_t page_ = GetParam();
  uint64_t before_ = 0;
  ScriptedDevice device_;
  IovaMap map_{device_};
};

TEST_P(HugePagesTest, TheDriversBytesAreSeenAndChanged) {
  void* own = mmap(nullptr, kPages * page_, PROT_READ | PROT_WRITE, MAP_SHARED,
                   device_.file.get(), 0);
  ASSERT_NE(own, MAP_FAILED);
  auto* bytes = static_cast<uint8_t*>(own);
  bytes[0xc0000] = 'f';
  bytes[kPages * page_ - 1] = 'l';

  ASSERT_NE(At(0xc0000), nullptr);
  EXPECT_EQ(*At(0xc0000), 'f');
  EXPECT_EQ(*At(kPages * page_ - 1), 'l');
  *At(page_) = 'd';

  EXPECT_EQ(bytes[page_], 'd');
  munmap(own, kPages * page_);
}

TEST_P(HugePagesTest, NoPageStaysTakenByMappingsThatWent) {
  const uint64_t free = Number("free_hugepages");
  for (int reset = 0; reset < 3; ++reset) {
    ASSERT_NE(At(page_), nullptr);
    *At(page_) = 1;
    EXPECT_EQ(Number("free_hugepages"), free - 1);
    map_.DropAll();
  }
  device_.file.Reset();
  EXPECT_EQ(Number("free_hugepages"), free);
}

TEST_P(HugePagesTest,
       Row124_ATruncatedPageReadsAsZerosAndOthersKeepTheirBytes) {
  *At(0xc0000) = 'k';
  *At(page_ + 5) = 'x';
  ASSERT_EQ(ftruncate(device_.file.get(), static_cast<off_t>(page_)), 0);

  EXPECT_EQ(*At(page_ + 5), 0);

  EXPECT_NE(map_.TakeFault(), "");
  *At(2 * page_ - 1) = 'w';  // the handler has replaced the whole page
  EXPECT_EQ(map_.TakeFault(), "");
  EXPECT_EQ(*At(0xc0000), 'k');
}

TEST_P(HugePagesTest, Row124_AFileThatIsShorterThanTheRegionStaysSo) {
  ASSERT_EQ(ftruncate(device_.file.get(), static_cast<off_t>(page_)), 0);
  ASSERT_NE(At(page_), nullptr);
  *At(page_) = 1;
  EXPECT_NE(map_.TakeFault(), "");
  EXPECT_EQ(lseek(device_.file.get(), 0, SEEK_END), static_cast<off_t>(page_));
}

TEST_P(HugePagesTest, Row124_APageThatHasRunOutReadsAsZeros) {
  const uint64_t free = Number("free_hugepages");
  const uint64_t size = (free + 1) * page_;
  ASSERT_EQ(ftruncate(device_.file.get(), static_cast<off_t>(size)), 0);
  device_.last = kBase + size - device_.offset - 1;
  for (uint64_t i = 0; i < free; ++i) *At(i * page_ + page_ - 1) = 1;
  EXPECT_EQ(map_.TakeFault(), "");

  EXPECT_EQ(*At(size - 1), 0);

  EXPECT_NE(map_.TakeFault(), "");
}

INSTANTIATE_TEST_SUITE_P(Sizes, HugePagesTest,
                         testing::Values(2ULL << 20, 1ULL << 30),
                         [](const auto& size) {
                           return size.param == 2ULL << 20 ? "Of2MiB"
                                                           : "Of1GiB";
                         });

}  // namespace
}  // namespace vduse
