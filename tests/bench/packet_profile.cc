// SPDX-License-Identifier: Apache-2.0
//
// Where the time of a packet goes: the parts of the data path each alone, the
// whole of it over a port that does nothing, and over a TAP. The driver's own
// time is not counted.
//   packet_profile [--rounds N] [--engine NAME]
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "coalesce/coalescer.h"
#include "net/path/notified_queue.h"
#include "net/path/offload.h"
#include "net/path/pair_journal.h"
#include "net/path/queue_pair.h"
#include "net/path/tap.h"
#include "tests/bench/bench_tap.h"
#include "tests/bench/measure.h"
#include "tests/bench/pair_lane.h"
#include "tests/bench/pinned_thread.h"
#include "vduse/iova_map.h"
#include "vduse/virtqueue.h"

namespace bench {
namespace {

constexpr uint32_t kQueueSize = 256;
constexpr uint32_t kFrameBytes = 64;
constexpr uint32_t kPacketBytes = net::kHeaderBytes + kFrameBytes;
constexpr uint32_t kBatch = 64;
constexpr Duration kRound = std::chrono::milliseconds(20);
constexpr size_t kFillPackets = 16384;

// Takes every packet, and always has another one.
struct NullPort final : net::PacketPort {
  size_t at_once(size_t packets) const override { return packets; }
  void Read(std::span<net::Io> packets) override {
    for (net::Io& packet : packets) {
      std::memset(packet.segments.front().iov_base, 0, net::kHeaderBytes);
      packet.result = {.bytes = kPacketBytes};
    }
  }
  void Write(std::span<net::Io> packets) override {
    for (net::Io& packet : packets) packet.result = {.bytes = kPacketBytes};
  }
};

// Has the compiler believe that `value` is looked at and may change.
template <typename T>
void Escape(T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

class Profile {
 public:
  explicit Profile(uint64_t rounds) : rounds_(rounds) {}

  // A row: what `device` takes per packet, of which each call does some. What
  // has to happen in between is `driver`.
  void Row(
      const std::string& name, const std::function<uint64_t()>& device,
      const std::function<void()>& driver = [] {}) const {
    Series ns;
    for (uint64_t round = 0; round < rounds_; ++round) {
      const Undisturbed undisturbed;
      Duration spent{};
      uint64_t packets = 0;
      while (spent < kRound) {
        driver();
        const Instant start = Now();
        packets += device();
        spent += Now() - start;
      }
      ns.Add(static_cast<double>(spent.count()) / static_cast<double>(packets));
    }
    fmt::print("| {} | {:.1f} ({:.1f}..{:.1f}) |\n", name, ns.median(),
               ns.min(), ns.max());
  }

 private:
  const uint64_t rounds_;
};

// A virtqueue with its driver.
struct Ring {
  Ring()
      : device(2, 2 << 20),
        driver(device, {.size = kQueueSize, .buffer_bytes = kPacketBytes}),
        map(device) {}

  vduse::Virtqueue Create() {
    auto queue = vduse::Virtqueue::Create(driver.info(),
                                          {.event_idx = true, .indirect = true},
                                          vduse::Virtqueue::Start::kFresh, map);
    if (!queue.ok()) tools::Die("{}", std::string(queue.status().message()));
    return std::move(*queue);
  }

  BenchDevice device;
  BenchQueue driver;
  vduse::IovaMap map;
};

void Parts(const Profile& profile) {
  {
    Ring ring;
    const uint64_t address = BenchDevice::kStart + 4096;
    profile.Row("IOVA: one look-up", [&] {
      for (uint32_t i = 0; i < kBatch; ++i) {
        auto piece =
            ring.map.Find(address + 64 * i, kPacketBytes, vduse::Access::kRead);
        Escape(piece);
      }
      return kBatch;
    });
  }
  {
    Ring ring;
    vduse::Virtqueue queue = ring.Create();
    profile.Row(
        "ring: pop (with its look-up), push, publish",
        [&] {
          for (uint32_t i = 0; i < kBatch; ++i) {
            auto chain = queue.Pop();
            queue.Push(std::move(*chain), 0);
            queue.Publish();
          }
          return kBatch;
        },
        [&] { ring.driver.Turn(); });
  }
  {
    Ring ring;
    net::NotifiedQueue queue(ring.device, 0, ring.Create(), kQueueSize);
    profile.Row(
        "the same, coalescing and the driver's wish asked for",
        [&] {
          const Instant now = Now();
          for (uint32_t i = 0; i < kBatch; ++i) {
            queue.Complete(*queue.ring().Pop(), 0, now);
          }
          return kBatch;
        },
        [&] { ring.driver.Turn(); });
  }
  coalesce::Coalescer coalescer(kQueueSize);
  profile.Row("coalescer: off", [&] {
    const Instant now = Now();
    uint64_t due = 0;
    for (uint32_t i = 0; i < kBatch; ++i) due += coalescer.OnCompleted(1, now);
    Escape(due);
    return kBatch;
  });
  net::VirtioNetHeader header;
  profile.Row("header: judged", [&] {
    for (uint32_t i = 0; i < kBatch; ++i) {
      Escape(header);
      auto ours = net::TransmitHeader(header, kFrameBytes, kFeatures);
      Escape(ours);
    }
    return kBatch;
  });
}

// Memory for a journal that a successor could read.
std::span<uint8_t> JournalMemory() {
  void* memory = mmap(nullptr, net::PairJournal::kBytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) tools::Die("mmap");
  return {static_cast<uint8_t*>(memory), net::PairJournal::kBytes};
}

// The port alone: few packets in one call. With a journal they go through
// io_uring, else by system calls.
void Calls(const Profile& profile) {
  std::vector<uint8_t> packet = MakePacket(kFrameBytes, 9);
  const iovec segment = {.iov_base = packet.data(), .iov_len = packet.size()};
  net::PairJournal journal(JournalMemory());
  for (const bool kept : {false, true}) {
    BenchTap bench_tap(kept ? "calls_kept" : "calls", 1);
    net::Tap tap(bench_tap.TakeQueue(0));
    const absl::Status started =
        tap.StartEngine(net::Engine::kUring, kept ? &journal : nullptr);
    if (!started.ok()) tools::Die("{}", std::string(started.message()));
    if (kept && !tap.results_survive()) {
      fmt::print("| (this kernel has no rings in our memory) | |\n");
      return;
    }
    for (const size_t count : {1, 2, 3, 4, 32}) {
      std::vector<net::Io> ios(count, net::Io{.segments = {&segment, 1}});
      profile.Row(fmt::format("TAP: {} written at once{}", count,
                              kept ? ", with a journal" : ""),
                  [&] {
                    tap.Write(ios);
                    return count;
                  });
    }
  }
}

// All of the data path. With a TAP that is to be read from, it is filled when
// it has become empty.
void Whole(const Profile& profile, const std::string& name, Lane& lane,
           BenchTap* tap) {
  bool empty = tap != nullptr;
  profile.Row(
      name,
      [&] {
        const Traffic moved = lane.Burst();
        empty = tap != nullptr && moved.read + moved.written == 0;
        return moved.read + moved.written;
      },
      [&] {
        lane.Drive();
        if (empty) tap->Fill(kFrameBytes, kFillPackets);
      });
}

int Main(int argc, char** argv) {
  const tools::Flags flags(argc, argv, 1, " --rounds --engine ");
  const std::string engine =
      flags.Has("--engine") ? flags.String("--engine") : "auto";
  EnterNamespace();
  PinTo(0);
  const Profile profile(flags.Number("--rounds", 9));
  fmt::print(
      "Where the time of a packet of {} bytes goes, engine {}: ns, "
      "median (least..most)\n\n| | ns |\n|---|---|\n",
      kFrameBytes, engine);
  Parts(profile);
  if (engine == "auto") Calls(profile);
  for (const Mode mode : {Mode::kTx, Mode::kRx}) {
    const std::string name = mode == Mode::kTx ? "tx" : "rx";
    const LaneOptions options = {
        .shape = {.mode = mode, .frame_bytes = kFrameBytes},
        .queue_size = kQueueSize,
        .engine = engine};
    PairLane null(std::make_unique<NullPort>(), options);
    Whole(profile, name + ": the whole pair, without a port", null, nullptr);
    BenchTap tap("profile_" + name, 1);
    const auto lane = MakeDeviceLane(tap.TakeQueue(0), options);
    Whole(profile, name + ": the whole pair over a TAP", *lane,
          mode == Mode::kRx ? &tap : nullptr);
  }
  fmt::print("\n");
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::Main(argc, argv); }
