// SPDX-License-Identifier: Apache-2.0
#include "net/path/worker.h"

#include <errno.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/eventfd.h"
#include "base/log.h"
#include "base/status_text.h"

namespace net {
namespace {

using base::ClearEventfd;
using base::SignalEventfd;

// Events are looked for no more often than this while each step leaves more to
// do.
constexpr Duration kLookInterval = std::chrono::microseconds(50);

constexpr Duration kShortestSleep{1};

enum Tag : uint32_t { kMailbox, kRxKick, kTxKick, kTap };

timespec ToTimespec(Duration duration) {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(duration);
  return {.tv_sec = seconds.count(), .tv_nsec = (duration - seconds).count()};
}

}  // namespace

Instant Now() { return std::chrono::steady_clock::now(); }

absl::StatusOr<std::unique_ptr<Worker>> Worker::Start(vduse::Device& device,
                                                      const Options& options) {
  std::unique_ptr<Worker> worker(new Worker(device, options));
  if (absl::Status status = worker->Init(); !status.ok()) return status;
  worker->thread_ = std::thread([w = worker.get()] { w->Run(); });
  if (options.cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<size_t>(*options.cpu), &cpus);
    const int error = pthread_setaffinity_np(worker->thread_.native_handle(),
                                             sizeof(cpus), &cpus);
    if (error != 0) {
      return absl::ErrnoToStatus(
          error, fmt::format("worker of queue pair {} on CPU {}", options.pair,
                             *options.cpu));
    }
  }
  // The thread has made all system calls that starting it takes.
  worker->Call([](QueuePair&) {});
  return worker;
}

absl::Status Worker::Init() {
  epoll_ = base::UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  const auto watch = [&](base::UniqueFd& fd, Tag tag) {
    fd = base::MakeEventfd();
    epoll_event event = {.events = EPOLLIN, .data = {.u32 = tag}};
    return fd && epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) == 0;
  };
  if (!epoll_ || !watch(mailbox_, kMailbox) || !watch(rx_kick_, kRxKick) ||
      !watch(tx_kick_, kTxKick)) {
    return absl::ErrnoToStatus(errno, "epoll and eventfds of a worker");
  }
  return absl::OkStatus();
}

Worker::~Worker() {
  if (!thread_.joinable()) return;
  {
    const base::MutexLock lock(mutex_);
    stop_ = true;
  }
  SignalEventfd(mailbox_.get());
  thread_.join();
}

void Worker::Call(const std::function<void(QueuePair&)>& work) {
  Job job{.work = &work};
  const base::MutexLock lock(mutex_);
  jobs_.push_back(&job);
  SignalEventfd(mailbox_.get());
  while (!job.done) job_done_.Wait(mutex_);
}

absl::Status Worker::SetTap(Tap tap) {
  absl::Status status;
  absl::Status engine;
  bool exact = true;  // a crash loses and repeats nothing, if it is to
  Call([&](QueuePair& pair) {
    UnwatchTap();
    // Watch the TAP before the pair takes it over.
    epoll_event event = {.events = 0, .data = {.u32 = kTap}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, tap.fd(), &event) != 0) {
      status = absl::ErrnoToStatus(errno, "epoll_ctl of the TAP");
      return;
    }
    tap_fd_ = tap.fd();
    tap_events_ = 0;
    reported_lost_ = false;
    engine = tap.StartEngine(options_.engine, &pair.journal());
    exact = !pair.journal().kept() || tap.results_survive();
    pair.SetPort(std::make_unique<Tap>(std::move(tap)));
  });
  if (!engine.ok()) {
    base::Log(options_.engine == Engine::kUring ? base::Severity::kError
                                                : base::Severity::kInfo,
              "pair {} goes without io_uring: {}", options_.pair,
              base::Text(engine));
  } else if (status.ok() && !exact) {
    base::Log(base::Severity::kInfo,
              "pair {}: a crash may lose or repeat the packets of one call "
              "(needs io_uring of Linux 6.5)",
              options_.pair);
  }
  return status;
}

bool Worker::RunJobs() {
  mutex_.Lock();
  while (!jobs_.empty()) {
    Job* job = jobs_.front();
    jobs_.pop_front();
    mutex_.Unlock();
    (*job->work)(pair_);
    mutex_.Lock();
    job->done = true;
    job_done_.NotifyAll();
  }
  const bool goes_on = !stop_;
  mutex_.Unlock();
  return goes_on;
}

// The longest wait, if there is a limit. Sleeps end late, so a sleep ends
// shortly before the deadline, and the worker polls for the rest.
Duration Worker::SleepFor(const Wait& wait, Instant start) {
  if (wait.again || !wait.deadline) return Duration::zero();
  const Duration left = *wait.deadline - options_.timer_poll - start;
  if (left > lead_.lead()) return left - lead_.lead();
  if (left <= Duration::zero() || slept_for_ == wait.deadline) {
    return Duration::zero();
  }
  // A delay shorter than the lead is not polled in full, either: sleep once,
  // briefly.
  return kShortestSleep;
}

