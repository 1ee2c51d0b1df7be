// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_BENCH_PINNED_THREAD_H_
#define VDUSE_NET_TESTS_BENCH_PINNED_THREAD_H_

#include <atomic>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"

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

  base::Mutex mutex_;
  base::CondVar changed_;
  std::function<void()> job_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<bool> done_ = true;  // written under mutex_
  std::thread thread_;
};

}  // namespace bench

#endif  // VDUSE_NET_TESTS_BENCH_PINNED_THREAD_H_
