// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_VDUSE_SILENT_FUSE_H_
#define VDUSE_NET_TESTS_VDUSE_SILENT_FUSE_H_

#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>

#include "base/unique_fd.h"

namespace vduse {

// A FUSE file system with one file. It lets the file be opened and then stops
// answering: any other request waits until Abort().
class SilentFuse {
 public:
  SilentFuse() {
    if (mkdtemp(directory_.data()) == nullptr) return;
    fuse_ = base::UniqueFd(open("/dev/fuse", O_RDWR | O_CLOEXEC));
    if (!fuse_) return;
    const std::string options =
        "fd=" + std::to_string(fuse_.get()) +
        ",rootmode=40000,user_id=0,group_id=0,allow_other";
    mounted_ = mount("silent", directory_.c_str(), "fuse", MS_NOSUID | MS_NODEV,
                     options.c_str()) == 0;
    if (!mounted_) return;
    server_ = std::thread([this] { Serve(); });
    file_ = base::UniqueFd(
        open((directory_ + "/file").c_str(), O_RDWR | O_CLOEXEC));
    server_.join();
  }
  ~SilentFuse() {
    Abort();
    if (mounted_) umount2(directory_.c_str(), MNT_DETACH);
    rmdir(directory_.c_str());
  }

  // The open file, or -1 if mounting is not permitted here.
  int file() const { return file_.get(); }

  // Fails all requests that wait.
  void Abort() { fuse_.Reset(); }

 private:
  // Answers requests until the file is open.
  void Serve() {
    std::array<char, 1 << 17> buffer;
    for (;;) {
      const ssize_t n = read(fuse_.get(), buffer.data(), buffer.size());
      fuse_in_header in;
      if (n < static_cast<ssize_t>(sizeof(in))) return;
      std::memcpy(&in, buffer.data(), sizeof(in));
      if (in.opcode == FUSE_INIT) {
        fuse_init_out out = {};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = FUSE_KERNEL_MINOR_VERSION;
        out.max_write = 4096;
        Answer(in, out);
      } else if (in.opcode == FUSE_LOOKUP) {
        fuse_entry_out out = {};
        out.nodeid = 2;
        out.attr.ino = 2;
        out.attr.mode = S_IFREG | 0666;
        out.attr.nlink = 1;
        out.attr.size = 4096;
        Answer(in, out);
      } else if (in.opcode == FUSE_OPEN) {
        Answer(in, fuse_open_out{});
        return;
      }
    }
  }
  template <typename T>
  void Answer(const fuse_in_header& in, const T& out) {
    fuse_out_header header = {};
    header.len = sizeof(header) + sizeof(out);
    header.unique = in.unique;
    std::array<char, sizeof(header) + sizeof(out)> bytes;
    std::memcpy(bytes.data(), &header, sizeof(header));
    std::memcpy(bytes.data() + sizeof(header), &out, sizeof(out));
    [[maybe_unused]] ssize_t n = write(fuse_.get(), bytes.data(), bytes.size());
  }

  std::string directory_ = "/tmp/vduse-net-fuse.XXXXXX";
  base::UniqueFd fuse_;
  base::UniqueFd file_;
  bool mounted_ = false;
  std::thread server_;
};

}  // namespace vduse

#endif  // VDUSE_NET_TESTS_VDUSE_SILENT_FUSE_H_
