// SPDX-License-Identifier: Apache-2.0
//
// The VDUSE kernel interface: the host's own header, plus what newer kernels
// added after it.
#ifndef VDUSE_NET_VDUSE_UAPI_H_
#define VDUSE_NET_VDUSE_UAPI_H_

#include <linux/ioctl.h>
#include <linux/vduse.h>
#include <linux/virtio_config.h>

#include <cstdint>

namespace vduse {

// Linux 7.3: what the kernel's VDUSE itself can do, asked and acknowledged on
// the control device.
inline constexpr unsigned long kGetKernelFeatures =
    _IOR(VDUSE_BASE, 0x04, uint64_t);
inline constexpr unsigned long kSetKernelFeatures =
    _IOW(VDUSE_BASE, 0x05, uint64_t);
inline constexpr unsigned kKernelFeatureQueueReady = 0;
inline constexpr unsigned kKernelFeatureSuspend = 1;

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

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_UAPI_H_
