// SPDX-License-Identifier: Apache-2.0
#include "cli/tune_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "rpc/device_service.h"
#include "tests/rpc/serving_thread.h"
#include "tests/support/temp_dir.h"

namespace cli {
namespace {

using coalesce::Direction;
using coalesce::Goal;
using coalesce::Params;
using coalesce::Setting;
using nlohmann::json;
using testing::HasSubstr;

// A device with traffic: two packets a microsecond each way. With coalescing
// every second one is notified of, and each waits for the half of max_usecs.
class TuneCommandTest : public testing::Test {
 protected:
  TuneCommandTest() {
    options_.state_dir = directory_.path();
    options_.device = "vn0";
    options_.rounds = 2;
    options_.window_msecs = 10;
    rpc::DeviceOperations device;
    device.name = "vn0";
    device.setting = [this](Direction direction) { return Of(direction); };
    device.change_setting = [this](Direction direction,
                                   const Setting& setting) {
      const base::MutexLock lock(mutex_);
      set_[Index(direction)] = setting;
      tried_.push_back(setting);
    };
    device.report = [this] { return Report(); };
    device.state = [] { return std::string("{}"); };
    serving_ = std::make_unique<rpc::ServingThread>(
        rpc::DeviceSocket(directory_.path(), "vn0"),
        rpc::DeviceService(device));
  }
  ~TuneCommandTest() override {
    serving_.reset();
    // What Tune() blocks.
    sigset_t all;
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
  }

  static size_t Index(Direction direction) {
    return direction == Direction::kRx ? 0 : 1;
  }
  Setting Of(Direction direction) {
    const base::MutexLock lock(mutex_);
    return set_[Index(direction)];
  }
  void StopDriver() {
    const base::MutexLock lock(mutex_);
    runs_ = false;
  }
  void SetSource(coalesce::Source source) {
    const base::MutexLock lock(mutex_);
    source_ = source;
  }
  std::vector<Setting> tried() {
    const base::MutexLock lock(mutex_);
    return tried_;
  }
  // What is printed, as JSON; `status` is what came of it.
  json Run(absl::Status& status) {
    options_.json = true;
    testing::internal::CaptureStdout();
    status = Tune(options_);
    return json::parse(testing::internal::GetCapturedStdout(), nullptr, false);
  }

  tests::TempDir directory_;
  TuneOptions options_;
  base::Mutex mutex_;
  Setting set_[2] ABSL_GUARDED_BY(mutex_) = {
      Setting(Params{.max_packets = 3, .max_usecs = 5},
              Goal{.kind = Goal::Kind::kMaxRate, .value = 700}),
      Setting(Params{.max_packets = 4, .max_usecs = 6})};
  coalesce::Source source_ ABSL_GUARDED_BY(mutex_) =
      coalesce::Source::kOperator;
  bool runs_ ABSL_GUARDED_BY(mutex_) = true;
  std::vector<Setting> tried_ ABSL_GUARDED_BY(mutex_);

 private:
  std::vector<net::CoalescingReport> Report() {
    const base::MutexLock lock(mutex_);
    std::vector<net::CoalescingReport> reports(2);
    const auto now = std::chrono::steady_clock::now();
    const auto half = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(now - last_)
            .count());
    last_ = now;
    for (size_t i = 0; i < 2; ++i) {
      net::CoalescingReport& report = reports[i];
      const Params& params = set_[i].params;
      report.queue = static_cast<uint32_t>(i);
      report.direction = i == 0 ? Direction::kRx : Direction::kTx;
      report.requested.source = source_;
      report.histograms = histograms_.get();
      if (runs_) report.effective = params;
      counters_[i].packets += 2 * half;
      counters_[i].notifications += params == Params() ? 2 * half : half;
      counters_[i].waited_ns += half * params.max_usecs * 1000;
      report.counters = counters_[i];
      report.read_at = now;
    }
    return reports;
  }

