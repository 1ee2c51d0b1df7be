// SPDX-License-Identifier: Apache-2.0
//
// Random schedules, on a queue and on the rules written down once more (virtio
// 1.3, 5.1.6.5.9 and 2.7.7): both notify at the same moments, and what is
// promised holds whatever either says.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <tuple>
#include <vector>

#include "tests/net/path/notified_queue_fixture.h"
#include "tests/support/instant.h"

namespace net {
namespace {

using coalesce::Params;
using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr uint32_t kMax = UINT32_MAX;
constexpr int kSchedules = 400;  // of each test
constexpr int kEvents = 120;     // of each schedule

bool Coalesces(Params params) {
  return params.max_packets != 0 && params.max_usecs != 0;
}
// How long a packet may wait.
Duration Delay(Params params) {
  if (!Coalesces(params)) return Duration::zero();
  return std::min<Duration>(microseconds(params.max_usecs), seconds(1));
}

// The rules: a list of who waits since when, and the driver's wish. All else is
// computed from that, each time anew.
class Oracle {
 public:
  Oracle(uint32_t ring, uint32_t early, bool event_idx)
      : ring_(ring), early_(early), event_idx_(event_idx) {}

  // What the driver wants: nothing, or the used entry that is `later` ahead.
  void Wish(std::optional<uint64_t> later) {
    wish_ = later ? std::optional(entries_ + *later) : std::nullopt;
  }
  void Set(Params params, Instant now) {
    params_ = params;
    if (Due(now)) Flush(FlushCause::kParams);
  }
  void Completed(uint32_t packets, uint32_t chains, uint32_t descriptors,
                 Instant now) {
    entries_ += uint64_t{packets} * chains;
    if (packets == 0) return;
    const bool late = !waiting_.empty() && now >= *deadline();
    waiting_.insert(waiting_.end(), packets, now);
    unnotified_ += uint64_t{packets} * chains * descriptors;
    if (Due(now)) Flush(late ? FlushCause::kTime : FlushCause::kPackets);
    if (unnotified_ >= early_) FlushEarly(FlushCause::kDescriptors);
  }
  void Look(Instant now) {
    if (Due(now)) Flush(FlushCause::kTime);
  }
  void FlushEarly(FlushCause cause) {
    if (waiting_.empty()) return;
    ++early_flushes_;
    Flush(cause);
  }

  std::optional<Instant> deadline() const {
    if (waiting_.empty()) return std::nullopt;
    return waiting_.front() + Delay(params_);
  }
  uint64_t early_flushes() const { return early_flushes_; }
  uint64_t flushes() const { return flushes_; }
  const auto& causes() const { return causes_; }
  uint64_t notifications() const { return notifications_; }

 private:
  bool Due(Instant now) const {
    if (waiting_.empty()) return false;
    return !Coalesces(params_) || waiting_.size() >= params_.max_packets ||
           waiting_.size() >= ring_ || now >= *deadline();
  }
  bool Wanted() const {
    if (flushes_ == 0) return true;  // what it knew before is not known
    if (!wish_ || !event_idx_) return wish_.has_value();
    return looked_at_ <= *wish_ && *wish_ < entries_;
  }
  void Flush(FlushCause cause) {
    if (Wanted()) {
      ++notifications_;
      unnotified_ = 0;
    }
    ++causes_[static_cast<size_t>(cause)];
    ++flushes_;
    looked_at_ = entries_;
    waiting_.clear();
  }

