// SPDX-License-Identifier: Apache-2.0
#include "rpc/device_service.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/instant.h"

namespace rpc {
namespace {

using coalesce::Direction;
using coalesce::Goal;
using coalesce::Params;
using coalesce::Setting;
using coalesce::Source;
using nlohmann::json;

// A device of one pair, as far as the interface goes.
class DeviceServiceTest : public testing::Test {
 protected:
  DeviceServiceTest() {
    DeviceOperations device;
    device.name = "vn0";
    device.setting = [this](Direction direction) {
      return direction == Direction::kRx ? rx_ : tx_;
    };
    device.change_setting = [this](Direction direction,
                                   const Setting& setting) {
      ++changes_;
      (direction == Direction::kRx ? rx_ : tx_) = setting;
    };
    device.report = [this] { return reports_; };
    device.state = [this] { return state_; };
    device.processes = [this] { return processes_; };
    interface_ = DeviceService(device);
    for (const uint32_t queue : {0U, 1U}) {
      net::CoalescingReport report;
      report.queue = queue;
      report.direction = queue == 0 ? Direction::kRx : Direction::kTx;
      report.histograms = histograms_.get();
      reports_.push_back(report);
    }
  }

  VarlinkReply Call(const char* method,
                    const json& parameters = json::object()) {
    return interface_.methods.at(method)(parameters);
  }
  // The parameter that was refused, if one was.
  std::string Refused(const json& parameters) {
    const VarlinkReply reply = Call("SetCoalescing", parameters);
    if (reply.error.empty()) return "";
    EXPECT_EQ(reply.error, "org.varlink.service.InvalidParameter");
    return reply.parameters["parameter"];
  }

