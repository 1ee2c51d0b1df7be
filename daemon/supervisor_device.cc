// SPDX-License-Identifier: Apache-2.0
//
// The processes that serve the device: their start, and their replacement when
// one ends or hangs.
#include <errno.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/pidfd.h"
#include "base/status_text.h"
#include "daemon/device_setup.h"
#include "daemon/end_watch.h"
#include "daemon/journal_memory.h"
#include "daemon/supervisor.h"

namespace program {
namespace {

using base::Log;
using base::Severity;

// After this many failures a caretaker takes over.
constexpr size_t kManyFailures = 5;
constexpr net::Duration kManyWithin = std::chrono::seconds(10);
constexpr net::Duration kReplacePause = std::chrono::seconds(1);
// How long a process that has got the device may make no progress before it
// serves it.
constexpr net::Duration kStartPatience = std::chrono::milliseconds(500);
// Between two attempts to open the device, which the kernel may still be
// closing for the process that has ended.
constexpr net::Duration kShortestOpenPause = std::chrono::milliseconds(2);
constexpr net::Duration kLongestOpenPause = std::chrono::milliseconds(500);
// How long the last process may take to write its summary and end.
constexpr std::chrono::milliseconds kEndPatience(2000);

// A device that is not free `length` after the end will not be free in a
// moment.
net::Duration OpenPause(net::Duration length) {
  return std::clamp<net::Duration>(length / 8, kShortestOpenPause,
                                   kLongestOpenPause);
}

std::string HowItEnded(int status) {
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    return fmt::format("was ended by signal {} ({})", number,
                       strsignal(number));
  }
  return fmt::format("ended with status {}", WEXITSTATUS(status));
}

}  // namespace

DeviceSetup Supervisor::Setup() {
  return {.name = options_.name,
          .options = DeviceOptions(),
          .saved = saved_,
          .restored = restored_,
          .restored_from = options_.restore,
          .state = &state_,
          .journal = journal_.get(),
          .operator_listener = operator_listener_.get(),
          .hand_over_listener = hand_over_listener_.get(),
          .operator_user = geteuid(),
          .sandbox = &sandbox_};
}

std::optional<DeviceProcess> Supervisor::StartProcess() {
  absl::StatusOr<DeviceProcess> process = DeviceProcess::Start(Setup());
  if (process.ok()) return std::move(*process);
  Log(Severity::kError, "cannot start a process for the device: {}",
      base::Text(process.status()));
  return std::nullopt;
}

void Supervisor::StartStandby() {
  standby_at_.reset();
  standby_ = StartProcess();
  if (!standby_) standby_at_ = net::Now() + kReplacePause;
}

// The device also works without a journal.
void Supervisor::PrepareJournal() {
  const size_t bytes = net::NetDevice::JournalBytes(saved_.queue_pairs);
  if (IsJournal(journal_.get(), bytes)) return;
  if (journal_) {
    Log(Severity::kWarning,
        "the journal is of another release and not used: packets that were "
        "under way may be lost or repeated");
  }
  absl::StatusOr<base::UniqueFd> journal = CreateJournal(bytes);
  if (journal.ok()) {
    journal_ = std::move(*journal);
    return;
  }
  journal_.Reset();
  Log(Severity::kWarning, "a crash may lose or repeat packets: {}",
      base::Text(journal.status()));
}

// Starts the first device process.
std::optional<base::ExitCode> Supervisor::StartServing() {
  PrepareJournal();
  std::optional<DeviceProcess> process = StartProcess();
  if (!process) return base::kExitFailure;
  GiveDevice(std::move(*process),
             adopted_ ? ServeMode::kSuccessor : ServeMode::kNew);
  return std::nullopt;
}

void Supervisor::Order(DeviceOrder order, const std::vector<int>& fds) {
  if (!serving_) return;
  order.tap = {.name_space = saved_.tap_namespace,
               .index = saved_.tap_index,
               .created = saved_.tap_created ? 1U : 0U};
  // A process that does not read is replaced, and its successor is told.
  if (!serving_->Send(order, fds)) KillServing();
}

void Supervisor::GiveDevice(DeviceProcess process, ServeMode mode) {
  serving_.emplace(std::move(process));
  killed_ = false;
  wants_.reset();
  const std::optional<ThreadUse> use = ControlThread();
  cpu_before_ = use ? use->cpu : net::Duration::zero();
  ExpectToServe();
  Order({.kind = DeviceOrder::Kind::kServe, .mode = mode},
        {device_->poll_fd()});
  if (!tap_.empty()) {
    GiveTap();
  } else if (tap_lost_ || (phase_ == Phase::kReady && !tap_ready_)) {
    SetLink(false);
  }
}

