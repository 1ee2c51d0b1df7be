// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_VDUSE_SCRIPTED_DEVICE_H_
#define VDUSE_NET_TESTS_VDUSE_SCRIPTED_DEVICE_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "tests/support/fake_device.h"

namespace vduse {

// Where tests put the driver's memory, and the size of its pages.
inline constexpr uint64_t kBase = 0x100000;
inline constexpr uint64_t kPage = 4096;

// Answers every look-up with the region that the test has set.
class ScriptedDevice : public tests::FakeDevice {
 public:
  absl::StatusOr<IotlbRegion> LookupIotlb(uint32_t, uint64_t) override {
    return IotlbRegion{.fd = base::UniqueFd(dup(file.get())),
                       .offset = offset,
                       .start = start,
                       .last = last,
                       .readable = true,
                       .writable = true};
  }
  base::UniqueFd file{memfd_create("one page", MFD_CLOEXEC)};
  uint64_t offset = 0;
  uint64_t start = 0x100000;
  uint64_t last = 0x100fff;
};

}  // namespace vduse

#endif  // VDUSE_NET_TESTS_VDUSE_SCRIPTED_DEVICE_H_
