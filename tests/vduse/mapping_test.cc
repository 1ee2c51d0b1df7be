// SPDX-License-Identifier: Apache-2.0
#include "vduse/mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <ios>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace vduse {
namespace {

using testing::Contains;

constexpr uint64_t kMapped = 4096;

// The kernel's flags of the mapping that begins at `at`; see proc(5), smaps.
std::vector<std::string> KernelFlags(const void* at) {
  std::ostringstream begin;
  begin << std::hex << reinterpret_cast<uintptr_t>(at) << '-';
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  bool found = false;
  while (std::getline(smaps, line)) {
    if (line.starts_with(begin.str())) found = true;
    if (!found || !line.starts_with("VmFlags: ")) continue;
    std::istringstream words(line.substr(line.find(' ')));
    std::vector<std::string> flags;
    for (std::string word; words >> word;) flags.push_back(word);
    return flags;
  }
  return {};
}

class MappingFlagsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(ftruncate(file_.get(), kMapped), 0);
    const absl::StatusOr<MemoryFile> judged = JudgeMemoryFile(file_.get());
    ASSERT_TRUE(judged.ok()) << judged.status();
    auto mapping = Mapping::Create(file_.get(), *judged, 0, 2 * kMapped,
                                   PROT_READ | PROT_WRITE);
    ASSERT_TRUE(mapping.ok()) << mapping.status();
    mapping_ = *std::move(mapping);
  }

  const base::UniqueFd file_{memfd_create("driver", MFD_CLOEXEC)};
  std::shared_ptr<const Mapping> mapping_;
};

TEST_F(MappingFlagsTest, IsInNoDumpAndInNoChildProcess) {
  const std::vector<std::string> flags = KernelFlags(mapping_->At(0));
  EXPECT_THAT(flags, Contains("dd"));  // MADV_DONTDUMP
  EXPECT_THAT(flags, Contains("dc"));  // MADV_DONTFORK
}

TEST_F(MappingFlagsTest, SoIsThePageThatReplacesAMissingOne) {
  SigbusGuard::Install();
  uint8_t* const missing = mapping_->At(kMapped);
  *static_cast<volatile uint8_t*>(missing) = 1;
  EXPECT_TRUE(SigbusGuard::TakePoisoned());
  const std::vector<std::string> flags = KernelFlags(missing);
  EXPECT_THAT(flags, Contains("dd"));
  EXPECT_THAT(flags, Contains("dc"));
}

}  // namespace
}  // namespace vduse
