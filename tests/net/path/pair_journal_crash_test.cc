// SPDX-License-Identifier: Apache-2.0
//
// A device that is killed between any two of its instructions. The data path
// runs one instruction at a time, and an image of what outlives the process is
// kept wherever that has changed, and here and there between. Then a successor
// goes on from each image.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include <array>
#include <cstring>
#include <string>

#include "tests/net/path/crash_world.h"

namespace net {
namespace {

constexpr uint64_t kTrapFlag = 0x100;

// The images, and when to keep the next one.
struct Images {
  static constexpr size_t kMost = 2000;
  // Instructions without a change after which an image is kept all the same.
  static constexpr uint64_t kBetween = 1999;

  explicit Images(CrashWorld& its_world) : world(&its_world) {
    void* map =
        mmap(nullptr, kMost * CrashWorld::kImageBytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    tests::Must(map != MAP_FAILED, "mmap");
    memory = static_cast<uint8_t*>(map);
  }
  ~Images() { munmap(memory, kMost * CrashWorld::kImageBytes); }
  Images(const Images&) = delete;
  Images& operator=(const Images&) = delete;

  const uint8_t* image(size_t i) const {
    return memory + i * CrashWorld::kImageBytes;
  }

  // What tells a successor where to go on: the used indices, and the journal
  // without its staging memory.
  bool Changed() {
    std::array<uint8_t, kMarkBytes> now;
    std::memcpy(now.data(), world->journal.span().data(), kMarkBytes);
    const std::array<uint16_t, 2> used_now = {world->rx.used_idx(),
                                              world->tx.used_idx()};
    const bool changed = used_now != used ||
                         std::memcmp(now.data(), marks.data(), kMarkBytes) != 0;
    marks = now;
    used = used_now;
    return changed;
  }

  // The process has run one more instruction.
  void OnStep() {
    ++steps;
    if (!Changed() && steps % kBetween != 0) return;
    if (count < kMost) world->Save(memory + count * CrashWorld::kImageBytes);
    at[std::min(count++, kMost - 1)] = steps;
  }

  static constexpr size_t kMarkBytes = 1536;
  CrashWorld* world;
  uint8_t* memory;
  size_t count = 0;
  uint64_t steps = 0;
  std::array<uint64_t, kMost> at{};  // the step of each image
  std::array<uint8_t, kMarkBytes> marks{};
  std::array<uint16_t, 2> used{};
};

Images* g_images = nullptr;

void StepByStep() {
#if defined(__x86_64__)
  __writeeflags(__readeflags() | kTrapFlag);
#endif
}

void OnTrap(int, siginfo_t*, void* context) {
  // The kernel works at full speed, and is not interrupted.
  if (g_images != nullptr && g_images->world->port().inside == 0) {
    g_images->OnStep();
    return;
  }
#if defined(__x86_64__)
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &=
      ~static_cast<greg_t>(kTrapFlag);
#endif
}

std::string ScenarioName(const testing::TestParamInfo<Scenario>& scenario) {
  return scenario.param.name;
}

class CrashTest : public testing::TestWithParam<Scenario> {
 protected:
  // Successors that die before they have moved a packet.
  static constexpr int kShortLives = 1;

  // The predecessor, up to the point where it waits.
  static void Live(CrashWorld& world, Images& images) {
    const std::unique_ptr<QueuePair> pair = world.MakePair();
    world.StartQueues(*pair, Virtqueue::Start::kFresh);
    world.SetPort(*pair);
    struct sigaction action = {};
    struct sigaction before = {};
    action.sa_sigaction = OnTrap;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGTRAP, &action, &before);
    g_images = &images;
    CrashPort::after_call = StepByStep;
    StepByStep();
    CrashWorld::Run(*pair);
    g_images = nullptr;  // the next step is the last
    CrashPort::after_call = nullptr;
    sigaction(SIGTRAP, &before, nullptr);
    pair->journal().Leave();
  }

