// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_BENCH_PINNED_THREAD_H_
#define VDUSE_NET_TESTS_BENCH_PINNED_THREAD_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace bench {

// Binds the calling thread to a CPU.
void PinTo(int cpu);

// While it lives the calling thread gives way to no ordinary one, where that
// is permitted: other work on the machine does not show in the figures. For a
// fraction of a second at a time.
class Undisturbed {
 public:
  Undisturbed();
  ~Undisturbed();
  Undisturbed(const Undisturbed&) = delete;
  Undisturbed& operator=(const Undisturbed&) = delete;
};

// A thread on one CPU that runs what it is given, one after the other.
class PinnedThread {
 public:
  explicit PinnedThread(int cpu);
  ~PinnedThread();
  PinnedThread(const PinnedThread&) = delete;
  PinnedThread& operator=(const PinnedThread&) = delete;

  void Start(std::function<void()> job);
  bool done() const { return done_.load(std::memory_order_acquire); }
  void Wait();
  void Run(std::function<void()> job) {
    Start(std::move(job));
    Wait();
  }

 private:
  void Loop(int cpu);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> job_;      // guarded by mutex_
  bool stop_ = false;              // guarded by mutex_
  std::atomic<bool> done_ = true;  // written under mutex_
  std::thread thread_;
};

}  // namespace bench

#endif  // VDUSE_NET_TESTS_BENCH_PINNED_THREAD_H_
