// SPDX-License-Identifier: Apache-2.0
//
// Packets of a capture, which libpcap reads.
#ifndef VDUSE_NET_SIMULATE_CAPTURE_H_
#define VDUSE_NET_SIMULATE_CAPTURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "simulate/arrivals.h"

namespace simulate {

// Which packets of a capture count: all of them, unless more is said.
struct CaptureFilter {
  std::string expression = {};  // of pcap-filter(7), like "udp port 53"
  std::string from = {};        // MAC addresses, like "52:54:00:12:34:56"
  std::string to = {};
};

struct Capture {
  Arrivals arrivals;
  uint64_t packets = 0;               // that the filter was applied to
  std::vector<std::string> warnings;  // about its times and its end
};

// Reads a capture file, or standard input if `path` is "-": pcap or pcapng, in
// micro- or nanoseconds. Its content is not to be trusted. What is cut short
// at its end is left out, with a warning.
//   InvalidArgument: it is no capture, is compressed or damaged, has no packet
//     that counts, or the filter is wrong.
//   else: it cannot be opened.
absl::StatusOr<Capture> ReadCapture(const std::string& path,
                                    const CaptureFilter& filter);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_CAPTURE_H_