  Setting rx_, tx_;
  int changes_ = 0;
  std::vector<net::CoalescingReport> reports_;
  std::unique_ptr<net::NotificationHistograms> histograms_ =
      std::make_unique<net::NotificationHistograms>();
  absl::StatusOr<std::string> state_ = std::string("{\"format\": \"x\"}");
  std::vector<ProcessReport> processes_;
  VarlinkInterface interface_;
};

TEST_F(DeviceServiceTest, EveryMethodIsDescribedAndTheOtherWayRound) {
  size_t described = 0;
  for (size_t at = 0;
       (at = interface_.description.find("\nmethod ", at)) != std::string::npos;
       ++at) {
    const size_t begin = at + std::string("\nmethod ").size();
    const size_t end = interface_.description.find('(', begin);
    EXPECT_EQ(interface_.methods.count(
                  interface_.description.substr(begin, end - begin)),
              1U);
    ++described;
  }
  EXPECT_EQ(described, interface_.methods.size());
  EXPECT_NE(interface_.description.find(std::string("interface ") +
                                        kDeviceInterface + "\n"),
            std::string::npos);
}

TEST_F(DeviceServiceTest, WhatIsSetIsInForceAndIsRead) {
  const VarlinkReply reply =
      Call("SetCoalescing", {{"rx", {{"usecs", 100}, {"frames", 64}}},
                             {"tx", {{"max_irq_rate", 5000}}}});
  EXPECT_EQ(reply.error, "");
  EXPECT_EQ(reply.parameters, (json{{"kept_by_driver", json::array()}}));
  EXPECT_EQ(rx_, Setting(Params{.max_packets = 64, .max_usecs = 100}));
  EXPECT_EQ(tx_, Setting(Params(),
                         Goal{.kind = Goal::Kind::kMaxRate, .value = 5000}));
  const json answer = Call("GetCoalescing").parameters;
  EXPECT_EQ(answer["device"], "vn0");
  EXPECT_EQ(answer["rx"],
            (json{{"usecs", 100}, {"frames", 64}, {"adaptive", false}}));
  EXPECT_EQ(answer["tx"], (json{{"usecs", 0},
                                {"frames", 0},
                                {"adaptive", true},
                                {"max_irq_rate", 5000}}));
}

TEST_F(DeviceServiceTest, EachProcessIsToldWithWhatItMayDo) {
  processes_ = {{.role = "administration",
                 .pid = 12,
                 .sandboxed = true,
                 .user = 0,
                 .capabilities = {"net_admin"},
                 .no_new_privileges = true,
                 .no_dumps = true,
                 .calls_filtered = true,
                 .landlock = 0,
                 .text = "sandbox: user 0"}};
  const json answer = Call("GetProcesses").parameters;
  EXPECT_EQ(answer["device"], "vn0");
  EXPECT_EQ(answer["processes"],
            (json::array({{{"role", "administration"},
                           {"pid", 12},
                           {"sandboxed", true},
                           {"user", 0},
                           {"capabilities", {"net_admin"}},
                           {"no_new_privileges", true},
                           {"no_dumps", true},
                           {"calls_filtered", true},
                           {"landlock", 0},
                           {"text", "sandbox: user 0"}}})));
}

TEST_F(DeviceServiceTest, WhatIsNotNamedStaysAsItIs) {
  rx_ = Params{.max_packets = 64, .max_usecs = 100};
  Call("SetCoalescing", {{"rx", {{"usecs", 7}}}});
  EXPECT_EQ(rx_, Setting(Params{.max_packets = 64, .max_usecs = 7}));
  EXPECT_EQ(changes_, 1) << "tx was not touched";
  Call("SetCoalescing", {{"tx", nullptr}});
  Call("SetCoalescing", {{"tx", json::object()}});
  EXPECT_EQ(changes_, 1);
}

TEST_F(DeviceServiceTest, AdaptiveWithoutAGoalHasTheLastOrTheUsualOne) {
  Call("SetCoalescing", {{"rx", {{"adaptive", true}}}});
  EXPECT_EQ(rx_.goal, kDefaultGoal);
  Call("SetCoalescing", {{"rx", {{"target_latency_usecs", 80}}}});
  Call("SetCoalescing", {{"rx", {{"adaptive", true}}}});
  EXPECT_EQ(rx_.goal, (Goal{.kind = Goal::Kind::kTargetLatency, .value = 80}));
  Call("SetCoalescing", {{"rx", {{"adaptive", false}}}});
  EXPECT_EQ(rx_.goal, std::nullopt);
}

TEST_F(DeviceServiceTest, WhatMakesNoSenseIsNamedAndChangesNothing) {
  const std::map<std::string, json> cases = {
      {"rx", {{"rx", 1}}},
      {"rx.usecs", {{"rx", {{"usecs", -1}}}}},
      {"tx.usecs", {{"tx", {{"usecs", 1ULL << 32}}}}},
      {"tx.frames", {{"rx", {{"usecs", 1}}}, {"tx", {{"frames", "many"}}}}},
      {"rx.adaptive", {{"rx", {{"adaptive", 1}}}}},
      {"tx.adaptive", {{"tx", {{"adaptive", false}, {"max_irq_rate", 1000}}}}},
      {"rx.target_latency_usecs", {{"rx", {{"target_latency_usecs", 0}}}}},
      {"tx.target_latency_usecs",
       {{"tx", {{"target_latency_usecs", 1'000'001}}}}},
      {"rx.max_irq_rate",
       {{"rx", {{"target_latency_usecs", 5}, {"max_irq_rate", 5}}}}},
      {"tx.max_irq_rate", {{"tx", {{"max_irq_rate", 1.5}}}}},
      {"rx.frame", {{"rx", {{"frame", 64}}}}},
      {"RX", {{"RX", {{"frames", 64}}}}}};
  for (const auto& [name, parameters] : cases) {
    EXPECT_EQ(Refused(parameters), name);
  }
  EXPECT_EQ(changes_, 0);
}

TEST_F(DeviceServiceTest, Row139_NumbersThatDoNotFitAreRefusedAndNotCut) {
  for (const char* text :
       {"-1", "4294967296", "4294967297", "9223372036854775808",
        "18446744073709551615", "18446744073709551617", "1e30", "0.5"}) {
    const json number = json::parse(text, nullptr, false);
    EXPECT_EQ(Refused({{"rx", {{"usecs", number}}}}), "rx.usecs") << text;
    EXPECT_EQ(Refused({{"tx", {{"max_irq_rate", number}}}}), "tx.max_irq_rate")
        << text;
  }
  EXPECT_EQ(changes_, 0);
}

TEST_F(DeviceServiceTest, QueuesThatTheDriverHasAskedForAreNamed) {
  reports_[1].requested.source = Source::kDriverQueue;
  EXPECT_EQ(
      Call("SetCoalescing", {{"rx", {{"usecs", 1}}}, {"tx", {{"usecs", 1}}}})
          .parameters,
      (json{{"kept_by_driver", {1}}}));
  EXPECT_EQ(Call("SetCoalescing", {{"rx", {{"usecs", 1}}}}).parameters,
            (json{{"kept_by_driver", json::array()}}));
}

TEST_F(DeviceServiceTest, AQueueIsReportedWithItsSourceAndWhatCameOfIt) {
  net::CoalescingReport& report = reports_[0];
  report.requested = {.params = {.max_packets = 1000, .max_usecs = 10},
                      .source = Source::kDriverAll,
                      .enabled = true};
  report.effective = Params{.max_packets = 256, .max_usecs = 10};
  report.counters.packets = 30;
  report.counters.waited_ns = 90;
  report.read_at = tests::At(coalesce::Duration(1234));
  report.counters.notifications = 3;
  report.counters.causes[static_cast<size_t>(net::FlushCause::kTime)] = 3;
  for (const uint64_t packets : {8U, 10U, 12U}) {
    histograms_->packets.Record(packets);
  }
  const json queue = Call("GetCoalescing").parameters["queues"][0];
  EXPECT_EQ(queue["index"], 0);
  EXPECT_EQ(queue["direction"], "rx");
  EXPECT_EQ(queue["source"], "driver_all");
  EXPECT_EQ(queue["requested"], (json{{"usecs", 10}, {"frames", 1000}}));
  EXPECT_EQ(queue["effective"], (json{{"usecs", 10}, {"frames", 256}}));
  EXPECT_EQ(queue["waited_nsecs"], 90);
  EXPECT_EQ(queue["read_nsecs"], 1234);
  EXPECT_EQ(queue["causes"]["time"], 3);
  EXPECT_EQ(queue["causes"]["packets"], 0);
  EXPECT_EQ(queue["packets_per_notification"], (json{{"count", 3},
                                                     {"sum", 30},
                                                     {"p50", 10},
                                                     {"p90", 12},
                                                     {"p99", 12},
                                                     {"max", 12}}));
  EXPECT_FALSE(queue.contains("waiting"));
  const json other = Call("GetCoalescing").parameters["queues"][1];
  EXPECT_FALSE(other.contains("effective")) << "it does not run";
  EXPECT_EQ(other["source"], "operator");
}

TEST_F(DeviceServiceTest, TheStateIsAnObjectOrAReason) {
  EXPECT_EQ(Call("SaveState").parameters, (json{{"state", {{"format", "x"}}}}));
  state_ = absl::FailedPreconditionError("the driver is active");
  const VarlinkReply reply = Call("SaveState");
  EXPECT_EQ(reply.error, "org.vduse-net.Device.Failed");
  EXPECT_EQ(reply.parameters["reason"], "the driver is active");
}

}  // namespace
}  // namespace rpc
