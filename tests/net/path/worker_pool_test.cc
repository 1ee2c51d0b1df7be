// SPDX-License-Identifier: Apache-2.0
#include "net/path/worker_pool.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <set>
#include <thread>
#include <utility>

#include "base/eventfd.h"
#include "base/log.h"
#include "tests/support/fake_device.h"

namespace net {
namespace {

constexpr uint32_t kPairs = 3;

class WorkerPoolTest : public testing::Test {
 protected:
  WorkerPoolTest() {
    base::SetMinLogSeverity(static_cast<base::Severity>(99));
    auto started =
        WorkerPool::Start(device, kPairs, {.attention = attention.get()}, {});
    EXPECT_TRUE(started.ok()) << started.status();
    pool.emplace(std::move(*started));
  }

  std::thread::id ThreadOf(uint32_t queue) {
    std::thread::id id;
    pool->Call(queue, [&](QueuePair&) { id = std::this_thread::get_id(); });
    return id;
  }

  // Gives each pair a TAP; their other ends are `wires`.
  void SetTap() {
    std::vector<Tap> queues;
    for (base::UniqueFd& wire : wires) {
      std::array<int, 2> ends;
      ASSERT_EQ(
          socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends.data()),
          0);
      queues.emplace_back(base::UniqueFd(ends[0]));
      wire = base::UniqueFd(ends[1]);
    }
    ASSERT_TRUE(pool->SetTap(std::move(queues)).ok());
  }

  tests::FakeDevice device{2 * kPairs};
  base::UniqueFd attention = base::MakeEventfd();
  std::array<base::UniqueFd, kPairs> wires;
  std::optional<WorkerPool> pool;
};

TEST_F(WorkerPoolTest, BothQueuesOfAPairAreServedByOneThread) {
  ASSERT_EQ(pool->size(), kPairs);
  std::set<std::thread::id> threads;
  for (uint32_t pair = 0; pair < kPairs; ++pair) {
    EXPECT_EQ(ThreadOf(2 * pair), ThreadOf(2 * pair + 1));
    threads.insert(ThreadOf(2 * pair));
  }
  EXPECT_EQ(threads.size(), kPairs);
  EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
}

TEST_F(WorkerPoolTest, EachWorkerIsCalledOnce) {
  std::multiset<std::thread::id> threads;
  pool->CallAll(
      [&](QueuePair&) { threads.insert(std::this_thread::get_id()); });
  EXPECT_EQ(threads.size(), kPairs);
  EXPECT_EQ(threads.count(ThreadOf(2)), 1U);
}

TEST_F(WorkerPoolTest, EachQueueHasKicksAndHistogramsOfItsOwn) {
  std::set<int> kicks;
  std::set<const NotificationHistograms*> histograms;
  for (uint32_t queue = 0; queue < 2 * kPairs; ++queue) {
    kicks.insert(pool->kick_fd(queue));
    histograms.insert(&pool->histograms(queue));
  }
  EXPECT_EQ(kicks.size(), 2 * kPairs);
  EXPECT_EQ(histograms.size(), 2 * kPairs);
}

TEST_F(WorkerPoolTest, ATapWhoseOtherEndGoesIsAFaultOfItsPair) {
  SetTap();
  EXPECT_TRUE(pool->Faults().empty());
  wires[1].Reset();
  while (pool->Faults().empty()) std::this_thread::yield();
  EXPECT_EQ(pool->Faults(),
            std::vector<std::string>{"the TAP interface is gone"});
  SetTap();
  EXPECT_TRUE(pool->Faults().empty()) << "another TAP mends it";
}

}  // namespace
}  // namespace net
