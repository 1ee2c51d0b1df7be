// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_SESSION_H_
#define VDUSE_NET_VDUSE_SESSION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vduse/device.h"

namespace vduse {

// What a device does when the kernel asks. Called on the thread that serves
// the session. The kernel, often with locks of the host's network held, waits
// until the call returns: nothing here may wait for anything but the device's
// own workers.
class RequestHandler {
 public:
  virtual ~RequestHandler() = default;

  // The driver writes the device status (virtio 1.3, 2.1). An error refuses
  // the write and the driver will not see its bits set.
  virtual absl::Status OnStatus(uint8_t status) = 0;

  // Whoever wrote a status that was accepted was killed before the answer: the
  // kernel has kept the one from before.
  virtual void OnStatusLost(uint8_t status) = 0;

  // Translations of [first, last], both inclusive, in the address space
  // `asid` are no longer valid. No pointer into the range may be in use when
  // this returns.
  virtual void OnIotlbUpdate(uint32_t asid, uint64_t first, uint64_t last) = 0;

  // Index of the next available entry that the queue would take. An error
  // where there is no such queue.
  virtual absl::StatusOr<uint16_t> OnQueueState(uint32_t index) = 0;

  // The virtqueues of a group are to use another address space; returns the
  // one they used. An error where there is no such group or address space.
  virtual absl::StatusOr<uint32_t> OnGroupAsid(uint32_t group,
                                               uint32_t asid) = 0;

  // A virtqueue is about to become ready, as soon as this is answered; or to
  // stop, and then nothing of it may be in use when this returns. Cannot be
  // refused: the kernel would give the device up.
  virtual void OnQueueReady(uint32_t index, bool ready) = 0;

  // Nothing may be processed when this returns, nor be left for the driver to
  // be notified of, until it resets the device.
  virtual void OnSuspend() = 0;
};

// Reads and answers every request that waits.
//   Aborted: the device is broken for good; stop polling it.
absl::Status ServeRequests(Device& device, RequestHandler& handler);

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_SESSION_H_
