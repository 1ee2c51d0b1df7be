// SPDX-License-Identifier: Apache-2.0
#include "daemon/hang_watch.h"

#include <utility>

namespace program {
namespace {

bool IsReady(int fd) {
  pollfd ready = {.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&ready, 1, 0) > 0;
}

std::optional<ThreadUse> UseOf(const HangWatch::Thread& thread) {
  return thread.use ? thread.use() : std::nullopt;
}

}  // namespace

void HangWatch::Start(std::vector<Thread> threads, Duration limit) {
  threads_.clear();
  look_at_.reset();
  limit_ = limit;
  if (limit == Duration::zero()) return;
  for (Thread& thread : threads) {
    threads_.push_back({{std::move(thread)}});
  }
}

void HangWatch::SetPort(size_t index, int port) {
  if (index < threads_.size()) threads_[index].port = port;
}

void HangWatch::AddPolls(std::vector<pollfd>& polls) const {
  if (look_at_) return;
  for (const Watched& thread : threads_) {
    for (const int fd : thread.fds) polls.push_back({fd, POLLIN, 0});
    if (thread.pulse->waits_for_port()) {
      polls.push_back({thread.port, POLLIN, 0});
    }
  }
}

void HangWatch::OnReady(Instant now) {
  if (look_at_ || !watching()) return;
  for (Watched& thread : threads_) {
    thread.turns = thread.pulse->turns();
    thread.since.reset();
  }
  quiet_since_ = now;
  look_at_ = now + kInterval;
}

bool HangWatch::HasWork(const Watched& thread, Instant now) {
  if (thread.pulse->works() || thread.pulse->wakes_at() <= now) return true;
  for (const int fd : thread.fds) {
    if (IsReady(fd)) return true;
  }
  return thread.pulse->waits_for_port() && IsReady(thread.port);
}

bool HangWatch::LacksProcessor(const Watched& thread) const {
  const std::optional<ThreadUse> use = UseOf(thread);
  return use && use->runnable && use->cpu - thread.cpu < limit_ / 2;
}

std::optional<std::string> HangWatch::Look(Instant now) {
  if (!look_at_ || now < *look_at_) return std::nullopt;
  const Duration late = now - *look_at_;
  look_at_ = now + kInterval;
  for (Watched& thread : threads_) {
    const uint64_t turns = thread.pulse->turns();
    const bool moved = std::exchange(thread.turns, turns) != turns;
    const bool has_work = HasWork(thread, now);
    if (moved || has_work) quiet_since_ = now;
    if (moved || !has_work) {
      thread.since.reset();
    } else if (!thread.since) {
      thread.since = now;
      const std::optional<ThreadUse> use = UseOf(thread);
      thread.cpu = use ? use->cpu : Duration::zero();
    } else if (late > kLate) {
      *thread.since += late;
    }
    if (!thread.since || now - *thread.since < limit_) continue;
    if (!LacksProcessor(thread)) return thread.name;
    thread.since = now;
  }
  if (now - quiet_since_ >= limit_) look_at_.reset();
  return std::nullopt;
}

}  // namespace program
