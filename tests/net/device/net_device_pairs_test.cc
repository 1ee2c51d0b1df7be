// SPDX-License-Identifier: Apache-2.0
//
// A device with several queue pairs.
#include <poll.h>
#include <sys/socket.h>

#include "tests/net/device/net_device_fixture.h"

namespace net {
namespace {

constexpr uint32_t kPairs = 3;
constexpr uint64_t kOffered = kOfferedFeatures & ~Bit(kFeatureEventIdx);
constexpr uint64_t kNoMq = kOffered & ~Bit(kFeatureMq);

class PairsTest : public testing::Test {
 protected:
  PairsTest() {
    base::SetMinLogSeverity(static_cast<base::Severity>(99));
    for (uint32_t i = 0; i < 2 * kPairs + 1; ++i) {
      queues.push_back(std::make_unique<tests::DriverQueue>(
          device, memory, tests::DriverQueue::Options{.index = i, .size = 16}));
    }
    NewNet();
  }

  void NewNet(const std::optional<DeviceState>& resume = {}) {
    net.reset();
    auto created = NetDevice::Create(
        device, {.features = kOffered,
                 .queue_pairs = kPairs,
                 .rx = {},
                 .tx = {},
                 .persist = [this](const auto& state) { saved = state; }});
    ASSERT_TRUE(created.ok()) << created.status();
    net = std::move(*created);
    if (resume) net->Resume(resume);
    wires.clear();
    std::vector<Tap> tap;
    for (uint32_t i = 0; i < kPairs; ++i) {
      std::array<int, 2> ends;
      ASSERT_EQ(
          socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends.data()),
          0);
      tap.emplace_back(base::UniqueFd(ends[0]));
      wires.emplace_back(ends[1]);
    }
    ASSERT_TRUE(net->SetTap(std::move(tap)).ok());
    net->SetLink(true);
  }

  bool Pump(const std::function<bool()>& done, int tries = 2000) {
    return PumpUntil(*net, device, done, tries);
  }

  void Status(uint8_t status) {
    const uint32_t id = device.SendStatus(status);
    ASSERT_TRUE(net->Serve(Now()).ok());
    ASSERT_EQ(device.ReplyTo(id)->result, VDUSE_REQ_RESULT_OK);
  }
  void Activate(uint64_t features) {
    device.SetFeatures(features);
    for (const uint8_t status :
         {kAcknowledge, kDriver, kFeaturesOk, kDriverOk}) {
      Status(status);
    }
  }

  // What queue `ctrl` answers; nothing if it is not answered.
  Bytes Command(uint32_t ctrl, const Bytes& command, int tries = 2000) {
    queues[ctrl]->Chain().Readable(command).Writable(1).Offer();
    queues[ctrl]->Kick();
    std::optional<tests::UsedEntry> used;
    Pump([&] { return !!(used = queues[ctrl]->TakeUsed()); }, tries);
    return used ? used->bytes : Bytes();
  }
  Bytes SetPairs(Bytes payload, uint32_t ctrl = 2 * kPairs) {
    payload.insert(payload.begin(), {4, 0});
    return Command(ctrl, payload);
  }

  bool Receives(uint32_t pair, int tries = 2000) {
    tests::DriverQueue& rx = *queues[2 * pair];
    rx.Chain().Writable(2048).Offer();
    rx.Kick();
    Bytes packet(12 + 60, 0);
    packet[12] = 0xff;  // a broadcast
    std::fill_n(packet.begin() + 12, 6, 0xff);
    EXPECT_GT(send(wires[pair].get(), packet.data(), packet.size(), 0), 0);
    return Pump([&] { return !!rx.TakeUsed(); }, tries);
  }
  bool Transmits(uint32_t pair) {
    tests::DriverQueue& tx = *queues[2 * pair + 1];
    tx.Chain().Readable(Bytes(12 + 60, 0)).Offer();
    tx.Kick();
    std::array<uint8_t, 128> out;
    return Pump([&] {
             return recv(wires[pair].get(), out.data(), out.size(), 0) == 72;
           }) &&
           Pump([&] { return !!tx.TakeUsed(); });
  }

