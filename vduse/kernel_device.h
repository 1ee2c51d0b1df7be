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

// What a device is created with.
struct DeviceConfig {
  std::string name;
  uint32_t device_id = 0;   // virtio device type
  uint64_t features = 0;    // offered
  uint16_t queue_size = 0;  // largest, for every queue
  uint32_t queue_count = 0;
  // Of virtqueues, and address spaces that a group may be given. Where the
  // API version knows none there is one of each.
  uint32_t groups = 1;
  uint32_t address_spaces = 1;
  std::vector<uint8_t> config_space;
};

// /dev/vduse/control: makes and destroys devices. One thread.
class ControlDevice {
 public:
  // Opens the control device, agrees on the API version and takes all that
  // the kernel has of the features below.
  //   NotFound, PermissionDenied: with what to do about it.
  static absl::StatusOr<ControlDevice> Open();

  // The API version in use: the newest that both sides know.
  uint64_t api_version() const { return api_version_; }

  // The kernel's own VDUSE features (kKernelFeature*) that devices made here
  // have; 0 before Linux 7.3.
  uint64_t kernel_features() const { return kernel_features_; }

  // Whether virtqueues can be in different groups.
  bool has_groups() const { return api_version_ >= kApiVersionGroups; }

  //   AlreadyExists: there is a device of that name.
  //   InvalidArgument: the kernel refuses this combination of features.
  absl::Status Create(const DeviceConfig& config);

  //   FailedPrecondition: the device is attached or somebody has it open.
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
  // File descriptors below this number are closed later than the device's
  // when a process is killed. A TAP's must be: closing one may wait for a
  // lock that is held until the device is served again.
  static constexpr int kLowestFd = 200;

  //   NotFound: no such device.
  //   FailedPrecondition: another process serves it.
  static absl::StatusOr<std::unique_ptr<KernelDevice>> Open(
      const std::string& name);

  // Before the device is attached to the vDPA bus. `group` must be 0 where
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
  explicit KernelDevice(base::UniqueFd fd) : fd_(std::move(fd)) {}

  base::UniqueFd fd_;
  uint32_t queue_count_ = 0;
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_KERNEL_DEVICE_H_
