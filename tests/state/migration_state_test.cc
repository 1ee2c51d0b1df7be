// SPDX-License-Identifier: Apache-2.0
#include "state/migration_state.h"

#include <gtest/gtest.h>

#include <string>

#include "net/wire/features.h"

namespace state {
namespace {

using coalesce::Source;
using Phase = net::DeviceState::Phase;

MigrationState Sample() {
  MigrationState state;
  state.mac = {0x02, 0, 0x5e, 0x10, 0, 1};
  state.mtu = 1400;
  state.queue_size = 256;
  state.device.phase = Phase::kSuspended;
  state.device.features = net::kOfferedFeatures;
  state.device.guest_offloads = net::Bit(net::kFeatureGuestCsum);
  state.device.rx_filter.mac = {0x06, 0, 0x5e, 0x10, 0, 2};
  state.device.rx_filter.Set(net::RxMode::kAllMulti, true);
  state.device.rx_filter.Set(net::RxMode::kNoBcast, true);
  state.device.rx_filter.unicast.overflow = 1;
  state.device.rx_filter.multicast.Add({0x33, 0x33, 0, 0, 0, 1});
  state.device.rx_filter.multicast.Add({0x33, 0x33, 0, 0, 0, 2});
  state.device.rx_filter.AddVlan(4095);
  state.device.active_pairs = 1;
  state.device.positions = {{7}, {0xffff}, {0}};
  state.device.coalescing.all_rx = {.max_packets = 32, .max_usecs = 20000};
  state.device.coalescing.queues = {
      {.params = {.max_packets = 32, .max_usecs = 20000},
       .source = Source::kDriverAll,
       .enabled = true},
      {.params = {.max_packets = UINT32_MAX, .max_usecs = UINT32_MAX},
       .source = Source::kDriverQueue,
       .enabled = false}};
  return state;
}

std::string SampleText() { return FormatMigrationState(Sample()).value(); }

// The sample with its first `from` replaced.
std::string With(const std::string& from, const std::string& to) {
  std::string text = SampleText();
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(MigrationStateTest, WhatWasWrittenIsReadAgain) {
  const absl::StatusOr<MigrationState> read = ParseMigrationState(SampleText());
  ASSERT_TRUE(read.ok()) << read.status();
  const MigrationState wrote = Sample();
  EXPECT_EQ(read->mac, wrote.mac);
  EXPECT_EQ(read->mtu, wrote.mtu);
  EXPECT_EQ(read->queue_size, wrote.queue_size);
  EXPECT_EQ(read->device.phase, Phase::kRestored);
  EXPECT_EQ(read->device.features, wrote.device.features);
  EXPECT_EQ(read->device.guest_offloads, wrote.device.guest_offloads);
  EXPECT_EQ(read->device.rx_filter, wrote.device.rx_filter);
  EXPECT_EQ(read->device.positions, wrote.device.positions);
  EXPECT_EQ(read->device.active_pairs, wrote.device.active_pairs);
  const auto& got = read->device.coalescing;
  const auto& want = wrote.device.coalescing;
  EXPECT_EQ(got.all_rx, want.all_rx);
  EXPECT_EQ(got.all_tx, want.all_tx);
  ASSERT_EQ(got.queues.size(), want.queues.size());
  for (size_t i = 0; i < want.queues.size(); ++i) {
    EXPECT_EQ(got.queues[i].params, want.queues[i].params);
    EXPECT_EQ(got.queues[i].source, want.queues[i].source);
    EXPECT_EQ(got.queues[i].enabled, want.queues[i].enabled);
  }
}

TEST(MigrationStateTest, AFilterThatLetsEverythingThroughIsReadAgain) {
  MigrationState state = Sample();
  state.device.rx_filter = net::RxFilter::For(0, {});
  const std::string text = FormatMigrationState(state).value();
  EXPECT_LT(text.size(), 4000U) << "without a list of all VLANs";
  const absl::StatusOr<MigrationState> read = ParseMigrationState(text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->device.rx_filter, state.device.rx_filter);
}

TEST(MigrationStateTest, OnlyADeviceAtRestHasAStateToSave) {
  MigrationState state = Sample();
  for (const Phase phase : {Phase::kIdle, Phase::kRunning}) {
    state.device.phase = phase;
    EXPECT_EQ(FormatMigrationState(state).status().code(),
              absl::StatusCode::kFailedPrecondition);
  }
  for (const Phase phase :
       {Phase::kSuspended, Phase::kStopped, Phase::kRestored}) {
    state.device.phase = phase;
    EXPECT_TRUE(FormatMigrationState(state).ok());
  }
}

TEST(MigrationStateTest, ADeviceOfUnknownAddressIsNotSaved) {
  MigrationState state = Sample();
  state.mac = {};
  EXPECT_NE(FormatMigrationState(state).status().message().find("--mac"),
            std::string::npos);
}

TEST(MigrationStateTest, AnotherVersionIsRefusedByItsNumber) {
  const absl::Status status =
      ParseMigrationState(With("\"version\": 2", "\"version\": 1")).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(status.message().find("version 1 "), std::string::npos) << status;
}

TEST(MigrationStateTest, WhatIsDamagedIsNamed) {
  const struct {
    const char* from;
    const char* to;
    const char* named;
  } cases[] = {
      {"\"format\"", "\"farmat\"", "'format'"},
      {"vduse-net device", "another device", "'format'"},
      {"\"mtu\": 1400", "\"mtu\": 67", "'mtu'"},
      {"\"mtu\": 1400", "\"mtu\": 65536", "'mtu'"},
      {"\"mtu\": 1400", "\"mtu\": -1", "'mtu'"},
      {"\"mtu\": 1400", "\"mtu\": \"1400\"", "'mtu'"},
      {"\"mtu\": 1400", "\"atu\": 1400", "'mtu'"},
      {"\"queue_size\": 256", "\"queue_size\": 255", "'queue_size'"},
      {"\"queue_size\": 256", "\"queue_size\": 65536", "'queue_size'"},
      {"02:00:5e", "01:00:5e", "multicast"},
      {"\"features\": \"0x", "\"features\": \"0y", "'features'"},
      {"\"guest_offloads\": \"0x", "\"guest_offloads\": \"", "'guest_off"},
      {"\"features\": \"0x", "\"features\": \"0xffffffffffff", "'features'"},
      {"\"rx_filter\": {", "\"rx_filter\": 1, \"x\": {", "'mac'"},
      {"06:00:5e", "06:00:5", "'mac'"},
      {"33:33:00:00:00:02", "33:33:00:00:00:0g", "'multicast'"},
      {"\"33:33:00:00:00:02\"", "7", "'multicast'"},
      {"\"unicast\": \"all\"", "\"unicast\": \"most\"", "'unicast'"},
      {"\"unicast\": \"all\"", "\"unicast\": {}", "'unicast'"},
      {"allmulti", "somemulti", "'modes'"},
      {"\"modes\": [", "\"modes\": \"all\", \"x\": [", "'modes'"},
      {"\"modes\": [", "\"modes\": [0,", "'modes'"},
      {"4095", "4096", "'vlans'"},
      {"4095", "-1", "'vlans'"},
      {"\"active_pairs\": 1", "\"active_pairs\": 17", "'active_pairs'"},
      {"65535", "65536", "'positions'"},
      {"65535", "-1", "'positions'"},
      {"65535", "[]", "'positions'"},
      {"\"positions\": [", "\"positions\": 5, \"x\": [", "'positions'"},
      {"driver-all", "driver-some", "'set_by'"},
      {"20000", "4294967296", "'usecs'"},
      {"20000", "1.5", "'usecs'"},
      {"\"enabled\": true", "\"enabled\": 1", "'enabled'"},
      {"\"coalescing\": {", "\"coalescing\": 1, \"x\": {", "'all_rx'"},
      {"\"all_tx\": null", "\"all_tx\": 5", "'packets'"},
  };
  for (const auto& c : cases) {
    const absl::Status status =
        ParseMigrationState(With(c.from, c.to)).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << c.from << " " << c.to;
    EXPECT_NE(status.message().find(c.named), std::string::npos)
        << c.to << ": " << status;
  }
}

TEST(MigrationStateTest, ATextCutAnywhereIsRefused) {
  const std::string text = SampleText();
  for (size_t size = 0; size + 2 < text.size(); ++size) {
    EXPECT_FALSE(ParseMigrationState(text.substr(0, size)).ok()) << size;
  }
}

TEST(MigrationStateTest, ADamagedByteAnywhereIsSurvived) {
  const std::string text = SampleText();
  for (size_t at = 0; at < text.size(); ++at) {
    for (const char byte : {'\0', '\xff', '"', '{', '9', ' '}) {
      std::string bad = text;
      bad[at] = byte;
      (void)ParseMigrationState(bad).ok();
    }
  }
}

TEST(MigrationStateTest, TheListsAreBounded) {
  std::string many = "1";
  for (int i = 0; i < 100'000; ++i) many += ",1";
  EXPECT_FALSE(ParseMigrationState(With("65535", many)).ok());
  EXPECT_FALSE(ParseMigrationState(With("4095", many)).ok());
  std::string macs = "\"33:33:00:00:00:02\"";
  for (size_t i = 1; i < net::MacTable::kMaxEntries; ++i) {
    macs += ",\"33:33:00:00:00:02\"";
  }
  EXPECT_FALSE(ParseMigrationState(With("\"33:33:00:00:00:02\"", macs)).ok())
      << "one more than there is room for";
  EXPECT_FALSE(ParseMigrationState(std::string(100'000, '[')).ok());
}

TEST(MigrationStateTest, DeepNestingIsRefusedWhereverItStands) {
  const std::string deep =
      std::string(1'000'000, '[') + std::string(1'000'000, ']');
  EXPECT_TRUE(absl::IsInvalidArgument(ParseMigrationState(deep).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      ParseMigrationState(With("\"allmulti\"", deep)).status()));
}

}  // namespace
}  // namespace state
