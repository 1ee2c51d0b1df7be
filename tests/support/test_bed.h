// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SUPPORT_TEST_BED_H_
#define VDUSE_NET_TESTS_SUPPORT_TEST_BED_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "tests/support/fake_device.h"
#include "tests/support/fake_driver.h"
#include "vduse/iova_map.h"
#include "vduse/virtqueue.h"

namespace tests {

// Both sides of one virtqueue, and the memory between them. The device's side,
// `queue`, is fresh and sees DriverMemory as one region.
struct TestBed {
  struct Options {
    uint32_t size = 8;
    uint16_t base = 0;
    bool event_idx = false;
    bool indirect = true;  // negotiated
  };

  explicit TestBed(Options options)
      : memory(device),
        driver(device, memory,
               {.index = 0,
                .size = options.size,
                .base = options.base,
                .event_idx = options.event_idx}),
        map(device),
        features{.event_idx = options.event_idx, .indirect = options.indirect},
        queue(Create(vduse::Virtqueue::Start::kFresh).value()) {}

  // Creates another device side on the same rings.
  absl::StatusOr<vduse::Virtqueue> Create(vduse::Virtqueue::Start start) {
    return vduse::Virtqueue::Create(driver.info(), features, start, map);
  }

  FakeDevice device;
  DriverMemory memory;
  DriverQueue driver;
  vduse::IovaMap map;
  vduse::Virtqueue::Features features;
  vduse::Virtqueue queue;
};

}  // namespace tests

#endif  // VDUSE_NET_TESTS_SUPPORT_TEST_BED_H_
