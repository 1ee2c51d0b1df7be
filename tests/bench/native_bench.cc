// SPDX-License-Identifier: Apache-2.0
//
// What the device costs per packet, against what the TAP alone costs: one
// queue pair with a driver that never rests, between raw loops over the same
// kind of TAP, round by round. See docs/measurements/packet-path.md.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/bench_tap.h"
#include "tests/bench/lane.h"
#include "tests/bench/measure.h"
#include "tests/bench/pinned_thread.h"
#include "tests/tools/flags.h"

namespace bench {
namespace {

constexpr char kUsage[] = R"(usage: native_bench [--NAME VALUE]...
  --modes LIST       of tx,rx,both                       (all)
  --sizes LIST       bytes of a frame, up to 1518, or of a TCP packet to be
                     segmented, up to 65535              (64,1500,65226)
  --pairs LIST       1: against raw loops; 2: how it scales  (1,2)
  --engine NAME      of the device: auto, syscalls       (auto)
  --rounds N         of each                             (9)
  --round-ms N       length of a round                   (60)
  --queue-size N     of the virtqueues                   (256)
  --rx-buffer N      bytes of a receive buffer           (a packet fits)
  --driver WHERE     apart: on a CPU of its own; inline: on the device's,
                     between its steps                   (apart)
  --driver-rest NS   a driver apart looks at its rings, and rests so long
                     before it does again                (0)
  --tsv FILE         the figures for other programs
)";

struct Options {
  std::vector<std::string> modes;
  std::vector<std::string> sizes;
  std::vector<std::string> pairs;
  std::string engine;
  uint32_t queue_size;
  uint32_t rx_buffer_bytes;
  uint64_t rounds;
  Duration round;
  bool driver_apart;
  Duration driver_rest;
  std::FILE* tsv;
};

std::vector<std::string> Split(std::string_view list) {
  std::vector<std::string> items;
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    items.emplace_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return items;
}

Mode ParseMode(const std::string& name) {
  if (name == "tx") return Mode::kTx;
  if (name == "rx") return Mode::kRx;
  if (name == "both") return Mode::kBoth;
  tools::Die("no mode '{}': tx, rx, both", name);
}

size_t ParseSize(const std::string& text) {
  const auto size =
      static_cast<size_t>(std::strtoul(text.c_str(), nullptr, 10));
  if (size < 60 || size > 65535 || (size > 1518 && size < 4096)) {
    tools::Die("a frame has 60 to 1518 or 4096 to 65535 bytes, not '{}'", text);
  }
  return size;
}

// What one subject took per packet, and how much faster that is than others.
std::string Cell(const Series& series) {
  return fmt::format("{:.0f} ({:.0f}..{:.0f})", series.median(), series.min(),
                     series.max());
}
std::string RatioCell(const Series& ratio) {
  return fmt::format("{:.2f} ({:.2f}..{:.2f})", ratio.median(), ratio.min(),
                     ratio.max());
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {
    PinTo(1);
    for (int cpu : {0, 1}) {
      threads_.push_back(std::make_unique<PinnedThread>(cpu));
    }
  }

  // The device and both references.
  void CompareToRaw();
  // One thread and two of each, the driver on the device's own.
  void CompareOneToTwo();

 private:
  std::vector<Series> Measure(const std::vector<Subject>& subjects,
                              const Shape& shape);
  // A line for the chart.
  void Record(const std::string& panel, const std::string& group,
              const std::string& series, const Series& figures);

  const Options& options_;
  std::vector<std::unique_ptr<PinnedThread>> threads_;
  int taps_ = 0;  // a name is free only some time after its TAP was closed
};

std::vector<Series> Bench::Measure(const std::vector<Subject>& subjects,
                                   const Shape& shape) {
  std::vector<std::unique_ptr<Contender>> contenders;
  for (size_t i = 0; i < subjects.size(); ++i) {
    contenders.push_back(std::make_unique<Contender>(
        subjects[i],
        LaneOptions{.shape = shape,
                    .queue_size = options_.queue_size,
                    .rx_buffer_bytes = options_.rx_buffer_bytes,
                    .engine = options_.engine},
        fmt::format("bench{}", taps_++), threads_));
  }
  std::vector<Series> result(subjects.size());
  for (auto& contender : contenders) contender->Round(options_.round / 2);
  for (uint64_t round = 0; round < options_.rounds; ++round) {
    // Who goes first changes.
    for (size_t i = 0; i < contenders.size(); ++i) {
      const size_t who = (i + round) % contenders.size();
      result[who].Add(contenders[who]->Round(options_.round));
    }
  }
  for (size_t i = 0; i < subjects.size(); ++i) {
    if (contenders[i]->worst_idle() > 0.01) {
      fmt::print("(the next row: {} had nothing to do {:.0f} % of the time)\n",
                 subjects[i].name, 100 * contenders[i]->worst_idle());
    }
  }
  return result;
}

void Bench::Record(const std::string& panel, const std::string& group,
                   const std::string& series, const Series& figures) {
  if (options_.tsv == nullptr) return;
  fmt::print(options_.tsv, "{}\t{}\t{}\t{:.2f}\t{:.2f}\t{:.2f}\n", panel, group,
             series, figures.median(), figures.min(), figures.max());
}

void Bench::CompareToRaw() {
  constexpr char kPanel[] =
      "One queue pair: times the speed of raw writev/readv";
  const std::vector<Subject> subjects = {
      {.name = "device",
       .make = MakeDeviceLane,
       .driver_apart = options_.driver_apart,
       .driver_rest = options_.driver_rest},
      {.name = "syscalls", .make = MakeSyscallLane, .driver_apart = false},
      {.name = "io_uring", .make = MakeUringLane, .driver_apart = false}};
  fmt::print(
      "One queue pair, engine {}; ns per packet, and how many times the raw "
      "loops' speed it has:\nmedian (least..most) of {} rounds\n\n"
      "| | bytes | device | raw writev/readv | raw io_uring | "
      "of writev/readv | of io_uring |\n|---|---|---|---|---|---|---|\n",
      options_.engine, options_.rounds);
  for (const std::string& mode : options_.modes) {
    for (const std::string& size : options_.sizes) {
      const std::vector<Series> ns = Measure(
          subjects, {.mode = ParseMode(mode), .frame_bytes = ParseSize(size)});
      const Series of_syscalls = ns[1].DividedBy(ns[0]);
      fmt::print("| {} | {} | {} | {} | {} | {} | {} |\n", mode, size,
                 Cell(ns[0]), Cell(ns[1]), Cell(ns[2]), RatioCell(of_syscalls),
                 RatioCell(ns[2].DividedBy(ns[0])));
      std::fflush(stdout);
      const std::string group = fmt::format("{} {}", mode, size);
      Record(kPanel, group, "device", of_syscalls);
      Record(kPanel, group, "raw io_uring", ns[1].DividedBy(ns[2]));
    }
  }
  fmt::print("\n");
}

void Bench::CompareOneToTwo() {
  constexpr char kPanel[] = "Two queue pairs: times the speed of one";
  std::vector<Subject> subjects;
  for (const size_t threads : {1U, 2U}) {
    subjects.push_back({.name = "device",
                        .make = MakeDeviceLane,
                        .threads = threads,
                        .driver_apart = false});
    subjects.push_back({.name = "syscalls",
                        .make = MakeSyscallLane,
                        .threads = threads,
                        .driver_apart = false});
  }
  fmt::print(
      "Two queue pairs on two CPUs, each with its driver on the same CPU: how "
      "many times the speed of one,\nand the same for two raw loops; median "
      "(least..most) of {} rounds\n\n"
      "| | bytes | one pair, ns | two pairs, ns | two pairs of one | "
      "two raw loops of one |\n|---|---|---|---|---|---|\n",
      options_.rounds);
  for (const std::string& mode : options_.modes) {
    for (const std::string& size : options_.sizes) {
      const std::vector<Series> ns = Measure(
          subjects, {.mode = ParseMode(mode), .frame_bytes = ParseSize(size)});
      const Series device = ns[0].DividedBy(ns[2]);
      const Series raw = ns[1].DividedBy(ns[3]);
      fmt::print("| {} | {} | {} | {} | {} | {} |\n", mode, size, Cell(ns[0]),
                 Cell(ns[2]), RatioCell(device), RatioCell(raw));
      std::fflush(stdout);
      const std::string group = fmt::format("{} {}", mode, size);
      Record(kPanel, group, "device", device);
      Record(kPanel, group, "raw writev/readv", raw);
    }
  }
  fmt::print("\n");
}

int Main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--help") {
    fmt::print("{}", kUsage);
    return 0;
  }
  const tools::Flags flags(argc, argv, 1,
                           " --modes --sizes --pairs --engine --rounds "
                           "--round-ms --queue-size --rx-buffer --driver "
                           "--driver-rest --tsv ");
  const auto text = [&](const char* name, const char* otherwise) {
    return flags.Has(name) ? flags.String(name) : std::string(otherwise);
  };
  const std::string driver = text("--driver", "apart");
  if (driver != "apart" && driver != "inline") {
    tools::Die("--driver is apart or inline, not '{}'", driver);
  }
  const Options options = {
      .modes = Split(text("--modes", "tx,rx,both")),
      .sizes = Split(text("--sizes", "64,1500,65226")),
      .pairs = Split(text("--pairs", "1,2")),
      .engine = text("--engine", "auto"),
      .queue_size = static_cast<uint32_t>(flags.Number("--queue-size", 256)),
      .rx_buffer_bytes = static_cast<uint32_t>(flags.Number("--rx-buffer", 0)),
      .rounds = std::max<uint64_t>(flags.Number("--rounds", 9), 1),
      .round = std::chrono::milliseconds(flags.Number("--round-ms", 60)),
      .driver_apart = driver == "apart",
      .driver_rest = Duration(flags.Number("--driver-rest", 0)),
      .tsv = flags.Has("--tsv") ? std::fopen(flags.String("--tsv").c_str(), "w")
                                : nullptr};
  if (flags.Has("--tsv") && options.tsv == nullptr) tools::DieErrno("--tsv");

  EnterNamespace();
  Bench bench(options);
  for (const std::string& pairs : options.pairs) {
    if (pairs == "1") {
      bench.CompareToRaw();
    } else if (pairs == "2") {
      bench.CompareOneToTwo();
    } else {
      tools::Die("--pairs are 1 and 2, not '{}'", pairs);
    }
  }
  if (options.tsv != nullptr) std::fclose(options.tsv);
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::Main(argc, argv); }
