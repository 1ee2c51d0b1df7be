// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_LOG_OUTPUT_H_
#define VDUSE_NET_BASE_LOG_OUTPUT_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/unique_fd.h"

namespace base {

// Writes lines to a descriptor that somebody else reads: a pipe, a socket, a
// terminal or a file. Never waits: a line that cannot be written at once is
// lost. Lost lines are counted, and the next line that can be written says
// how many there were.
//
// The descriptor's O_NONBLOCK flag belongs to everybody who shares the open
// file, so it is left alone. Whoever uses this ignores SIGPIPE and SIGXFSZ.
//
// Any thread.
class LogOutput {
 public:
  // A longer line is cut.
  static constexpr size_t kMaxLineBytes = 2048;

  // `fd` stays the caller's, and open.
  explicit LogOutput(int fd);
  LogOutput(const LogOutput&) = delete;
  LogOutput& operator=(const LogOutput&) = delete;

  // Writes a line; its end is added here.
  void WriteLine(std::string_view line);

  // A descriptor of its own that this keeps open, or -1.
  int own_fd() const { return own_.get(); }

 private:
  enum class Method {
    kWrite,  // never waits by itself
    kSend,   // a socket: a flag of the call says not to wait
    kPoll,   // could not be opened again: looked at before each write
  };

  // Bytes written, or -1.
  int64_t Put(std::string_view text);
  int64_t PutIfReady(std::string_view text);

  int fd_;
  UniqueFd own_;
  Method method_ = Method::kWrite;
  std::atomic<uint64_t> lost_ = 0;
  std::atomic<bool> cut_ = false;  // the last line lacks its end
  std::atomic_flag busy_;          // kPoll
};

}  // namespace base

#endif  // VDUSE_NET_BASE_LOG_OUTPUT_H_