// Gives the process that has got the device some time, from now on.
void Supervisor::ExpectToServe() {
  if (options_.hang_msecs == 0) return;
  turns_before_ = serving_->pulses().turns();
  serves_by_ = net::Now() + std::max<net::Duration>(
                                std::chrono::milliseconds(options_.hang_msecs),
                                kStartPatience);
}

std::optional<ThreadUse> Supervisor::ControlThread() const {
  return ReadThreadUse(serving_->pid(), serving_->pid());
}

// A process that starts many threads needs more time than others.
void Supervisor::CheckStart() {
  const std::optional<ThreadUse> use = ControlThread();
  const bool lacks_processor =
      use && use->runnable && use->cpu - cpu_before_ < kStartPatience;
  if (lacks_processor || serving_->pulses().turns() != turns_before_) {
    ExpectToServe();
  } else {
    OnHang("it does not serve the device that it was given");
  }
}

// Watches the serving process from now on.
void Supervisor::Watch() {
  if (kicks_.empty()) return;
  const PulseBoard& pulses = serving_->pulses();
  const auto use_of = [process = serving_->pid()](const net::Pulse& pulse) {
    return [process, &pulse] { return ReadThreadUse(process, pulse.thread()); };
  };
  std::vector<HangWatch::Thread> threads;
  threads.push_back({.name = "control thread",
                     .pulse = &pulses.control(),
                     .fds = {device_->poll_fd(), kicks_.front().get()},
                     .use = use_of(pulses.control())});
  for (size_t pair = 0; 2 * pair + 2 < kicks_.size(); ++pair) {
    threads.push_back(
        {.name = fmt::format("worker of pair {}", pair),
         .pulse = &pulses.workers()[pair],
         .fds = {kicks_[2 * pair + 1].get(), kicks_[2 * pair + 2].get()},
         .port = pair < tap_.size() ? tap_[pair].get() : -1,
         .use = use_of(pulses.workers()[pair])});
  }
  watch_.Start(std::move(threads),
               std::chrono::milliseconds(options_.hang_msecs));
}

void Supervisor::OnServing(std::vector<base::UniqueFd> kicks) {
  kicks_ = std::move(kicks);
  serves_by_.reset();
  Watch();
  if (ended_at_ != net::Instant{}) {
    Log(Severity::kInfo, "process {} serves the device, {} us later",
        serving_->pid(),
        std::chrono::duration_cast<std::chrono::microseconds>(net::Now() -
                                                              ended_at_)
            .count());
  }
  if (options_.attach && !attached_ && phase_ == Phase::kStarting) {
    admin_.Attach(options_.name);
  }
  if (!standby_) StartStandby();
  CheckReady();
}

void Supervisor::OnReports() {
  while (serving_) {
    std::optional<DeviceProcess::Report> report = serving_->Next();
    if (!report) return;
    switch (report->kind) {
      case DeviceReport::Kind::kServing:
        OnServing(std::move(report->fds));
        break;
      case DeviceReport::Kind::kWants:
        wants_ = *report;
        break;
      case DeviceReport::Kind::kBroken:
        device_broken_ = true;
        watch_.Stop();
        exit_code_ = base::kExitBroken;
        BeginDetach();
        break;
      case DeviceReport::Kind::kNoDriver:
        Log(Severity::kInfo, "the driver is gone, and with it the caretaker");
        caretaker_ = false;
        failures_.clear();
        killed_ = true;
        KillServing();
        break;
    }
  }
}

void Supervisor::OnHang(const std::string& what) {
  Log(Severity::kError, "process {} hangs: {}; replacing it", serving_->pid(),
      what);
  watch_.Stop();
  serves_by_.reset();
  killed_ = true;
  KillServing();
  OnFailure();
}

void Supervisor::KillServing() {
  serving_->Kill();
  end_watch_.Start(net::Now());
}

void Supervisor::SayWhatEndWaitsFor() {
  const auto length = end_watch_.Look(net::Now());
  if (!length) return;
  Log(Severity::kError, "{}",
      serving_ ? DescribeEnd(serving_->pid(), *length)
               : DescribeOpen(vduse::DevicePath(options_.name), *length));
}

