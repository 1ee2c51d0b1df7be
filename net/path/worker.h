// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_WORKER_H_
#define VDUSE_NET_NET_PATH_WORKER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/unique_fd.h"
#include "net/path/busy_poll.h"
#include "net/path/pair_runner.h"
#include "net/path/pulse.h"
#include "net/path/queue_pair.h"
#include "net/path/sleep_lead.h"
#include "net/path/tap.h"
#include "vduse/device.h"

namespace net {

// Reads the monotonic clock.
Instant Now();

// A thread that runs one QueuePair over a TAP queue.
//
// The pair belongs to the thread. Other threads reach it by Call(), which runs
// a function between two steps. When Call() returns, the worker holds no
// pointer into driver memory that it does not look up anew. A step is bounded
// and never blocks, so a call returns soon.
class Worker final : public PairRunner {
 public:
  struct Options {
    uint32_t pair = 0;
    uint16_t mtu = 1500;
    // An eventfd that is signalled when BrokenReason() or port_lost() of the
    // pair changes, and when a queue that does not run is kicked.
    int attention = -1;
    Engine engine = Engine::kAuto;
    Duration busy_poll{};             // longest busy-poll before a sleep
    Duration timer_poll{};            // time before a deadline without sleeps
    std::span<uint8_t> journal = {};  // see QueuePair::Options
    // The CPU to run on; without one, any that the process may use.
    std::optional<int> cpu = {};
    // Where the thread shows that it makes progress; may be null.
    Pulse* pulse = nullptr;
  };

  // `device` must outlive the worker.
  static absl::StatusOr<std::unique_ptr<Worker>> Start(vduse::Device& device,
                                                       const Options& options);
  // Stops the queues and the thread.
  ~Worker() override;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // PairRunner. Call() is for the control thread, never for the worker's own.
  void Call(const std::function<void(QueuePair&)>& work) override;
  int kick_fd(Direction direction) const override {
    return direction == Direction::kRx ? rx_kick_.get() : tx_kick_.get();
  }
  const NotificationHistograms& histograms(Direction direction) const override {
    return pair_.path(direction).histograms();
  }
  absl::Status SetTap(Tap tap) override;

 private:
  struct Job {
    const std::function<void(QueuePair&)>* work;
    bool done = false;  // guarded by mutex_
  };

  Worker(vduse::Device& device, const Options& options)
      : pair_(device, {.pair = options.pair,
                       .mtu = options.mtu,
                       .timer_poll = options.timer_poll > Duration::zero(),
                       .journal = options.journal}),
        options_(options),
        busy_poll_(options.busy_poll) {}

  absl::Status Init();
  void Run();
  bool RunJobs();
  Duration SleepFor(const Wait& wait, Instant start);
  Ready WaitFor(const Wait& wait);
  void WatchTap(const Wait& wait);
  void UnwatchTap();
  void ReportChanges();

  QueuePair pair_;  // owned by the thread from Run() on
  const Options options_;
  BusyPoll busy_poll_;
  base::UniqueFd epoll_;
  base::UniqueFd mailbox_;
  base::UniqueFd rx_kick_;
  base::UniqueFd tx_kick_;
  int tap_fd_ = -1;
  uint32_t tap_events_ = 0;
  bool stopping_ = false;
  Instant looked_{};  // when events were last looked for
  SleepLead lead_;
  std::optional<Instant> slept_for_;  // the deadline of the last sleep
  bool reported_rx_ = false;
  bool reported_tx_ = false;
  bool reported_lost_ = false;

  base::Mutex mutex_;
  base::CondVar job_done_;
  std::deque<Job*> jobs_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_WORKER_H_