  const size_t ring_;
  const uint32_t early_;
  const bool event_idx_;
  Params params_;
  std::vector<Instant> waiting_;
  uint64_t unnotified_ = 0;  // descriptors since the last notification
  std::optional<uint64_t> wish_;
  uint64_t entries_ = 0;    // used so far
  uint64_t looked_at_ = 0;  // those at the last flush
  uint64_t early_flushes_ = 0;
  uint64_t flushes_ = 0;
  std::array<uint64_t, kFlushCauses> causes_{};
  uint64_t notifications_ = 0;
};

class NotifiedQueueModelTest
    : public testing::TestWithParam<std::tuple<bool, unsigned>> {
 protected:
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  uint32_t OneOf(std::initializer_list<uint32_t> values) {
    return values.begin()[Below(static_cast<uint32_t>(values.size()))];
  }

  NotifiedQueue& queue() { return *bed_.queue; }

  // The driver has its queue from now on.
  void Start() {
    const uint32_t size = bed_.driver.size();
    const uint32_t early = Below(2) == 0 ? size : size - size / 4;
    bed_.Start(static_cast<uint16_t>(OneOf({0, 65530, Below(65536)})), early);
    oracle_.emplace(size, early, bed_.event_idx);
    injects_before_ = bed_.injects();
    first_waits_.reset();
    Wish();
    SetParams();
  }

  // Nothing is pending any more, and nothing comes of it later.
  void StopAndSeeThatItIsSilent() {
    if (Below(2) == 0) {
      const FlushCause cause =
          Below(2) == 0 ? FlushCause::kStop : FlushCause::kSuspend;
      queue().Settle(cause, now_);
      oracle_->FlushEarly(cause);
      Compare();
      EXPECT_EQ(queue().deadline(), std::nullopt);
      queue().OnTimer(now_ + seconds(10));
    }
    EndPhase();
    bed_.queue.reset();
    EXPECT_EQ(bed_.injects() - injects_before_, oracle_->notifications());
  }

  // With the same parameters no more notifications go out than these allow.
  void BeginPhase() {
    phase_ = {.start = now_,
              .injects = bed_.injects(),
              .early = oracle_->early_flushes()};
  }
  void EndPhase() {
    if (!Coalesces(params_)) return;
    const uint64_t packets = std::min(params_.max_packets, bed_.driver.size());
    const auto spans =
        static_cast<uint64_t>((now_ - phase_.start) / Delay(params_));
    EXPECT_LE(bed_.injects() - phase_.injects,
              phase_.packets / packets + spans + 1 + oracle_->early_flushes() -
                  phase_.early);
  }

  void SetParams() {
    EndPhase();
    const Params params = {
        .max_packets = OneOf({0, 1, 2, 3, 8, 1 + Below(40), kMax}),
        .max_usecs = OneOf({0, 1, 8, 50, 100, 1 + Below(1000), kMax})};
    queue().SetCoalescing(params, now_);
    oracle_->Set(params, now_);
    SeeFlush();
    params_ = params;
    BeginPhase();
  }

  void Wish() {
    // The wish in the form that was not negotiated is to be ignored.
    if (Below(3) == 0) {
      bed_.WantNone();
      if (bed_.event_idx) bed_.driver.SetNoInterrupt(Below(2) == 0);
      oracle_->Wish(std::nullopt);
    } else {
      const auto later = static_cast<uint16_t>(OneOf({0, 0, Below(20)}));
      bed_.Want(later);
      if (bed_.event_idx) bed_.driver.SetNoInterrupt(Below(2) == 0);
      oracle_->Wish(later);
    }
  }

  void Complete() {
    const uint32_t chains = 1 + Below(2);
    const uint32_t descriptors = 1 + Below(2);
    const uint32_t room = bed_.driver.size() / (chains * descriptors);
    const uint32_t packets = Below(std::min(room, 7U) + 1);
    bed_.Complete(packets, now_, chains, descriptors);
    oracle_->Completed(packets, chains, descriptors, now_);
    phase_.packets += packets;
    if (packets > 0 && !first_waits_) first_waits_ = now_;
  }
  void Reject() {
    bed_.Reject(now_);
    oracle_->Completed(1, 1, 1, now_);
    ++phase_.packets;
    if (!first_waits_) first_waits_ = now_;
  }

  void Timer() {
    queue().OnTimer(now_);
    oracle_->Look(now_);
  }

  // Time passes; a punctual timer is called whenever it asked to be.
  void Pass() {
    const Instant then =
        now_ + nanoseconds(OneOf({0, Below(1000), Below(50'000), Below(50'000),
                                  Below(2'000'000), Below(2'000'000'000)}));
    while (punctual_ && queue().deadline() && *queue().deadline() <= then) {
      ASSERT_GE(*queue().deadline(), now_) << "in the past";
      now_ = *queue().deadline();
      Timer();
      ASSERT_NO_FATAL_FAILURE(Compare());
    }
    now_ = then;
  }

  // If there was a flush, nobody has waited too long for it.
  void SeeFlush() {
    const uint64_t flushes = queue().counters().flushes;
    if (flushes == flushes_seen_) return;
    flushes_seen_ = flushes;
    if (punctual_ && first_waits_) {
      EXPECT_LE(now_ - *first_waits_, Delay(params_));
    }
    first_waits_.reset();
  }

  void Compare() {
    SeeFlush();
    ASSERT_EQ(bed_.injects() - injects_before_, oracle_->notifications());
    ASSERT_EQ(queue().counters().flushes, oracle_->flushes());
    ASSERT_EQ(queue().counters().causes, oracle_->causes());
    ASSERT_EQ(queue().deadline(), oracle_->deadline());
  }

  void RunSchedule() {
    punctual_ = Below(2) == 0;
    flushes_seen_ = 0;
    params_ = {};
    Start();
    for (int event = 0; event < kEvents; ++event) {
      ASSERT_NO_FATAL_FAILURE(Pass());
      switch (Below(16)) {
        case 0:
          SetParams();
          break;
        case 1:
        case 2:
        case 3:
          Wish();
          break;
        case 4:
          queue().FlushPending(FlushCause::kStarved, now_);
          oracle_->FlushEarly(FlushCause::kStarved);
          break;
        case 5:
        case 6:
          Timer();
          break;
        case 7:
          Reject();
          break;
        default:
          Complete();
      }
      ASSERT_NO_FATAL_FAILURE(Compare()) << "event " << event;
    }
    StopAndSeeThatItIsSilent();
  }

  std::mt19937 random_{std::get<1>(GetParam())};
  NotifiedQueueBed bed_{4U << Below(5), std::get<0>(GetParam())};
  std::optional<Oracle> oracle_;
  bool punctual_ = false;
  Instant now_ = tests::At(seconds(1000));
  Params params_;
  std::optional<Instant> first_waits_;
  uint64_t flushes_seen_ = 0;
  uint64_t injects_before_ = 0;
  struct {
    Instant start{};
    uint64_t injects = 0;
    uint64_t early = 0;
    uint64_t packets = 0;
  } phase_;
};

TEST_P(NotifiedQueueModelTest, RandomSchedulesNotifyWhenTheRulesSaySo) {
  for (int schedule = 0; schedule < kSchedules; ++schedule) {
    SCOPED_TRACE(testing::Message() << "schedule " << schedule);
    RunSchedule();
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, NotifiedQueueModelTest,
                         testing::Combine(testing::Bool(),
                                          testing::Range(1U, 11U)));

}  // namespace
}  // namespace net
