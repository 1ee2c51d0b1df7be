// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_STATUS_TEXT_H_
#define VDUSE_NET_BASE_STATUS_TEXT_H_

#include <string>

#include "absl/status/status.h"

namespace base {

// The message of a status, for the log.
inline std::string Text(const absl::Status& status) {
  return std::string(status.message());
}

}  // namespace base

#endif  // VDUSE_NET_BASE_STATUS_TEXT_H_
