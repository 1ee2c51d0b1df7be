// SPDX-License-Identifier: Apache-2.0
#include "state/state_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/temp_dir.h"

namespace state {
namespace {

using coalesce::Source;

// A state that `number` tells from others.
SavedState Numbered(uint16_t number) {
  SavedState state;
  state.features = 0xabcdef00ULL + number;
  state.mac = {2, 0, 0, 0, 0, static_cast<uint8_t>(number)};
  state.mtu = number;
  state.queue_size = number;
  state.tap_created = true;
  state.tap_name = "tap0";
  state.tap_index = 1U + number;
  state.tap_namespace = 0xf00000000ULL + number;
  state.operator_rx = coalesce::Params{.max_packets = number, .max_usecs = 9};
  state.operator_tx = {
      {.max_packets = 3, .max_usecs = 8},
      {.kind = coalesce::Goal::Kind::kMaxRate, .value = 1U + number}};
  state.device.phase = net::DeviceState::Phase::kSuspended;
  state.device.features = 0x12345600ULL + number;
  state.device.guest_offloads = 0x180ULL + number;
  state.device.rx_filter = net::RxFilter::For(0, state.mac);
  state.device.rx_filter.RemoveVlan(number % net::RxFilter::kVlans);
  state.device.rx_filter.multicast.Add({1, 0, 0, 0, 0, 1});
  state.device.announce = true;
  state.device.asids = {0, 1};
  state.device.active_pairs = static_cast<uint16_t>(1 + number % 16);
  state.device.positions = {{number}, {0}, {0xffff}};
  state.device.coalescing.all_rx = {.max_packets = number, .max_usecs = 5};
  state.device.coalescing.queues = {
      {.params = {.max_packets = 1, .max_usecs = UINT32_MAX},
       .source = Source::kDriverQueue,
       .enabled = true},
      {.params = {.max_packets = number, .max_usecs = 4},
       .source = Source::kDriverAll,
       .enabled = false}};
  return state;
}

void ExpectSame(const SavedState& a, const SavedState& b) {
  EXPECT_EQ(a.features, b.features);
  EXPECT_EQ(a.mac, b.mac);
  EXPECT_EQ(a.mtu, b.mtu);
  EXPECT_EQ(a.queue_size, b.queue_size);
  EXPECT_EQ(a.device.phase, b.device.phase);
  EXPECT_EQ(a.device.features, b.device.features);
  EXPECT_EQ(a.device.guest_offloads, b.device.guest_offloads);
  EXPECT_EQ(a.device.rx_filter, b.device.rx_filter);
  EXPECT_EQ(a.device.announce, b.device.announce);
  EXPECT_EQ(a.device.asids, b.device.asids);
  EXPECT_EQ(a.device.positions, b.device.positions);
  EXPECT_EQ(a.device.active_pairs, b.device.active_pairs);
  EXPECT_EQ(a.tap_created, b.tap_created);
  EXPECT_EQ(a.tap_name, b.tap_name);
  EXPECT_EQ(a.tap_index, b.tap_index);
  EXPECT_EQ(a.tap_namespace, b.tap_namespace);
  EXPECT_EQ(a.operator_rx, b.operator_rx);
  EXPECT_EQ(a.operator_tx, b.operator_tx);
  EXPECT_EQ(a.device.coalescing.all_rx, b.device.coalescing.all_rx);
  EXPECT_EQ(a.device.coalescing.all_tx, b.device.coalescing.all_tx);
  ASSERT_EQ(a.device.coalescing.queues.size(),
            b.device.coalescing.queues.size());
  for (size_t i = 0; i < a.device.coalescing.queues.size(); ++i) {
    EXPECT_EQ(a.device.coalescing.queues[i].params,
              b.device.coalescing.queues[i].params);
    EXPECT_EQ(a.device.coalescing.queues[i].source,
              b.device.coalescing.queues[i].source);
    EXPECT_EQ(a.device.coalescing.queues[i].enabled,
              b.device.coalescing.queues[i].enabled);
  }
}

class StateFileTest : public testing::Test {
 protected:
  StateFile Open() {
    absl::StatusOr<StateFile> file = StateFile::Open(dir_, "dev0");
    EXPECT_TRUE(file.ok()) << file.status();
    return std::move(*file);
  }
  std::string Path() const { return dir_ + "/dev0.state"; }
  std::string Bytes() const {
    std::ifstream file(Path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void SetBytes(const std::string& bytes) const {
    std::ofstream(Path(), std::ios::binary | std::ios::trunc) << bytes;
  }
  // Overwrites part of the file in place, under the nose of who mapped it.
  void Poke(size_t at, const std::string& bytes) const {
    std::fstream file(Path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at));
    file << bytes;
  }

  const tests::TempDir temp_;
  const std::string& root_ = temp_.path();
  const std::string dir_ = root_ + "/run";
};

TEST_F(StateFileTest, ANewFileSaysNothing) {
  const StateFile file = Open();
  EXPECT_FALSE(file.Read());
}

TEST_F(StateFileTest, WhatWasWrittenIsReadAgainByThisProcessAndTheNext) {
  {
    StateFile file = Open();
    file.Write(Numbered(1));
    ExpectSame(file.Read().value(), Numbered(1));
  }
  ExpectSame(Open().Read().value(), Numbered(1));
}

TEST_F(StateFileTest, WhatAnotherProcessHasWrittenCanBeRead) {
  EXPECT_FALSE(StateFile::Peek(dir_, "dev0"));
  StateFile file = Open();
  EXPECT_FALSE(StateFile::Peek(dir_, "dev0"));
  file.Write(Numbered(1));
  ExpectSame(StateFile::Peek(dir_, "dev0").value(), Numbered(1));
}

TEST_F(StateFileTest, TheLastOfManyWritesCounts) {
  {
    StateFile file = Open();
    for (uint16_t i = 1; i < 1000; ++i) {
      file.Write(Numbered(i));
      ASSERT_EQ(file.Read().value().mtu, i);
    }
  }
  ExpectSame(Open().Read().value(), Numbered(999));
}

TEST_F(StateFileTest, AStateWithNothingInItIsAState) {
  StateFile file = Open();
  file.Write(SavedState{});
  ExpectSame(file.Read().value(), SavedState{});
}

TEST_F(StateFileTest, ADamagedByteAnywhereLeavesTheOtherStateOrTheSame) {
  StateFile file = Open();
  file.Write(Numbered(1));
  file.Write(Numbered(2));
  const std::string good = Bytes();
  int older = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      Poke(at, {static_cast<char>(good[at] ^ flip)});
      const std::optional<SavedState> state = file.Read();
      Poke(at, {good[at]});
      ASSERT_TRUE(state) << at;
      ExpectSame(*state, Numbered(state->mtu));
      ASSERT_TRUE(state->mtu == 1 || state->mtu == 2) << at;
      if (state->mtu == 1) ++older;
    }
  }
  EXPECT_EQ(static_cast<size_t>(older), 3 * good.size() / 2);
}

TEST_F(StateFileTest, ADamagedByteInTheOnlyStateLeavesNothing) {
  StateFile file = Open();
  file.Write(Numbered(1));
  const std::string good = Bytes();
  for (size_t at = 0; at < good.size() / 2; ++at) {
    Poke(at, {static_cast<char>(good[at] ^ 0x10)});
    ASSERT_FALSE(file.Read()) << at;
    Poke(at, {good[at]});
  }
  EXPECT_TRUE(file.Read());
}

TEST_F(StateFileTest, AWriteCutOffAnywhereLeavesTheOldStateOrTheNew) {
  StateFile file = Open();
  file.Write(Numbered(1));
  file.Write(Numbered(2));
  const std::string before = Bytes();
  file.Write(Numbered(3));
  const std::string after = Bytes();
  Poke(0, before);
  for (size_t done = 0; done <= after.size(); ++done) {
    if (done > 0) Poke(done - 1, {after[done - 1]});
    const std::optional<SavedState> state = file.Read();
    ASSERT_TRUE(state) << done;
    ExpectSame(*state, Numbered(state->mtu));
    ASSERT_TRUE(state->mtu == 2 || state->mtu == 3) << done;
  }
  ExpectSame(file.Read().value(), Numbered(3));
}

TEST_F(StateFileTest, AWriteOverADamagedStateIsReadAgain) {
  Open().Write(Numbered(1));
  std::string bad = Bytes();
  bad[20] ^= 1;
  SetBytes(bad);
  StateFile file = Open();
  ASSERT_FALSE(file.Read());
  file.Write(Numbered(2));
  ExpectSame(file.Read().value(), Numbered(2));
}

TEST_F(StateFileTest, AFileCutShortLeavesTheOldStateOrNothing) {
  {
    StateFile file = Open();
    file.Write(Numbered(1));
    file.Write(Numbered(2));
  }
  const std::string good = Bytes();
  for (size_t size = 0; size < good.size(); size += 7) {
    SetBytes(good.substr(0, size));
    const std::optional<SavedState> state = Open().Read();
    ASSERT_EQ(state.has_value(), size >= good.size() / 2) << size;
    if (state) ExpectSame(*state, Numbered(1));
  }
}

TEST_F(StateFileTest, AFileThatGrewIsReadAndReplaced) {
  Open().Write(Numbered(1));
  const size_t size = Bytes().size();
  SetBytes(Bytes() + std::string(100'000, 'x'));
  StateFile file = Open();
  ExpectSame(file.Read().value(), Numbered(1));
  file.Write(Numbered(2));
  EXPECT_EQ(Bytes().size(), size);
}

TEST_F(StateFileTest, AnOlderLayoutIsReadAndStaysUntilTheFirstWrite) {
  ASSERT_EQ(mkdir(dir_.c_str(), 0700), 0);
  const std::string old = EncodeStateAsV6(Numbered(3));
  SetBytes(old);
  SavedState known = Numbered(3);
  known.tap_name.clear();
  known.tap_index = 0;
  known.tap_namespace = 0;
  {
    const StateFile file = Open();
    ExpectSame(file.Read().value(), known);
  }
  EXPECT_EQ(Bytes(), old) << "a start that came to nothing";
  {
    StateFile file = Open();
    file.Write(Numbered(4));
  }
  EXPECT_EQ(Bytes().substr(0, 8), "dusenet7");
  ExpectSame(Open().Read().value(), Numbered(4));
}

TEST_F(StateFileTest, ANewerLayoutIsRefusedAndLeftAsItIs) {
  Open().Write(Numbered(1));
  std::string newer = Bytes();
  newer[7] = '8';
  SetBytes(newer);
  const absl::Status status = StateFile::Open(dir_, "dev0").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  for (const char* text : {"dev0.state", "newer release", "layout 8"}) {
    EXPECT_NE(status.message().find(text), std::string::npos) << status;
  }
  EXPECT_EQ(Bytes(), newer);
}

TEST_F(StateFileTest, NoiseSaysNothing) {
  Open().Write(Numbered(1));
  for (const char fill : {'\xff', 'x', '\x01'}) {
    SetBytes(std::string(Bytes().size(), fill));
    EXPECT_FALSE(Open().Read());
  }
}

TEST_F(StateFileTest, Row140_MoreQueuesThanFitAreCutOff) {
  StateFile file = Open();
  SavedState state = Numbered(1);
  state.device.coalescing.queues.resize(kMaxSavedQueues + 10);
  state.device.positions.resize(kMaxSavedQueues + 10);
  file.Write(state);
  EXPECT_EQ(file.Read().value().device.positions.size(), kMaxSavedQueues);
  EXPECT_EQ(file.Read().value().device.coalescing.queues.size(),
            kMaxSavedQueues);
}

TEST_F(StateFileTest, Row140_AFilterThatIsNoneSaysNothing) {
  StateFile file = Open();
  SavedState state = Numbered(1);
  state.device.rx_filter.unicast.count = net::MacTable::kMaxEntries + 1;
  file.Write(state);
  EXPECT_FALSE(file.Read());
}

TEST_F(StateFileTest, Row142_ASymbolicLinkIsNotFollowed) {
  ASSERT_EQ(mkdir(dir_.c_str(), 0700), 0);
  const std::string elsewhere = root_ + "/elsewhere";
  std::ofstream(elsewhere) << "precious";
  ASSERT_EQ(symlink(elsewhere.c_str(), Path().c_str()), 0);
  EXPECT_FALSE(StateFile::Open(dir_, "dev0").ok());
  EXPECT_EQ(std::filesystem::file_size(elsewhere), 8U);
}

TEST_F(StateFileTest, Row142_FileAndDirectoryAreForTheOwnerAlone) {
  StateFile file = Open();
  file.Write(Numbered(1));
  struct stat info = {};
  ASSERT_EQ(stat(Path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  ASSERT_EQ(stat(dir_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
}

TEST_F(StateFileTest, ADirectoryThatCannotBeMadeIsAnErrorThatNamesIt) {
  const absl::Status status =
      StateFile::Open("/proc/no-such-place", "dev0").status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("/proc/no-such-place"), std::string::npos);
}

TEST_F(StateFileTest, ARemovedFileIsGoneAndCanBeMadeAnew) {
  StateFile file = Open();
  file.Write(Numbered(1));
  file.Remove();
  EXPECT_TRUE(std::filesystem::is_empty(dir_));
  EXPECT_FALSE(Open().Read());
}

TEST_F(StateFileTest, TheSecondProcessIsToldWhoTheFirstIs) {
  StateFile file = Open();
  file.Write(Numbered(1));
  const std::string before = Bytes();
  const absl::Status status = StateFile::Open(dir_, "dev0").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_NE(status.message().find(std::to_string(getpid())), std::string::npos)
      << status;
  EXPECT_EQ(Bytes(), before);
}

TEST_F(StateFileTest, WhoComesWhileAnotherGoesGetsAFileOfHisOwn) {
  StateFile predecessor = Open();
  predecessor.Write(Numbered(1));
  std::optional<StateFile> successor;
  std::thread waiting([&] {
    for (int i = 0; i < 10 && !successor; ++i) {  // 20 seconds
      absl::StatusOr<StateFile> file = StateFile::Open(dir_, "dev0");
      if (file.ok()) successor.emplace(std::move(*file));
    }
  });
  predecessor.Remove();
  waiting.join();
  ASSERT_TRUE(successor);
  EXPECT_FALSE(successor->Read());
  successor->Write(Numbered(2));
  ExpectSame(successor->Read().value(), Numbered(2));
  EXPECT_EQ(Bytes().substr(0, 7), "dusenet");
}

TEST_F(StateFileTest, AStartThatCameToNothingLeavesNothing) {
  { const StateFile file = Open(); }
  EXPECT_TRUE(std::filesystem::is_empty(dir_));
}

TEST_F(StateFileTest, ItsSpaceIsTakenBeforeTheFirstWrite) {
  const StateFile file = Open();
  struct stat info = {};
  ASSERT_EQ(stat((Path() + ".new").c_str(), &info), 0);
  EXPECT_EQ(static_cast<size_t>(info.st_size), StateBytes());
  EXPECT_GE(static_cast<size_t>(info.st_blocks) * 512, StateBytes());
}

TEST_F(StateFileTest, TwoDevicesHaveAStateEach) {
  StateFile one = Open();
  absl::StatusOr<StateFile> two = StateFile::Open(dir_, "dev1");
  ASSERT_TRUE(two.ok());
  one.Write(Numbered(1));
  two->Write(Numbered(2));
  EXPECT_EQ(one.Read().value().mtu, 1);
  EXPECT_EQ(two->Read().value().mtu, 2);
}

}  // namespace
}  // namespace state
