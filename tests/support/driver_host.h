// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SUPPORT_DRIVER_HOST_H_
#define VDUSE_NET_TESTS_SUPPORT_DRIVER_HOST_H_

#include <cstdint>
#include <vector>

#include "vduse/device.h"

namespace tests {

// What connects a driver's queues to the device: a fake kernel or the real one.
class DriverHost {
 public:
  virtual ~DriverHost() = default;

  // Tells the device where a queue's rings are.
  virtual void SetQueue(uint32_t index, const vduse::QueueInfo& info) = 0;

  virtual void Kick(uint32_t index) = 0;

  // Reads the driver's memory in address space 0, across regions. Fails the
  // test if no memory is there.
  virtual std::vector<uint8_t> Peek(uint64_t iova, uint64_t size) = 0;
};

}  // namespace tests

#endif  // VDUSE_NET_TESTS_SUPPORT_DRIVER_HOST_H_
