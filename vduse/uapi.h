// SPDX-License-Identifier: Apache-2.0
//
// The VDUSE kernel interface: the host's own header, and what newer kernels
// added to it. The new structures are defined here, so that one program, built
// on any host, serves all kernels.
#ifndef VDUSE_NET_VDUSE_UAPI_H_
#define VDUSE_NET_VDUSE_UAPI_H_

#include <linux/ioctl.h>
#include <linux/vduse.h>
#include <linux/virtio_config.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace vduse {

// Linux 7.3: features of the kernel's VDUSE itself, read and acknowledged on
// the control device.
inline constexpr unsigned long kGetKernelFeatures =
    _IOR(VDUSE_BASE, 0x04, uint64_t);
inline constexpr unsigned long kSetKernelFeatures =
    _IOW(VDUSE_BASE, 0x05, uint64_t);
inline constexpr unsigned kKernelFeatureQueueReady = 0;
inline constexpr unsigned kKernelFeatureSuspend = 1;

// Linux 7.0, API version 1: virtqueues belong to groups, and each group uses
// one of the device's address spaces.
inline constexpr uint64_t kApiVersionGroups = 1;

// vduse_dev_config without the configuration space that follows it.
struct RawDeviceConfig {
  char name[VDUSE_NAME_MAX];
  uint32_t vendor_id;
  uint32_t device_id;
  uint64_t features;
  uint32_t vq_num;
  uint32_t vq_align;
  uint32_t ngroups;  // version 1; 0 before
  uint32_t nas;      // version 1; 0 before
  uint32_t reserved[11];
  uint32_t config_size;
};

// vduse_vq_config.
struct RawQueueConfig {
  uint32_t index;
  uint16_t max_size;
  uint16_t reserved1;
  uint32_t group;  // version 1; 0 before
  uint16_t reserved2[10];
};

// vduse_iotlb_entry_v2.
struct RawIotlbEntry {
  uint64_t offset;
  uint64_t start;
  uint64_t last;
  uint8_t perm;
  uint8_t padding[7];
  uint32_t asid;
  uint32_t reserved[11];
};
inline constexpr unsigned long kIotlbGetFd2 =
    _IOWR(VDUSE_BASE, 0x1b, RawIotlbEntry);

// Requests newer than VDUSE_UPDATE_IOTLB, and their payloads.
inline constexpr uint32_t kRequestSetGroupAsid = 3;  // version 1
inline constexpr uint32_t kRequestSetQueueReady = 4;
inline constexpr uint32_t kRequestSuspend = 5;

// The payload of VDUSE_UPDATE_IOTLB. The address space is 0 before version 1:
// those kernels send zeros in the rest of a request.
struct RawIovaRange {
  uint64_t start;
  uint64_t last;
  uint32_t asid;
  uint32_t padding;
};
struct RawGroupAsid {
  uint32_t group;
  uint32_t asid;
};
struct RawQueueReady {
  uint32_t index;
  uint32_t ready;
};

// Reads the payload of a request. SetPayload() writes it (for tests).
template <typename T>
T PayloadOf(const vduse_dev_request& request) {
  static_assert(sizeof(T) <= sizeof(request.padding));
  T payload;
  std::memcpy(&payload, request.padding, sizeof(payload));
  return payload;
}
template <typename T>
void SetPayload(vduse_dev_request& request, const T& payload) {
  static_assert(sizeof(T) <= sizeof(request.padding));
  std::memcpy(request.padding, &payload, sizeof(payload));
}

static_assert(kGetKernelFeatures == 0x80088104);
static_assert(kSetKernelFeatures == 0x40088105);
static_assert(VDUSE_CREATE_DEV == 0x41508102);
static_assert(VDUSE_DESTROY_DEV == 0x41008103);
static_assert(VDUSE_IOTLB_GET_FD == 0xc0208110);
static_assert(VDUSE_VQ_GET_INFO == 0xc0308115);
static_assert(VDUSE_VQ_INJECT_IRQ == 0x40048117);
static_assert(sizeof(vduse_dev_request) == 152);
static_assert(sizeof(vduse_dev_response) == 152);
static_assert(sizeof(vduse_dev_config) == 336);
static_assert(sizeof(RawDeviceConfig) == sizeof(vduse_dev_config));
static_assert(offsetof(RawDeviceConfig, config_size) ==
              offsetof(vduse_dev_config, config_size));
static_assert(sizeof(RawQueueConfig) == sizeof(vduse_vq_config));
static_assert(offsetof(RawIotlbEntry, perm) ==
              offsetof(vduse_iotlb_entry, perm));
static_assert(kIotlbGetFd2 == 0xc050811b);

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_UAPI_H_
