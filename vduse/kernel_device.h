// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_KERNEL_DEVICE_H_
#define VDUSE_NET_VDUSE_KERNEL_DEVICE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "vduse/device.h"

namespace vduse {

// The properties that a device is created with.
struct DeviceConfig {
  std::string name;
  uint32_t device_id = 0;   // virtio device type
  uint64_t features = 0;    // offered
  uint16_t queue_size = 0;  // the largest size, for every queue
  uint32_t queue_count = 0;
  // Groups of virtqueues, and address spaces that a group may use. An API
  // version without groups has one of each.
  uint32_t groups = 1;
  uint32_t address_spaces = 1;
  std::vector<uint8_t> config_space;
};

// The file of the device `name`, whether it exists or not.
std::string DevicePath(const std::string& name);

// /dev/vduse/control: creates and destroys devices. One thread.
class ControlDevice {
 public:
  // Opens the control device, negotiates the API version, and enables all VDUSE
  // features that both the kernel and this program know.
  //   NotFound, PermissionDenied: the message says what to do.
  static absl::StatusOr<ControlDevice> Open();

  // The API version in use: the newest that both sides know.
  uint64_t api_version() const { return api_version_; }

  // The kernel's own VDUSE features (kKernelFeature*) that devices created here
  // have; 0 before Linux 7.3.
  uint64_t kernel_features() const { return kernel_features_; }

  // Whether virtqueues can be in different groups.
  bool has_groups() const { return api_version_ >= kApiVersionGroups; }

  //   AlreadyExists: a device of that name exists.
  //   InvalidArgument: the kernel refuses this combination of features.
  absl::Status Create(const DeviceConfig& config);

  //   FailedPrecondition: the device is attached, or a process has it open.
  absl::Status Destroy(const std::string& name);

 private:
  ControlDevice() = default;

  base::UniqueFd fd_;
  uint64_t api_version_ = 0;
  uint64_t kernel_features_ = 0;
};

// A device of the kernel, /dev/vduse/NAME. Any thread.
class KernelDevice final : public Device {
 public:
  // The device's descriptor gets a number of at least kLowestFd, so that it is
  // released before lower-numbered ones when the process is killed: the kernel
  // closes descriptors upwards, but defers each last release to task work,
  // which runs last in, first out. A TAP's must be released after it: that may
  // wait for a lock that is held until the device is served again.
  static constexpr int kLowestFd = 200;

  //   NotFound: no such device.
  //   FailedPrecondition: another process serves it.
  static absl::StatusOr<std::unique_ptr<KernelDevice>> Open(
      const std::string& name);

  // Returns a device that is not open yet, of a kind that has `queue_count`
  // virtqueues. Calls fail until Take().
  static std::unique_ptr<KernelDevice> Unopened(uint32_t queue_count);

  // Takes over the descriptor of the device, which another process has opened.
  // Call it before another thread uses the device.
  absl::Status Take(base::UniqueFd fd);

  // Call before the device is attached to the vDPA bus. `group` must be 0 if
  // the control device has no groups.
  absl::Status SetupQueue(uint32_t index, uint16_t max_size, uint32_t group);

  uint32_t queue_count() const override { return queue_count_; }
  int poll_fd() const override { return fd_.get(); }
  absl::StatusOr<uint64_t> NegotiatedFeatures() override;
  absl::StatusOr<QueueInfo> GetQueueInfo(uint32_t index) override;
  absl::Status SetKick(uint32_t index, int fd) override;
  InjectResult Inject(uint32_t index) override;
  absl::Status SetConfig(uint32_t offset,
                         std::span<const uint8_t> bytes) override;
  InjectResult InjectConfig() override;
  absl::StatusOr<IotlbRegion> LookupIotlb(uint32_t asid,
                                          uint64_t iova) override;
  absl::StatusOr<std::optional<vduse_dev_request>> ReadRequest() override;
  absl::Status Reply(const vduse_dev_response& response) override;

 private:
  KernelDevice() = default;

  base::UniqueFd fd_;
  uint32_t queue_count_ = 0;
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_KERNEL_DEVICE_H_
