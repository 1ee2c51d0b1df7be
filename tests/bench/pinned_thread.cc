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
    const base::MutexLock lock(mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void PinnedThread::Start(std::function<void()> job) {
  {
    const base::MutexLock lock(mutex_);
    job_ = std::move(job);
    done_ = false;
  }
  changed_.NotifyAll();
}

void PinnedThread::Wait() {
  const base::MutexLock lock(mutex_);
  while (!done()) changed_.Wait(mutex_);
}

void PinnedThread::Loop(int cpu) {
  PinTo(cpu);
  const base::MutexLock lock(mutex_);
  for (;;) {
    while (!stop_ && done()) changed_.Wait(mutex_);
    if (stop_) return;
    std::function<void()> job = std::exchange(job_, nullptr);
    mutex_.Unlock();
    job();
    job = nullptr;
    mutex_.Lock();
    done_.store(true, std::memory_order_release);
    changed_.NotifyAll();
  }
}

}  // namespace bench
