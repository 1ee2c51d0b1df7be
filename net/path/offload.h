// SPDX-License-Identifier: Apache-2.0
//
// Offloads: the checksums and segmentation that one side leaves to the other,
// as a packet's header says (virtio 1.3, 5.1.6.2 and 5.1.6.4).
#ifndef VDUSE_NET_NET_PATH_OFFLOAD_H_
#define VDUSE_NET_NET_PATH_OFFLOAD_H_

#include <cstdint>
#include <optional>

#include "net/wire/header.h"

namespace net {

// The header to hand on in place of the driver's header `theirs`, which
// precedes a frame of `frame_bytes`. Nothing if `theirs` asks for an offload
// that `features` lacks, or for one that makes no sense with such a frame. No
// field is trusted: hdr_len, which is only a hint, is corrected.
std::optional<VirtioNetHeader> TransmitHeader(const VirtioNetHeader& theirs,
                                              uint64_t frame_bytes,
                                              uint64_t features);

// The header that a driver which accepts `offloads` (a subset of
// kGuestOffloads) gets in place of the TAP's header `theirs`. Nothing if the
// driver must not get the packet.
std::optional<VirtioNetHeader> ReceiveHeader(const VirtioNetHeader& theirs,
                                             uint64_t frame_bytes,
                                             uint64_t offloads);

// The largest frame between the device and a driver that has negotiated
// `features`. `mtu` applies only with VIRTIO_NET_F_MTU (virtio 1.3, 5.1.4.1).
uint64_t FrameLimit(uint64_t features, uint16_t mtu);

// The size to compare with FrameLimit(): that of the frame, or of its largest
// segment if one side leaves segmentation to the other. `header` must come from
// TransmitHeader() or ReceiveHeader(). A TCP header counts without options.
uint64_t BytesOnWire(const VirtioNetHeader& header, uint64_t frame_bytes);

// The argument of TUNSETOFFLOAD for a driver that accepts `offloads`. An
// offload without the one it depends on is left out, because the kernel would
// refuse it.
unsigned TunOffloads(uint64_t offloads);

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_OFFLOAD_H_
