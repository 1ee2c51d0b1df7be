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

// The kernel's vDPA bus over generic netlink: what `vdpa dev` of iproute2 does.
//
// AttachToBus and DetachFromBus return when the driver is bound or gone, that
// is, after the device has answered several requests. Never call them from the
// process that serves the device: if that process died while one of its threads
// was in here, the device could never be opened again.
//
// The kernel has this netlink family in its initial network namespace only. In
// another namespace the calls that use netlink fail with FailedPrecondition,
// and the message says so.

// `vdpa dev add name NAME mgmtdev vduse`.
//   AlreadyExists: it is attached. NotFound: no VDUSE device of that name.
absl::Status AttachToBus(const std::string& name);

// `vdpa dev del NAME`, after unbinding its driver. Unbinding waits until nobody
// uses the device any more, for example a VMM. `vdpa dev del` alone would wait
// in the same way, but holding locks that other users of the host need: those
// of the vDPA bus and of generic netlink.
//   NotFound: it is not attached.
absl::Status DetachFromBus(const std::string& name);

struct BusDevice {
  std::string name;
  uint32_t device_id = 0;
  uint32_t max_queues = 0;
  uint32_t max_queue_size = 0;
  std::string driver;  // virtio_vdpa, vhost_vdpa, or empty
};

// Returns the attached devices, or only the one called `name`.
absl::StatusOr<std::vector<BusDevice>> ListBus(
    const std::optional<std::string>& name);

// Whether the device is attached, according to sysfs. Never waits.
bool IsOnBus(const std::string& name);

// The type of the virtio device that virtio_vdpa has bound, according to sysfs;
// nothing if it has bound none. Never waits.
std::optional<uint32_t> VirtioTypeOf(const std::string& name);

// "/dev/vhost-vdpa-N" of an attached device; empty if vhost_vdpa has not bound
// it. Never waits.
std::string VhostDeviceOf(const std::string& name);

// Whether the kernel has VDUSE's management device on the bus.
absl::StatusOr<bool> HasVduseManagementDevice();

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_VDPA_BUS_H_
