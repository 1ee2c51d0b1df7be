// SPDX-License-Identifier: Apache-2.0
//
// The interface between this program and the kernel's VDUSE. The code above it
// runs unchanged on the real device and on the tests' fake device.
#ifndef VDUSE_NET_VDUSE_DEVICE_H_
#define VDUSE_NET_VDUSE_DEVICE_H_

#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "vduse/queue_position.h"
#include "vduse/region_cache.h"
#include "vduse/uapi.h"

namespace vduse {

// Where the driver put a virtqueue, in its own (IO virtual) addresses. None of
// these values has been checked: all come from the driver.
struct QueueInfo {
  uint32_t size = 0;         // entries
  uint64_t desc_addr = 0;    // descriptor area
  uint64_t driver_addr = 0;  // available ring
  uint64_t device_addr = 0;  // used ring
  QueuePosition position{};  // where the device starts
  bool ready = false;
};

// One region of IO virtual memory: bytes [start, last] of the driver's address
// space are in `fd`, from `offset` on.
struct IotlbRegion {
  base::UniqueFd fd;
  uint64_t offset = 0;
  uint64_t start = 0;
  uint64_t last = 0;  // inclusive
  bool readable = false;
  bool writable = false;
};

// The result of a request to notify the driver.
enum class InjectResult {
  kDelivered,
  kNotYet,  // the driver's DRIVER_OK is not in force yet: try again later
  kBroken,  // the kernel has marked the device broken
};

// A VDUSE device that exists in the kernel. Every call may be made from any
// thread; none blocks on the driver.
class Device {
 public:
  Device() : regions_(*this) {}
  virtual ~Device() = default;

  // The mapped regions of the driver's memory, shared by the device's IovaMaps.
  RegionCache& regions() { return regions_; }

  // The number of virtqueues that the device was created with.
  virtual uint32_t queue_count() const = 0;

  // Readable while a request waits; raises POLLERR once the device is broken.
  virtual int poll_fd() const = 0;

  // The features that the driver accepted; valid from FEATURES_OK on, and 0
  // before.
  virtual absl::StatusOr<uint64_t> NegotiatedFeatures() = 0;

  virtual absl::StatusOr<QueueInfo> GetQueueInfo(uint32_t index) = 0;

  // Directs the driver's kicks of a queue to an eventfd. With -1 they go
  // nowhere, and the kernel remembers one kick.
  virtual absl::Status SetKick(uint32_t index, int fd) = 0;

  // Sends a used buffer notification.
  virtual InjectResult Inject(uint32_t index) = 0;

  // Changes bytes of the configuration space. InjectConfig() tells the driver
  // about it.
  virtual absl::Status SetConfig(uint32_t offset,
                                 std::span<const uint8_t> bytes) = 0;
  virtual InjectResult InjectConfig() = 0;

  // Returns the region that holds `iova` in the address space `asid`.
  //   NotFound: the driver mapped nothing there.
  //   Other errors come from the kernel and may be temporary.
  virtual absl::StatusOr<IotlbRegion> LookupIotlb(uint32_t asid,
                                                  uint64_t iova) = 0;

  // Returns the kernel's next request, or nothing if none waits.
  virtual absl::StatusOr<std::optional<vduse_dev_request>> ReadRequest() = 0;

  // Answers a request.
  //   NotFound: the process that caused the request has gone.
  virtual absl::Status Reply(const vduse_dev_response& response) = 0;

 private:
  RegionCache regions_;
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_DEVICE_H_
