// SPDX-License-Identifier: Apache-2.0
//
// The administration process's work, in its sandbox.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <functional>
#include <optional>

#include "base/unique_fd.h"
#include "daemon/link_watch.h"
#include "daemon/network_namespace.h"
#include "daemon/sandbox.h"
#include "daemon/tap_opener.h"
#include "tests/daemon/sandboxed_child.h"
#include "vduse/vdpa_bus.h"

namespace program {
namespace {

constexpr char kTapName[] = "vn-rules";

// Exit statuses of a child process that tell which step has failed.
void Demand(bool condition, int step) {
  if (!condition) _exit(step);
}

int Administrate(const std::function<void()>& before,
                 const std::function<void()>& work) {
  return RunInSandbox(Role::kAdministration, AsNobody(),
                      {.before = before, .after = work});
}

TEST(AdminRulesTest, ATapIsCreatedSetFollowedAndRemoved) {
  if (geteuid() != 0) GTEST_SKIP() << "only root makes a TAP: run this as root";
  if (access("/dev/net/tun", R_OK | W_OK) != 0) {
    GTEST_SKIP() << "there is no /dev/net/tun";
  }
  const int status = Administrate(
      // A network namespace of the test's own, which ends with the process.
      [] { Demand(unshare(CLONE_NEWNET) == 0, 10); },
      [] {
        auto tap = OpenTapQueues({.name = kTapName,
                                  .mtu = {},
                                  .queues = 2,
                                  .if_absent = net::Tap::IfAbsent::kCreate,
                                  .identity = {}},
                                 [] { return false; });
        Demand(tap.ok(), 11);
        absl::StatusOr<LinkWatch> watch = LinkWatch::Open();
        Demand(watch.ok(), 12);
        Demand(watch->Follow(tap->front().fd(), kTapName).ok(), 13);
        Demand(watch->SetMtu(2000).ok(), 14);
        (void)watch->Speed();
        (void)watch->Poll();
        Demand(tap->back().SetAttached(false).ok(), 15);
        Demand(tap->front().SetOffloads(0).ok(), 16);
        Demand(tap->front().Remove().ok(), 17);
        tap->clear();
      });
  EXPECT_TRUE(Survived(status)) << status;
}

TEST(AdminRulesTest, TheBusIsAskedWhetherItIsThereOrNot) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root has the capabilities: run this as root";
  }
  const int status = Administrate([] {},
                                  [] {
                                    (void)vduse::ListBus(std::nullopt);
                                    (void)vduse::AttachToBus("vn-rules-none");
                                    (void)vduse::DetachFromBus("vn-rules-none");
                                    (void)vduse::VhostDeviceOf("vn-rules-none");
                                  });
  EXPECT_TRUE(Survived(status)) << status;
}

TEST(AdminRulesTest, ANamespaceIsLookedForAndEntered) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root changes its namespace: run this as root";
  }
  base::UniqueFd own;
  const int status = Administrate(
      [&] {
        own = base::UniqueFd(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
        Demand(unshare(CLONE_NEWNET) == 0, 10);
      },
      [&] {
        Demand(absl::IsNotFound(InNamespace(1, [] {})), 11);
        Demand(setns(own.get(), CLONE_NEWNET) == 0, 12);
      });
  EXPECT_TRUE(Survived(status)) << status;
}

}  // namespace
}  // namespace program