  std::chrono::steady_clock::time_point last_ ABSL_GUARDED_BY(mutex_) =
      std::chrono::steady_clock::now();
  net::NotifiedQueue::Counters counters_[2] ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<net::NotificationHistograms> histograms_ =
      std::make_unique<net::NotificationHistograms>();
  std::unique_ptr<rpc::ServingThread> serving_;
};

TEST_F(TuneCommandTest, WhatSavesMostIsRecommendedAndTheDeviceLeftAsItWas) {
  const Setting rx = Of(Direction::kRx);
  const Setting tx = Of(Direction::kTx);
  options_.settings = {"80/64", "20/64"};
  options_.chart = directory_.path() + "/tune.svg";
  absl::Status status;
  const json printed = Run(status);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(printed["ethtool"],
            "ethtool -C DEVNAME rx-usecs 20 rx-frames 64 tx-usecs 20 "
            "tx-frames 64");
  EXPECT_EQ(printed["coalesce"],
            "vduse-net coalesce set dev vn0 rx-usecs 20 rx-frames 64 tx-usecs "
            "20 tx-frames 64");
  const json& result = printed["directions"][1]["results"][1];
  EXPECT_EQ(result["usecs"], 80);
  EXPECT_EQ(result["mean_wait_usecs"]["median"], 40);
  EXPECT_EQ(result["notifications_per_packet"]["median"], 0.5);
  EXPECT_EQ(Of(Direction::kRx), rx);
  EXPECT_EQ(Of(Direction::kTx), tx);
  // Three settings, twice, and then what was there; all that twice.
  ASSERT_EQ(tried().size(), 14U);
  EXPECT_EQ(tried()[0], Setting());
  EXPECT_EQ(tried()[3], Setting(Params{.max_packets = 64, .max_usecs = 80}))
      << "the second round begins with another one";
  std::ifstream chart(options_.chart);
  std::stringstream text;
  text << chart.rdbuf();
  EXPECT_THAT(text.str(), HasSubstr(">tx 20/64<"));
}

TEST_F(TuneCommandTest, OneDirectionLeavesTheOtherAlone) {
  options_.direction = "tx";
  options_.settings = {"20/64", "off"};
  absl::Status status;
  const json printed = Run(status);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(printed["directions"].size(), 1U);
  EXPECT_EQ(tried().size(), 5U);
  EXPECT_EQ(printed["ethtool"], "ethtool -C DEVNAME tx-usecs 20 tx-frames 64");
}

TEST_F(TuneCommandTest, NothingToRecommendIsAFailureThatSaysWhy) {
  options_.settings = {"80/64"};
  options_.max_wait_usecs = 39;
  absl::Status status;
  const json printed = Run(status);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_FALSE(printed.contains("ethtool"));
  EXPECT_THAT(printed["directions"][0]["reason"], HasSubstr("39 us"));
}

TEST_F(TuneCommandTest, ADeviceWithoutADriverIsLeftAlone) {
  StopDriver();
  const absl::Status status = Tune(options_);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no driver runs"));
  EXPECT_TRUE(tried().empty());
}

TEST_F(TuneCommandTest, WhatTheDriverAskedForCannotBeTried) {
  SetSource(coalesce::Source::kDriverAll);
  const absl::Status status = Tune(options_);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("driver has set"));
  EXPECT_TRUE(tried().empty());
}

TEST_F(TuneCommandTest, ASignalEndsItAndTheDeviceIsAsItWas) {
  const Setting rx = Of(Direction::kRx);
  sigset_t terminate;
  sigemptyset(&terminate);
  sigaddset(&terminate, SIGTERM);
  sigprocmask(SIG_BLOCK, &terminate, nullptr);
  raise(SIGTERM);
  EXPECT_TRUE(absl::IsCancelled(Tune(options_)));
  EXPECT_EQ(tried().size(), 2U) << "the first, and what was there";
  EXPECT_EQ(Of(Direction::kRx), rx);
}

TEST_F(TuneCommandTest, WhatMakesNoSenseIsNamed) {
  for (const char* text : {"latency:50", "5", "5/", "x"}) {
    options_.settings = {"20/64", text};
    const absl::Status status = Tune(options_);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  }
  options_.settings.clear();
  options_.device = "nobody";
  EXPECT_TRUE(absl::IsNotFound(Tune(options_)));
}

}  // namespace
}  // namespace cli
