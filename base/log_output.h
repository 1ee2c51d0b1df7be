// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_LOG_OUTPUT_H_
#define VDUSE_NET_BASE_LOG_OUTPUT_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/unique_fd.h"

namespace base {

// Writes lines to a descriptor that another process may read: a pipe, a socket,
// a terminal or a file. Never blocks: a line that cannot be written at once is
// lost. Lost lines are counted, and the next line that can be written is
// preceded by their number.
//
// O_NONBLOCK belongs to the open file, which other processes may share, so the
// descriptor's flags are not changed. The program must ignore SIGPIPE and
// SIGXFSZ.
//
// Any thread.
class LogOutput {
 public:
  // Longer lines are truncated.
  static constexpr size_t kMaxLineBytes = 2048;

  // `fd` stays the caller's and must stay open.
  explicit LogOutput(int fd);
  LogOutput(const LogOutput&) = delete;
  LogOutput& operator=(const LogOutput&) = delete;

  // Writes a line; `line` does not end in a newline, which is added here.
  void WriteLine(std::string_view line);

  // The descriptor that this object opened and keeps open, or -1.
  int own_fd() const { return own_.get(); }

 private:
  enum class Method {
    kWrite,  // write() on a file that does not block
    kSend,   // a socket: send() with MSG_DONTWAIT
    kPoll,   // the file could not be reopened: poll() before each write
  };

  // Return the number of bytes written, or -1.
  int64_t Put(std::string_view text);
  int64_t PutIfReady(std::string_view text);

  int fd_;
  UniqueFd own_;
  Method method_ = Method::kWrite;
  std::atomic<uint64_t> lost_ = 0;
  std::atomic<bool> cut_ = false;  // the last line lacks its newline
  std::atomic_flag busy_;          // a thread is writing (kPoll)
};

}  // namespace base

#endif  // VDUSE_NET_BASE_LOG_OUTPUT_H_
