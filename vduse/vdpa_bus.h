// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_VDPA_BUS_H_
#define VDUSE_NET_VDUSE_VDPA_BUS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace vduse {

// The kernel's vDPA bus over generic netlink: what `vdpa dev` of iproute2
// does.
//
// Attach and Detach return when the driver has bound or gone, that is after
// the device has answered several requests: never call them from the process
// that serves the device. If that process died with one of its threads in
// here, the device could never be opened again.
//
// The kernel has this netlink family in its initial network namespace alone.
// In another one all of them fail with FailedPrecondition, and say so.

// `vdpa dev add name NAME mgmtdev vduse`.
//   AlreadyExists: it is attached. NotFound: no VDUSE device of that name.
absl::Status AttachToBus(const std::string& name);

// `vdpa dev del NAME`, after its driver was unbound. That waits until nobody
// uses the device any more, a VMM for one. `vdpa dev del` by itself would wait
// so with locks held that others on the host need: those of the vDPA bus and of
// generic netlink.
//   NotFound: it is not attached.
absl::Status DetachFromBus(const std::string& name);

struct BusDevice {
  std::string name;
  uint32_t device_id = 0;
  uint32_t max_queues = 0;
  uint32_t max_queue_size = 0;
  std::string driver;  // virtio_vdpa, vhost_vdpa, or empty
};

// The attached devices, or the one called `name`.
absl::StatusOr<std::vector<BusDevice>> ListBus(
    const std::optional<std::string>& name);

// Whether it is attached, by sysfs. Never waits.
bool IsOnBus(const std::string& name);

// The type of a virtio device that virtio_vdpa has bound, by sysfs; nothing
// if that is not so. Never waits.
std::optional<uint32_t> VirtioTypeOf(const std::string& name);

// "/dev/vhost-vdpa-N" of an attached device; empty if vhost_vdpa has not bound
// it. Never waits.
std::string VhostDeviceOf(const std::string& name);

// Whether the kernel has VDUSE's management device on the bus.
absl::StatusOr<bool> HasVduseManagementDevice();

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_VDPA_BUS_H_
