// SPDX-License-Identifier: Apache-2.0
#include "daemon/adoption.h"

#include <gtest/gtest.h>
#include <linux/virtio_ids.h>

#include <string>

#include "net/wire/features.h"

namespace program {
namespace {

state::SavedState StateWith(uint64_t features, size_t positions) {
  state::SavedState state;
  state.features = features;
  state.device.positions.resize(positions);
  return state;
}

constexpr uint64_t kOnePair = net::Bit(net::kFeatureCtrlVq);
constexpr uint64_t kPairs =
    net::Bit(net::kFeatureCtrlVq) | net::Bit(net::kFeatureMq);

ExistingDevice WithQueues(uint32_t queue_count) {
  return {.name = "vn0",
          .queue_count = queue_count,
          .on_bus = true,
          .virtio_type = std::nullopt,
          .state = std::nullopt};
}

bool Refused(const ExistingDevice& device, const char* because) {
  const absl::Status status = JudgeExisting(device);
  return absl::IsFailedPrecondition(status) &&
         status.message().find("vn0") != std::string::npos &&
         status.message().find(because) != std::string::npos;
}

TEST(AdoptionTest, ItsStateIsEnoughWhereTheKernelTellsNothing) {
  ExistingDevice device = WithQueues(3);
  device.on_bus = false;
  for (const size_t positions : {0U, 3U}) {
    device.state = StateWith(kOnePair, positions);
    EXPECT_TRUE(JudgeExisting(device).ok()) << JudgeExisting(device);
  }
  device.queue_count = 9;
  device.state = StateWith(kPairs, 9);
  EXPECT_TRUE(JudgeExisting(device).ok()) << JudgeExisting(device);
  device.queue_count = 2;
  device.state = StateWith(0, 2);
  EXPECT_TRUE(JudgeExisting(device).ok()) << JudgeExisting(device);
}

TEST(AdoptionTest, TheKernelsWordIsEnoughWhereTheStateIsLost) {
  ExistingDevice device = WithQueues(3);
  device.virtio_type = VIRTIO_ID_NET;
  EXPECT_TRUE(JudgeExisting(device).ok());
}

TEST(AdoptionTest, ABlockDeviceIsRefusedWhateverTheStateSays) {
  ExistingDevice device = WithQueues(2);
  device.virtio_type = VIRTIO_ID_BLOCK;
  EXPECT_TRUE(Refused(device, "type 2"));
  device.state = StateWith(0, 2);
  EXPECT_TRUE(Refused(device, "type 2"));
}

TEST(AdoptionTest, ADeviceOfUnknownTypeIsRefused) {
  ExistingDevice device = WithQueues(2);
  EXPECT_TRUE(Refused(device, "does not tell its type"));
  device.on_bus = false;
  EXPECT_TRUE(Refused(device, "not attached"));
}

TEST(AdoptionTest, OneThatIsUnlikeItsStateIsRefused) {
  ExistingDevice device = WithQueues(3);
  device.virtio_type = VIRTIO_ID_NET;
  for (const state::SavedState& state :
       {StateWith(0, 3), StateWith(kPairs, 3), StateWith(kOnePair, 5)}) {
    device.state = state;
    EXPECT_TRUE(Refused(device, "3 virtqueues"));
  }
}

TEST(AdoptionTest, NumbersOfQueuesThatOursNeverHaveAreRefused) {
  for (const uint32_t queues : {0U, 1U, 34U, 1000U}) {
    ExistingDevice device = WithQueues(queues);
    device.virtio_type = VIRTIO_ID_NET;
    EXPECT_TRUE(Refused(device, "virtqueues")) << queues;
  }
}

state::SavedState Saved() {
  state::SavedState saved;
  saved.mac = {2, 0, 0, 0, 0, 1};
  saved.mtu = 1500;
  saved.queue_size = 256;
  saved.tap_name = "tap0";
  return saved;
}

RunOptions Options() {
  RunOptions options;
  options.name = "vn0";
  options.tap = "tap0";
  return options;
}

// The error names the option and both of its values.
void ExpectRefused(const RunOptions& options, const std::string& option,
                   const std::string& was, const std::string& is) {
  const absl::Status status = FitsDevice(options, Saved());
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << option;
  for (const std::string& text : {option, was, is}) {
    EXPECT_NE(status.message().find(text), std::string::npos)
        << status << " without " << text;
  }
}

TEST(FitsDeviceTest, TheSameOptionsFitAndThoseThatAreLeftOut) {
  RunOptions options = Options();
  EXPECT_TRUE(FitsDevice(options, Saved()).ok());
  options.mac = Saved().mac;
  options.mtu = 1500;
  options.queue_size = 256;
  EXPECT_TRUE(FitsDevice(options, Saved()).ok());
}

TEST(FitsDeviceTest, AnotherTapIsRefused) {
  RunOptions options = Options();
  options.tap = "tap1";
  ExpectRefused(options, "--tap", "tap0", "tap1");
}

TEST(FitsDeviceTest, ATapThatIsNotKnownFits) {
  state::SavedState saved = Saved();
  saved.tap_name.clear();
  EXPECT_TRUE(FitsDevice(Options(), saved).ok());
}

TEST(FitsDeviceTest, WhatTheDriverHasSeenIsNotChanged) {
  RunOptions options = Options();
  options.mtu = 1400;
  ExpectRefused(options, "--mtu", "1500", "1400");
  options = Options();
  options.mac = net::MacAddress{2, 0, 0, 0, 0, 9};
  ExpectRefused(options, "--mac", "02:00:00:00:00:01", "02:00:00:00:00:09");
  options = Options();
  options.queue_size = 512;
  ExpectRefused(options, "--queue-size", "256", "512");
}

}  // namespace
}  // namespace program
