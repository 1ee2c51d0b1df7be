// SPDX-License-Identifier: Apache-2.0
//
// Processes that serve a driver through io_uring and are killed at any moment,
// many times in a row; how often says KILL_ROUNDS.
#include <errno.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "base/unique_fd.h"
#include "net/path/tap.h"
#include "tests/net/path/crash_world.h"

namespace net {
namespace {

using std::chrono::microseconds;

// What the processes have found, in memory that they share.
struct Findings {
  uint64_t sent = 0;      // by a predecessor, and not completed
  uint64_t received = 0;  // by a predecessor, and not delivered
  uint64_t started = 0;
};

Instant Time() { return std::chrono::steady_clock::now(); }

uint64_t Load(const uint64_t& value) {
  return std::atomic_ref(const_cast<uint64_t&>(value)).load();
}

class KillTest : public testing::Test {
 protected:
  KillTest() {
    std::array<int, 2> ends;
    tests::Must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0,
                           ends.data()) == 0,
                "socketpair");
    ours = base::UniqueFd(ends[0]);
    theirs = base::UniqueFd(ends[1]);
  }

  static int Rounds() {
    const char* rounds = std::getenv("KILL_ROUNDS");
    return rounds != nullptr ? std::atoi(rounds) : 100;
  }

  // A process of the device, until it is killed.
  [[noreturn]] void Serve(Virtqueue::Start start) {
    const std::unique_ptr<QueuePair> pair = world.MakePair();
    Findings& found = findings.as<Findings>();
    pair->journal().TakeUp();
    if (start == Virtqueue::Start::kRecovered) {
      found.sent += pair->journal().SentFrom(world.tx.used_idx());
      if (const auto left = pair->journal().ReceivedAt(world.rx.used_idx())) {
        for (size_t slot = left->gone; slot < kMaxBatch; ++slot) {
          found.received += left->bytes[slot] > 0 ? 1 : 0;
        }
      }
    }
    world.StartQueues(*pair, start);
    auto tap = std::make_unique<Tap>(tests::Duplicate(ours.get()));
    if (!tap->StartEngine(Engine::kUring, &pair->journal()).ok()) _exit(1);
    if (!tap->results_survive()) _exit(2);
    pair->SetPort(std::move(tap));
    std::atomic_ref(found.started).fetch_add(1);
    for (;;) CrashWorld::Run(*pair);
  }

  // The driver and the other end of the port, for a while.
  void Drive(microseconds time) {
    const Instant end = Time() + time;
    do {
      OfferAll();
      TakeAll();
    } while (Time() < end && !HasFailure());
  }

  void OfferAll() {
    // Rather few buffers, so that packets wait for them now and then.
    while (world.rx.outstanding() < 12) world.OfferRx(1);
    for (int i = 0; i < 6 && world.tx.outstanding() < 40; ++i) {
      world.tx.Chain().Readable(NumberedPacket(tx_offered++, 60)).Offer();
    }
    for (int i = 0; i < 6 && rx_sent - rx_taken < 100; ++i) {
      const Bytes packet = NumberedPacket(rx_sent, FrameBytes(rx_sent));
      if (send(theirs.get(), packet.data(), packet.size(), 0) < 0) break;
      ++rx_sent;
    }
  }

  void TakeAll() {
    while (const std::optional<Bytes> packet = world.TakePacket()) {
      EXPECT_EQ(IdOf(*packet), rx_taken);
      EXPECT_EQ(*packet, NumberedPacket(rx_taken, FrameBytes(rx_taken)));
      ++rx_taken;
      if (HasFailure()) return;
    }
    world.tx.DrainUsed();
    std::array<uint8_t, 4096> packet;
    while (true) {
      const ssize_t n = recv(theirs.get(), packet.data(), packet.size(), 0);
      if (n < 0) return;
      EXPECT_EQ(IdOf(Bytes(packet.data(), packet.data() + n)), tx_taken++);
      if (HasFailure()) return;
    }
  }

  // Runs of packets that are read into the driver's buffers.
  static size_t FrameBytes(uint32_t id) { return id / 64 % 4 == 3 ? 3000 : 60; }

  SharedMemory journal{PairJournal::kBytes};
  CrashWorld world{{.name = "Kill", .rx_buffer = 1024, .mtu = 3000}, journal};
  SharedMemory findings{sizeof(Findings)};
  base::UniqueFd ours;
  base::UniqueFd theirs;
  uint32_t rx_sent = 0;
  uint32_t rx_taken = 0;
  uint32_t tx_offered = 0;
  uint32_t tx_taken = 0;
};

TEST_F(KillTest, EveryPacketComesThroughOnceAndInOrder) {
  std::mt19937 random(1);
  Virtqueue::Start start = Virtqueue::Start::kFresh;
  for (int round = 0; round <= Rounds() && !HasFailure(); ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) Serve(start);
    start = Virtqueue::Start::kRecovered;
    const auto& found = findings.as<Findings>();
    const uint64_t started = found.started;
    const Instant patience = Time() + std::chrono::seconds(5);
    while (Load(found.started) == started && Time() < patience &&
           !HasFailure()) {
      Drive(microseconds(50));
    }
    Drive(microseconds(random() % 2000));
    // The last one is left alone until everything has come through.
    for (int i = 0; i < 1000 && round == Rounds() &&
                    (rx_sent != rx_taken || tx_offered != tx_taken);
         ++i) {
      while (world.rx.outstanding() < 12) world.OfferRx(1);
      TakeAll();
      usleep(1000);
    }
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
      GTEST_SKIP() << "no io_uring with memory of ours here";
    }
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
  }
  const auto& found = findings.as<Findings>();
  printf(
      "%u received, %u transmitted, %llu processes; left by a predecessor: "
      "%llu read, %llu written\n",
      rx_taken, tx_taken, static_cast<unsigned long long>(found.started),
      static_cast<unsigned long long>(found.received),
      static_cast<unsigned long long>(found.sent));
  EXPECT_EQ(rx_taken, rx_sent);
  EXPECT_EQ(tx_taken, tx_offered);
  EXPECT_GT(found.started, 0U);
}

}  // namespace
}  // namespace net