// The worker's only wait.
Ready Worker::WaitFor(const Wait& wait) {
  const Instant start = Now();
  if (wait.again && start - looked_ < kLookInterval) return {};
  looked_ = start;
  const Duration length = SleepFor(wait, start);
  const timespec timeout = ToTimespec(length);
  const bool forever = !wait.again && !wait.deadline;
  if (options_.pulse != nullptr) {
    options_.pulse->BeginWait(wait.again ? start : wait.deadline,
                              wait.port_readable);
  }
  std::array<epoll_event, 4> events;
  const int count = epoll_pwait2(epoll_.get(), events.data(), events.size(),
                                 forever ? nullptr : &timeout, nullptr);
  if (options_.pulse != nullptr) options_.pulse->BeginWork();
  if (length > Duration::zero()) {
    slept_for_ = wait.deadline;
    // A shortest sleep counts only if it shows that sleeps end less late than
    // assumed.
    const Duration late = Now() - start - length;
    if (count == 0 && (length > kShortestSleep || late < lead_.lead())) {
      lead_.OnSlept(late);
    }
  }
  Ready ready;
  const int waited_for = tap_fd_;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    switch (event.data.u32) {
      case kMailbox:
        ClearEventfd(mailbox_.get());
        stopping_ = !RunJobs();
        break;
      case kRxKick:
        pair_.rx().CountKicks(ClearEventfd(rx_kick_.get()));
        ready.rx_kick = true;
        break;
      case kTxKick:
        pair_.tx().CountKicks(ClearEventfd(tx_kick_.get()));
        ready.tx_kick = true;
        break;
      default:
        ready.port_readable = (event.events & ~EPOLLOUT) != 0;
        ready.port_writable = (event.events & EPOLLOUT) != 0;
        // These events are reported unasked and persist: the interface was
        // deleted.
        ready.port_gone = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
    }
  }
  // The hang-up came from the old TAP if a job has just replaced it.
  if (tap_fd_ != waited_for) ready.port_gone = false;
  if (!wait.again && (ready.rx_kick || ready.tx_kick || ready.port_readable)) {
    busy_poll_.OnWake(Now() - start);
  }
  return ready;
}

void Worker::Run() {
  // For itself a thread needs no file for that.
  prctl(PR_SET_NAME, fmt::format("vn-pair-{}", options_.pair).c_str());
  // Deadlines have a resolution of microseconds; the default timer slack is 50
  // of them.
  prctl(PR_SET_TIMERSLACK, 1UL);
  if (options_.pulse != nullptr) options_.pulse->SetThread(gettid());
  Wait wait;
  wait.again = true;
  for (;;) {
    Ready ready = WaitFor(wait);
    if (stopping_) {
      // The driver is not gone, if there is one.
      pair_.journal().Leave();
      pair_.Stop();
      // Only the thread that created the port's io_uring may end it.
      pair_.DropPort();
      return;
    }
    const bool rx_kick = ready.rx_kick;
    const bool tx_kick = ready.tx_kick;
    const bool may_poll = options_.busy_poll > Duration::zero();
    if (may_poll && busy_poll_.Wanted(Now())) {
      ready.polling = true;
      ready.port_readable = ready.rx_kick = ready.tx_kick = true;
    }
    wait = pair_.Step(ready, Now);
    if (may_poll && wait.worked) busy_poll_.OnWork(Now());
    WatchTap(wait);
    ReportChanges();
    // A queue that does not run was kicked: it may have become ready late.
    if ((rx_kick && !pair_.rx().running()) ||
        (tx_kick && !pair_.tx().running())) {
      SignalEventfd(options_.attention);
    }
  }
}

// Other processes hold the TAP open, too, so closing it would not end its
// events.
void Worker::UnwatchTap() {
  if (tap_fd_ < 0) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, tap_fd_, nullptr);
  tap_fd_ = -1;
}

void Worker::WatchTap(const Wait& wait) {
  if (pair_.port_lost()) {
    UnwatchTap();
    return;
  }
  const uint32_t events =
      (wait.port_readable ? static_cast<uint32_t>(EPOLLIN) : 0) |
      (wait.port_writable ? static_cast<uint32_t>(EPOLLOUT) : 0);
  if (tap_fd_ < 0 || events == tap_events_) return;
  epoll_event event = {.events = events, .data = {.u32 = kTap}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, tap_fd_, &event);
  tap_events_ = events;
}

void Worker::ReportChanges() {
  const bool rx = pair_.rx().broken();
  const bool tx = pair_.tx().broken();
  const bool lost = pair_.port_lost();
  if (rx == reported_rx_ && tx == reported_tx_ && lost == reported_lost_) {
    return;
  }
  reported_rx_ = rx;
  reported_tx_ = tx;
  reported_lost_ = lost;
  SignalEventfd(options_.attention);
}

}  // namespace net
