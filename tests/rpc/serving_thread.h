// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_RPC_SERVING_THREAD_H_
#define VDUSE_NET_TESTS_RPC_SERVING_THREAD_H_

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "rpc/varlink_server.h"

namespace rpc {

// Serves an interface at a path on a thread of its own until it is stopped.
class ServingThread {
 public:
  ServingThread(const std::string& path, VarlinkInterface interface)
      : path_(path) {
    absl::StatusOr<base::UniqueFd> listener = VarlinkServer::Listen(path);
    EXPECT_TRUE(listener.ok()) << listener.status();
    absl::StatusOr<VarlinkServer> server = VarlinkServer::Create(
        std::move(*listener), std::move(interface), geteuid());
    EXPECT_TRUE(server.ok()) << server.status();
    server_.emplace(std::move(*server));
    thread_ = std::thread([this] {
      while (!done_) {
        pollfd wait = {.fd = server_->fd(), .events = POLLIN, .revents = 0};
        poll(&wait, 1, 10);
        server_->Serve();
      }
    });
  }
  ServingThread(const ServingThread&) = delete;
  ServingThread& operator=(const ServingThread&) = delete;
  ~ServingThread() { Stop(); }

  void Stop() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
    server_.reset();
    unlink(path_.c_str());
  }

 private:
  const std::string path_;
  std::optional<VarlinkServer> server_;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

}  // namespace rpc

#endif  // VDUSE_NET_TESTS_RPC_SERVING_THREAD_H_