  // A successor finds the image.
  static bool Succeed(const Scenario& scenario, SharedMemory& journal,
                      const uint8_t* image) {
    CrashWorld after(scenario, journal);
    after.Load(image);
    for (int life = 0; life < kShortLives; ++life) {
      const std::unique_ptr<QueuePair> pair = after.MakePair();
      after.StartQueues(*pair, Virtqueue::Start::kRecovered);
      after.SetPort(*pair);
    }
    const std::unique_ptr<QueuePair> pair = after.MakePair();
    after.StartQueues(*pair, Virtqueue::Start::kRecovered);
    after.SetPort(*pair);
    CrashWorld::Run(*pair);
    after.port().room = 1000;
    after.OfferRx(CrashWorld::kSize - after.rx.outstanding());
    CrashWorld::Run(*pair);
    return AllCameThrough(after);
  }
};

TEST_P(CrashTest, WhereverItDiesNothingIsLostOrRepeated) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "runs step by step on amd64 only";
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "would take many minutes: each instruction is a signal";
#endif
  SharedMemory journal(PairJournal::kBytes);
  CrashWorld world(GetParam(), journal);
  const auto images = std::make_unique<Images>(world);
  Live(world, *images);
  EXPECT_GT(images->steps, 1000U);
  EXPECT_GT(images->count, 3U);
  ASSERT_LE(images->count, Images::kMost);
  for (size_t i = 0; i < images->count; ++i) {
    ASSERT_TRUE(Succeed(GetParam(), journal, images->image(i)))
        << "killed after " << images->at[i] << " of " << images->steps
        << " instructions";
  }
  printf("%zu successors after %llu instructions\n", images->count,
         static_cast<unsigned long long>(images->steps));
}

constexpr Scenario kScenarios[] = {
    Scenario{
        .name = "Small", .rx_packets = 7, .rx_buffers = 30, .tx_packets = 6},
    Scenario{.name = "IndicesWrap",
             .rx_packets = 5,
             .rx_buffers = 30,
             .tx_packets = 5,
             .base = 65533},
    Scenario{.name = "SomeWaitForBuffers", .rx_packets = 9, .rx_buffers = 6},
    Scenario{.name = "SomeWaitForThePort", .tx_packets = 6, .room = 3},
    Scenario{.name = "ABadChainAmongThem", .tx_packets = 5, .tx_refused = 2},
    Scenario{.name = "SeveralBuffersAPacket",
             .rx_frame = 700,
             .rx_packets = 6,
             .rx_buffer = 256,
             .rx_buffers = 14},
    Scenario{.name = "OneBufferAPacket",
             .rx_packets = 5,
             .rx_buffers = 4,
             .merge = false},
    // The MTU is what the device expects after a packet over 2 KiB.
    Scenario{.name = "LargeIntoTheirBuffers",
             .rx_frame = 2500,
             .rx_packets = 5,
             .rx_buffer = 1024,
             .rx_buffers = 30,
             .mtu = 4000},
    Scenario{.name = "PartlyIntoTheirBuffers",
             .rx_frame = 2500,
             .rx_more = 1400,
             .rx_packets = 7,
             .rx_buffer = 1024,
             .rx_buffers = 40,
             .mtu = 2600},
    Scenario{.name = "LargeBesideTheirBuffers",
             .rx_frame = 4000,
             .rx_packets = 5,
             .rx_buffer = 1024,
             .rx_buffers = 60},
    Scenario{.name = "LargestIntoTheirBuffers",
             .rx_frame = 3900,
             .rx_packets = 4,
             .rx_buffer = 1200,
             .rx_buffers = 60},
    Scenario{.name = "LargeIntoOneBuffer",
             .rx_frame = 2500,
             .rx_packets = 5,
             .rx_buffer = 3000,
             .rx_buffers = 7,
             .merge = false,
             .mtu = 2800},
    Scenario{.name = "LargeAndTooFewBuffers",
             .rx_frame = 2500,
             .rx_packets = 4,
             .rx_buffer = 1024,
             .rx_buffers = 10,
             .mtu = 2600},
};

INSTANTIATE_TEST_SUITE_P(Scenarios, CrashTest, testing::ValuesIn(kScenarios),
                         ScenarioName);

}  // namespace
}  // namespace net
