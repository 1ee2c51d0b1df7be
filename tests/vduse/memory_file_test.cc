// SPDX-License-Identifier: Apache-2.0
#include "vduse/memory_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <future>
#include <string>

#include "tests/vduse/scripted_device.h"
#include "tests/vduse/silent_fuse.h"
#include "vduse/iova_map.h"
#include "vduse/virtqueue.h"

namespace vduse {
namespace {

// A file outside tmpfs: this program's own, unless it was built on tmpfs.
base::UniqueFd FileOnDisk() {
  base::UniqueFd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  struct statfs system = {};
  if (fstatfs(file.get(), &system) != 0 || system.f_type == TMPFS_MAGIC) {
    file.Reset();
  }
  return file;
}

TEST(MemoryFileTest, MemfdIsMemory) {
  const base::UniqueFd file(memfd_create("memory", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(file.get(), 3 * kPage), 0);
  const auto judged = JudgeMemoryFile(file.get());
  ASSERT_TRUE(judged.ok()) << judged.status();
  EXPECT_EQ(judged->page_size, static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(judged->bytes, 3 * kPage);
  EXPECT_TRUE(judged->identified);
}

TEST(MemoryFileTest, AFileOfTmpfsIsMemory) {
  const base::UniqueFd file(
      open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  struct statfs system = {};
  if (!file || fstatfs(file.get(), &system) != 0 ||
      system.f_type != TMPFS_MAGIC) {
    GTEST_SKIP() << "no tmpfs at /dev/shm";
  }
  EXPECT_TRUE(JudgeMemoryFile(file.get()).ok());
}

TEST(MemoryFileTest, Row122_AFileOnADiskIsNot) {
  const base::UniqueFd file = FileOnDisk();
  if (!file) GTEST_SKIP() << "this program is on a tmpfs";
  const auto judged = JudgeMemoryFile(file.get());
  EXPECT_TRUE(absl::IsFailedPrecondition(judged.status()));
  EXPECT_NE(judged.status().message().find("_test"), std::string::npos)
      << judged.status();
}

TEST(MemoryFileTest, Row122_OtherFilesOfTheKernelAreNot) {
  const base::UniqueFd event(eventfd(0, EFD_CLOEXEC));
  EXPECT_TRUE(
      absl::IsFailedPrecondition(JudgeMemoryFile(event.get()).status()));
  const base::UniqueFd zero(open("/dev/zero", O_RDWR | O_CLOEXEC));
  EXPECT_TRUE(absl::IsFailedPrecondition(JudgeMemoryFile(zero.get()).status()));
}

// Neither checking nor refusing such a file may wait for FUSE's process.
TEST(MemoryFileTest, Row122_AFileOfFuseIsNotAndItsProcessIsNotWaitedFor) {
  SilentFuse fuse;
  if (fuse.file() < 0) GTEST_SKIP() << "FUSE cannot be mounted here";
  std::future<absl::Status> judged = std::async(std::launch::async, [&] {
    return JudgeMemoryFile(fuse.file()).status();
  });
  EXPECT_EQ(judged.wait_for(std::chrono::seconds(10)),
            std::future_status::ready);
  fuse.Abort();  // unblocks the check if it waits
  EXPECT_TRUE(absl::IsFailedPrecondition(judged.get()));
}

TEST(MemoryFileTest, Row122_MemoryInSuchAFileIsUnmappedAndTheReasonIsTold) {
  ScriptedDevice device;
  device.file = FileOnDisk();
  if (!device.file) GTEST_SKIP() << "this program is on a tmpfs";
  IovaMap map(device);
  EXPECT_EQ(map.Find(kBase, 1, Access::kRead).data, nullptr);
  EXPECT_NE(map.TakeFault().find("driver memory is in"), std::string::npos);
  EXPECT_EQ(map.TakeFault(), "");
  EXPECT_EQ(map.region_count(), 0U);
}

TEST(MemoryFileTest, Row122_AQueueWithRingsInSuchAFileIsRefused) {
  ScriptedDevice device;
  device.file = FileOnDisk();
  if (!device.file) GTEST_SKIP() << "this program is on a tmpfs";
  IovaMap map(device);
  const auto queue = Virtqueue::Create({.size = 16,
                                        .desc_addr = kBase,
                                        .driver_addr = kBase + 256,
                                        .device_addr = kBase + 512},
                                       {}, Virtqueue::Start::kFresh, map);
  EXPECT_TRUE(absl::IsFailedPrecondition(queue.status())) << queue.status();
}

// Whether this process has a mapping of a file called `name`.
bool HasMappingOf(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(name) != std::string::npos) return true;
  }
  return false;
}

TEST(MappingTest, AChildHasNoneOfTheDriversMemory) {
  ScriptedDevice device;
  device.file = base::UniqueFd(memfd_create("not-for-children", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(device.file.get(), kPage), 0);
  IovaMap map(device);
  ASSERT_NE(map.Find(kBase, 1, Access::kWrite).data, nullptr);
  ASSERT_TRUE(HasMappingOf("not-for-children"));
  const pid_t child = fork();
  if (child == 0) _exit(HasMappingOf("not-for-children") ? 1 : 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace vduse
