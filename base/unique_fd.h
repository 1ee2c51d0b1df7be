// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_UNIQUE_FD_H_
#define VDUSE_NET_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace base {

// Owns a file descriptor and closes it. Empty when `get()` is -1.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void Reset() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

}  // namespace base

#endif  // VDUSE_NET_BASE_UNIQUE_FD_H_
