// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_SESSION_H_
#define VDUSE_NET_VDUSE_SESSION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vduse/device.h"

namespace vduse {

// What a device does on the kernel's requests. Called on the thread that serves
// the session. The kernel waits until the call returns, often with network
// locks of the host held. Therefore a call must not wait for anything but the
// device's own workers.
class RequestHandler {
 public:
  virtual ~RequestHandler() = default;

  // The driver writes the device status (virtio 1.3, 2.1). An error refuses the
  // write, and the driver does not see its bits set.
  virtual absl::Status OnStatus(uint8_t status) = 0;

  // The device has accepted the write of `status`, but the process that wrote
  // it was killed before it got the answer. The kernel has kept the previous
  // status.
  virtual void OnStatusLost(uint8_t status) = 0;

  // Translations of [first, last], both inclusive, in the address space `asid`
  // are no longer valid. No pointer into the range may be in use when this
  // returns.
  virtual void OnIotlbUpdate(uint32_t asid, uint64_t first, uint64_t last) = 0;

  // Returns the queue's position, or an error if there is no such queue.
  virtual absl::StatusOr<QueuePosition> OnQueueState(uint32_t index) = 0;

  // The virtqueues of a group are to use another address space. Returns the one
  // that they used before, or an error if there is no such group or address
  // space.
  virtual absl::StatusOr<uint32_t> OnGroupAsid(uint32_t group,
                                               uint32_t asid) = 0;

  // With `ready`, the virtqueue becomes ready as soon as this is answered.
  // Otherwise it stops, and nothing of it may be in use when this returns. This
  // cannot be refused: the kernel would mark the device broken.
  virtual void OnQueueReady(uint32_t index, bool ready) = 0;

  // When this returns, the device must process nothing and owe the driver no
  // notification, until the driver resets it.
  virtual void OnSuspend() = 0;
};

// Reads and answers all requests that wait.
//   Aborted: the device is broken for good; stop polling it.
absl::Status ServeRequests(Device& device, RequestHandler& handler);

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_SESSION_H_
