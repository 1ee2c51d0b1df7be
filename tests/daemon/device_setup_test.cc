// SPDX-License-Identifier: Apache-2.0
#include "daemon/device_setup.h"

#include <gtest/gtest.h>

#include "base/text_file.h"
#include "net/wire/features.h"
#include "state/migration_state.h"
#include "tests/support/temp_dir.h"

namespace program {
namespace {

TEST(PlanDeviceTest, AProfileMayBeHadWithoutSomeOfIt) {
  RunOptions options;
  options.profile = "v2";
  options.without = net::Bit(net::kFeatureIndirectDesc);
  const auto plan = PlanDevice(options);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->features, net::FindProfile("v2")->features &
                                ~net::Bit(net::kFeatureIndirectDesc));
  options.without = net::Bit(net::kFeatureCtrlVq);
  EXPECT_EQ(PlanDevice(options)->features,
            net::FindProfile("v2-no-cvq")->features)
      << "with what depends on it";
}

// `run --restore`, with a state in a file.
class RestoreTest : public testing::Test {
 protected:
  RestoreTest() {
    state_.mac = {0x02, 0, 0x5e, 0x10, 0, 1};
    state_.mtu = 1400;
    state_.queue_size = 256;
    state_.device.phase = net::DeviceState::Phase::kSuspended;
    state_.device.features = net::kOfferedFeatures;
    state_.device.active_pairs = 1;
    state_.device.positions = {{7}, {0xffff}, {0}};
    state_.device.coalescing.queues.resize(2);
    options_.restore = directory_.path() + "/state";
    EXPECT_TRUE(base::WriteFile(options_.restore,
                                state::FormatMigrationState(state_).value())
                    .ok());
  }

  const tests::TempDir directory_;
  state::MigrationState state_;
  RunOptions options_;
};

TEST_F(RestoreTest, ADeviceIsPlannedAfterTheState) {
  const absl::StatusOr<NewDevice> planned = PlanDevice(options_);
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_EQ(planned->config.mac, state_.mac);
  EXPECT_EQ(planned->config.mtu, state_.mtu);
  EXPECT_EQ(planned->queue_size, state_.queue_size);
  ASSERT_TRUE(planned->restored);
  EXPECT_EQ(planned->restored->positions, state_.device.positions);
}

TEST_F(RestoreTest, TheStateFileHasTheStateBeforeAProcessTakesItUp) {
  const NewDevice planned = PlanDevice(options_).value();
  const state::SavedState initial = InitialState(
      planned, {.device = nullptr, .features = 77, .queue_pairs = 1});
  EXPECT_EQ(initial.features, 77U);
  EXPECT_EQ(initial.queue_pairs, 1U);
  EXPECT_EQ(initial.mac, state_.mac);
  EXPECT_EQ(initial.mtu, state_.mtu);
  EXPECT_EQ(initial.queue_size, state_.queue_size);
  EXPECT_EQ(initial.device.phase, net::DeviceState::Phase::kRestored);
  EXPECT_EQ(initial.device.features, state_.device.features);
  EXPECT_EQ(initial.device.positions, state_.device.positions);
  options_.restore.clear();
  EXPECT_EQ(InitialState(PlanDevice(options_).value(), {}).device.phase,
            net::DeviceState::Phase::kIdle);
}

TEST_F(RestoreTest, OptionsThatContradictTheStateAreNamed) {
  const auto refused = [](const RunOptions& changed, const char* named) {
    const absl::Status status = PlanDevice(changed).status();
    return absl::IsInvalidArgument(status) &&
           status.message().find(named) != std::string::npos;
  };
  RunOptions mac = options_;
  mac.mac = net::MacAddress{2, 2, 2, 2, 2, 2};
  EXPECT_TRUE(refused(mac, "--mac"));
  RunOptions mtu = options_;
  mtu.mtu = 1500;
  EXPECT_TRUE(refused(mtu, "--mtu"));
  RunOptions queue_size = options_;
  queue_size.queue_size = 128;
  EXPECT_TRUE(refused(queue_size, "--queue-size"));
  queue_size.queue_size = 512;
  EXPECT_TRUE(PlanDevice(queue_size).ok()) << "more room is as good";
}

}  // namespace
}  // namespace program
