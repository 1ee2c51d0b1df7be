// SPDX-License-Identifier: Apache-2.0
//
// Reads packets from a capture, by libpcap.
#ifndef VDUSE_NET_SIMULATE_CAPTURE_H_
#define VDUSE_NET_SIMULATE_CAPTURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "simulate/arrivals.h"

namespace simulate {

// Selects packets of a capture. The default selects all.
struct CaptureFilter {
  std::string expression = {};  // pcap-filter(7), like "udp port 53"
  std::string from = {};        // MAC addresses, like "52:54:00:12:34:56"
  std::string to = {};
};

struct Capture {
  Arrivals arrivals;
  uint64_t packets = 0;               // in the capture, before the filter
  std::vector<std::string> warnings;  // about its timestamps and its end
};

// Reads a capture file, or standard input if `path` is "-": pcap or pcapng,
// with timestamps in microseconds or nanoseconds. The content is not trusted.
// If the capture is truncated, its incomplete end is left out, with a warning.
//   InvalidArgument: not a capture, compressed or damaged, without a selected
//     packet, or the filter is wrong.
//   Other errors: the file cannot be opened or read.
absl::StatusOr<Capture> ReadCapture(const std::string& path,
                                    const CaptureFilter& filter);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_CAPTURE_H_