  static constexpr int kFew = 30;  // tries, where nothing is to come
  std::optional<DeviceState> saved;
  tests::FakeDevice device{2 * kPairs + 1};
  tests::DriverMemory memory{device};
  std::vector<std::unique_ptr<tests::DriverQueue>> queues;
  std::vector<base::UniqueFd> wires;
  std::unique_ptr<NetDevice> net;
};

const Bytes kOk = {0};
const Bytes kErr = {1};

TEST_F(PairsTest, WithMqTheControlQueueIsTheLast) {
  Activate(kOffered);
  EXPECT_EQ(SetPairs({2, 0}), kOk);
  EXPECT_EQ(net->active_pairs(), 2);
  EXPECT_TRUE(Receives(1)) << "queue 2 is a data queue";
}

TEST_F(PairsTest, WithoutMqItIsBehindTheOnlyPair) {
  Activate(kNoMq);
  EXPECT_EQ(SetPairs({2, 0}, 2), kErr);
  EXPECT_EQ(Command(2, {0, 0, 1}), kOk);
  EXPECT_TRUE(Receives(0));
  EXPECT_TRUE(Transmits(0));
  EXPECT_EQ(Command(2 * kPairs, {0, 0, 1}, kFew), Bytes()) << "nobody's queue";
  EXPECT_EQ(Command(3, {0, 0, 1}, kFew), Bytes());
  // And the other way round again.
  Status(0);
  for (const auto& queue : queues) queue->Restart(0);
  Activate(kOffered);
  EXPECT_EQ(SetPairs({3, 0}), kOk);
  EXPECT_TRUE(Receives(2));
}

TEST_F(PairsTest, Row107_ANumberOfPairsThereIsNotIsRefused) {
  Activate(kOffered);
  EXPECT_EQ(SetPairs({2, 0}), kOk);
  for (const Bytes& bad : std::vector<Bytes>{{0, 0},
                                             {kPairs + 1, 0},
                                             {0, 0x80},
                                             {0xff, 0xff},
                                             {},
                                             {1},
                                             {1, 0, 0}}) {
    EXPECT_EQ(SetPairs(bad), kErr);
  }
  EXPECT_EQ(net->active_pairs(), 2);
}

TEST_F(PairsTest, OnlyPairsInUseReceive) {
  Activate(kOffered);
  EXPECT_TRUE(Receives(0));
  EXPECT_FALSE(Receives(1, kFew));
  ASSERT_EQ(SetPairs({2, 0}), kOk);
  EXPECT_TRUE(Pump([&] { return !!queues[2]->TakeUsed(); }))
      << "what waited in the TAP";
  EXPECT_TRUE(Receives(1));
  EXPECT_FALSE(Receives(2, kFew));
  ASSERT_EQ(SetPairs({1, 0}), kOk);
  EXPECT_FALSE(Receives(1, kFew));
  EXPECT_TRUE(Receives(0));
}

// The TAP's owner and the driver choose the pairs: each may choose one that
// the other has not prepared.
TEST_F(PairsTest, Row93_APacketForAPairThatCannotReceiveHoldsUpNoOther) {
  constexpr uint32_t kLate = 2;
  device.SetReady(2 * kLate, false);
  Activate(kOffered);
  EXPECT_FALSE(Receives(1, kFew)) << "not in use";
  ASSERT_EQ(SetPairs({kPairs, 0}), kOk);
  EXPECT_TRUE(Pump([&] { return !!queues[2]->TakeUsed(); }));
  EXPECT_FALSE(Receives(kLate, kFew)) << "in use, and not ready";
  EXPECT_TRUE(Receives(0));
  EXPECT_TRUE(Receives(1));
  device.SetReady(2 * kLate, true);
  queues[2 * kLate]->Kick();
  EXPECT_TRUE(Pump([&] { return !!queues[2 * kLate]->TakeUsed(); }))
      << "what waited in its queue of the TAP";
}

TEST_F(PairsTest, EveryPairTransmitsWhatIsOffered) {
  Activate(kOffered);
  for (uint32_t pair = 0; pair < kPairs; ++pair) EXPECT_TRUE(Transmits(pair));
}

TEST_F(PairsTest, AResetLeavesOne) {
  Activate(kOffered);
  ASSERT_EQ(SetPairs({3, 0}), kOk);
  Status(0);
  for (const auto& queue : queues) queue->Restart(0);
  Activate(kOffered);
  EXPECT_EQ(net->active_pairs(), 1);
  EXPECT_FALSE(Receives(1, kFew));
}

TEST_F(PairsTest, ASuccessorGoesOnWithAsMany) {
  Activate(kOffered);
  ASSERT_EQ(SetPairs({2, 0}), kOk);
  NewNet(saved);
  EXPECT_EQ(net->active_pairs(), 2);
  EXPECT_TRUE(Receives(1));
  EXPECT_FALSE(Receives(2, kFew));
  EXPECT_EQ(SetPairs({3, 0}), kOk);
}

TEST_F(PairsTest, AStateOfMoreThanThereAreIsRefused) {
  Activate(kOffered);
  Status(0);
  DeviceState state = *saved;
  for (const uint16_t pairs : {uint16_t{0}, uint16_t{kPairs + 1}}) {
    state.active_pairs = pairs;
    EXPECT_TRUE(absl::IsInvalidArgument(net->Restore(state)));
  }
  state.active_pairs = kPairs;
  EXPECT_TRUE(net->Restore(state).ok());
}

TEST_F(PairsTest, AnotherNumberOfTapQueuesIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(net->SetTap({})));
}

TEST_F(PairsTest, Row104_OnlyQueuesThatTheDriverHasHaveStatistics) {
  Activate(kOffered);
  for (uint32_t queue = 0; queue < 2 * kPairs + 40; ++queue) {
    EXPECT_EQ(net->commands().Stats(queue).has_value(), queue < 2 * kPairs)
        << queue;
  }
  Status(0);
  Activate(kNoMq);
  for (uint32_t queue = 0; queue < 2 * kPairs + 40; ++queue) {
    EXPECT_EQ(net->commands().Stats(queue).has_value(), queue < 2) << queue;
  }
}

}  // namespace
}  // namespace net
