// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/pinned_thread.h"

#include <sched.h>

#include <utility>

#include "tests/tools/flags.h"

namespace bench {

void PinTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    tools::DieErrno(fmt::format("binding a thread to CPU {}", cpu));
  }
}

Undisturbed::Undisturbed() {
  const sched_param param = {.sched_priority = 1};
  sched_setscheduler(0, SCHED_FIFO, &param);
}

Undisturbed::~Undisturbed() {
  const sched_param param = {.sched_priority = 0};
  sched_setscheduler(0, SCHED_OTHER, &param);
}

PinnedThread::PinnedThread(int cpu) : thread_([this, cpu] { Loop(cpu); }) {}

PinnedThread::~PinnedThread() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void PinnedThread::Start(std::function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    job_ = std::move(job);
    done_ = false;
  }
  changed_.notify_all();
}

void PinnedThread::Wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return done(); });
}

void PinnedThread::Loop(int cpu) {
  PinTo(cpu);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !done(); });
    if (stop_) return;
    lock.unlock();
    job_();
    lock.lock();
    job_ = nullptr;
    done_.store(true, std::memory_order_release);
    changed_.notify_all();
  }
}

}  // namespace bench