void Supervisor::OnDeviceEnd(int status) {
  ended_at_ = net::Now();
  end_watch_.Start(ended_at_);
  const bool served = !kicks_.empty();
  // Nobody but the supervisor kills a process for what it does.
  const bool by_others = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (!killed_) {
    Log(Severity::kError, "process {} {}", serving_->pid(), HowItEnded(status));
  }
  watch_.Stop();
  serves_by_.reset();
  kicks_.clear();
  serving_.reset();
  // Otherwise the kernel would keep the requests that it has handed out.
  device_.reset();
  if (!served && phase_ == Phase::kStarting && failures_.empty() &&
      WIFEXITED(status)) {
    // The first process has said what is wrong; another would not do better.
    start_failed_ = true;
    exit_code_ = static_cast<base::ExitCode>(WEXITSTATUS(status));
    phase_ = Phase::kDone;
    return;
  }
  if (!killed_ && !by_others) OnFailure();
  if (!replace_at_) Replace();
}

void Supervisor::OnFailure() {
  const net::Instant now = net::Now();
  failures_.push_back(now);
  while (now - failures_.front() > kManyWithin) failures_.pop_front();
  if (failures_.size() < kManyFailures) return;
  if (std::exchange(caretaker_, true)) {
    replace_at_ = now + kReplacePause;
    return;
  }
  Log(Severity::kError,
      "{} device processes have failed within {} s: from now on a caretaker "
      "answers the kernel, refuses the driver's commands and moves no packet, "
      "until the driver is reset",
      failures_.size(), kManyWithin / std::chrono::seconds(1));
  failures_.clear();
  // What crashed them may be in the journal.
  journal_ = {};
  PrepareJournal();
}

bool Supervisor::OpenAgain() {
  auto device = vduse::KernelDevice::Open(options_.name);
  if (device.ok()) {
    device_ = std::move(*device);
    end_watch_.Stop();
    return true;
  }
  if (!absl::IsFailedPrecondition(device.status())) {
    Log(Severity::kError, "{}", base::Text(device.status()));
    replace_at_ = net::Now() + kReplacePause;
  }
  return false;
}

// Gives the device to the standby, or to a new process if there is none.
void Supervisor::Replace() {
  replace_at_.reset();
  if (!device_ && !OpenAgain()) {
    if (!replace_at_)
      replace_at_ = net::Now() + OpenPause(net::Now() - ended_at_);
    return;
  }
  std::optional<DeviceProcess> next = std::exchange(standby_, std::nullopt);
  if (!next) next = StartProcess();
  if (!next) {
    replace_at_ = net::Now() + kReplacePause;
    return;
  }
  GiveDevice(std::move(*next),
             caretaker_ ? ServeMode::kCaretaker : ServeMode::kSuccessor);
}

void Supervisor::ReapChildren() {
  int status = 0;
  pid_t pid = 0;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (options_.sandbox.board != nullptr) options_.sandbox.board->Remove(pid);
    if (serving_ && pid == serving_->pid()) {
      OnDeviceEnd(status);
    } else if (standby_ && pid == standby_->pid()) {
      Log(Severity::kWarning, "the standby process {} {}", pid,
          HowItEnded(status));
      standby_.reset();
      standby_at_ = net::Now() + kReplacePause;
    }
    if (new_program_ && pid == new_program_->pid()) {
      EndUpgrade("it " + HowItEnded(status));
    }
    // The end of the administration process shows on its socket.
  }
}

// Waits for the end of a child, and says now and then if that does not come.
// Sleeps meanwhile.
void Supervisor::AwaitEnd(pid_t pid) {
  const base::UniqueFd process = base::OpenPidfd(pid);
  end_watch_.Start(net::Now());
  while (waitpid(pid, nullptr, process ? WNOHANG : 0) == 0) {
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(
        *end_watch_.due() - net::Now());
    pollfd ready = {.fd = process.get(), .events = POLLIN, .revents = 0};
    poll(&ready, 1, std::max(0, static_cast<int>(rest.count())));
    SayWhatEndWaitsFor();
  }
  end_watch_.Stop();
}

// Ends the device processes. The one that serves writes its summary first.
void Supervisor::EndServing() {
  watch_.Stop();
  if (standby_) standby_->Kill();
  standby_.reset();
  if (!serving_) return;
  Order({.kind = DeviceOrder::Kind::kEnd});
  const pid_t pid = serving_->pid();
  const net::Instant end = net::Now() + kEndPatience;
  while (waitpid(pid, nullptr, WNOHANG) == 0) {
    if (net::Now() >= end) {
      Log(Severity::kWarning, "process {} does not end: killing it", pid);
      serving_->Kill();
      AwaitEnd(pid);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  serving_.reset();
}

}  // namespace program
