// SPDX-License-Identifier: Apache-2.0
//
// Messages of fixed size, with descriptors, over a socket of the type
// SOCK_SEQPACKET between two processes of this program.
#ifndef VDUSE_NET_DAEMON_FD_MESSAGE_H_
#define VDUSE_NET_DAEMON_FD_MESSAGE_H_

#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "net/wire/config_space.h"

namespace program {

// The most descriptors that a message has: those of the driver's kicks.
inline constexpr size_t kMaxMessageFds = 2 * net::kMaxQueuePairs + 1;

// The two ends of a new connection.
struct SocketPair {
  base::UniqueFd ours;
  base::UniqueFd theirs;
};
absl::StatusOr<SocketPair> MakeSocketPair();

// Whether sending may wait until the other process has read something.
enum class IfFull { kWait, kFail };

// Sends `message` with copies of `fds`. False if the other end is closed, or if
// its queue is full and `if_full` is kFail.
bool SendMessage(int socket, std::span<const std::byte> message,
                 std::span<const int> fds, IfFull if_full);

// Whether receiving waits for a message.
enum class IfEmpty { kWait, kFail };

// Receives a message of exactly the size of `message`, and returns its
// descriptors.
//   Unavailable: the other end is closed.
//   ResourceExhausted: a message came, but this process cannot open all of its
//     descriptors.
//   NotFound: there is no message, and `if_empty` is kFail.
absl::StatusOr<std::vector<base::UniqueFd>> ReceiveMessage(
    int socket, std::span<std::byte> message, IfEmpty if_empty);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_FD_MESSAGE_H_
