// SPDX-License-Identifier: Apache-2.0
//
// What one side leaves for the other to do on a packet: checksums and
// segmentation, as its header says (virtio 1.3, 5.1.6.2 and 5.1.6.4).
#ifndef VDUSE_NET_NET_PATH_OFFLOAD_H_
#define VDUSE_NET_NET_PATH_OFFLOAD_H_

#include <cstdint>
#include <optional>

#include "net/wire/header.h"

namespace net {

// What is handed on for a driver's header `theirs` before a frame of
// `frame_bytes`. Nothing if it asks for what `features` do not have, or for
// what makes no sense with such a frame. Nothing in it is taken on trust:
// hdr_len, a mere hint, is put right.
std::optional<VirtioNetHeader> TransmitHeader(const VirtioNetHeader& theirs,
                                              uint64_t frame_bytes,
                                              uint64_t features);

// What a driver that accepts `offloads` (of kGuestOffloads) gets for a header
// of the TAP's. Nothing if it must not get the packet.
std::optional<VirtioNetHeader> ReceiveHeader(const VirtioNetHeader& theirs,
                                             uint64_t frame_bytes,
                                             uint64_t offloads);

// The largest frame between the device and a driver that has negotiated
// `features`: only with VIRTIO_NET_F_MTU does `mtu` bind (virtio 1.3, 5.1.4.1).
uint64_t FrameLimit(uint64_t features, uint16_t mtu);

// What that limit is compared with: the frame, or its largest segment where one
// side leaves segmentation to the other. `header` is one that the functions
// above made. A TCP header counts without options.
uint64_t BytesOnWire(const VirtioNetHeader& header, uint64_t frame_bytes);

// The argument of TUNSETOFFLOAD for a driver that accepts `offloads`: what
// makes no sense without another is left out, as the kernel would refuse it.
unsigned TunOffloads(uint64_t offloads);

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_OFFLOAD_H_
