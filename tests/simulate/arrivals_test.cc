// SPDX-License-Identifier: Apache-2.0
#include "simulate/arrivals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace simulate {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

absl::StatusOr<Arrivals> Parse(const std::string& bytes) {
  std::istringstream stream(bytes);
  return ParsePcap(stream);
}

// A capture, byte by byte.
class Capture {
 public:
  explicit Capture(uint32_t magic = 0xa1b2c3d4, bool big_endian = false)
      : big_endian_(big_endian) {
    for (const uint32_t word : {magic, 0x00020004U, 0U, 0U, 65535U, 1U}) {
      Word(word);
    }
  }
  Capture& Packet(uint32_t second, uint32_t fraction, uint32_t size = 60) {
    for (const uint32_t word : {second, fraction, size, size}) Word(word);
    bytes.append(size, 'x');
    return *this;
  }
  void Word(uint32_t word) {
    for (int i = 0; i < 4; ++i) {
      const int shift = 8 * (big_endian_ ? 3 - i : i);
      bytes += static_cast<char>(word >> shift);
    }
  }
  std::string bytes;

 private:
  bool big_endian_;
};

TEST(ArrivalsTest, SteadyPacketsAreAsFarApartAsTheRateSays) {
  const Arrivals arrivals = Generate("steady:1000", 5, 1).value();
  ASSERT_EQ(arrivals.size(), 5U);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(arrivals[static_cast<size_t>(i)], microseconds(1000 * i));
  }
}

TEST(ArrivalsTest, ABurstComesAtOnceAndTheRateHoldsOnAverage) {
  const Arrivals arrivals = Generate("bursts:1000,10", 1000, 1).value();
  for (size_t i = 0; i < arrivals.size(); ++i) {
    EXPECT_EQ(arrivals[i], microseconds(10'000 * (i / 10)));
  }
}

TEST(ArrivalsTest, PoissonsPacketsHaveItsMeanAndItsSpread) {
  const Arrivals arrivals = Generate("poisson:10000", 100'000, 7).value();
  double sum = 0;
  double squares = 0;
  for (size_t i = 1; i < arrivals.size(); ++i) {
    const double gap =
        static_cast<double>((arrivals[i] - arrivals[i - 1]).count()) / 1e5;
    sum += gap;
    squares += gap * gap;
  }
  const double mean = sum / 99'999;
  EXPECT_NEAR(mean, 1, 0.02);
  EXPECT_NEAR(std::sqrt(squares / 99'999 - mean * mean), 1, 0.03);
  EXPECT_EQ(arrivals, Generate("poisson:10000", 100'000, 7).value());
  EXPECT_NE(arrivals, Generate("poisson:10000", 100'000, 8).value());
}

TEST(ArrivalsTest, WhatIsWrongWithARuleIsSaid) {
  for (const char* rule : {"", "steady", "steady:", "steady:0", "steady:-1",
                           "steady:x", "steady:1x", "steady:nan", "steady:inf",
                           "steady:2e9", "often:5", "bursts:5", "bursts:5,",
                           "bursts:5,0", "bursts:5,1000000", "bursts:,5"}) {
    const absl::Status status = Generate(rule, 1, 1).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << rule;
    EXPECT_NE(status.message().find("'" + std::string(rule) + "'"),
              std::string::npos)
        << status.message();
  }
  EXPECT_FALSE(Generate("steady:1e-7", 1, 1).ok());
  EXPECT_FALSE(Generate("bursts:1e-300,2", 2, 1).ok());
  EXPECT_FALSE(Generate("poisson:nan", 1, 1).ok());
  EXPECT_FALSE(Generate("steady:1", 0, 1).ok());
  EXPECT_FALSE(Generate("steady:1", kMaxPackets + 1, 1).ok());
}

TEST(ArrivalsTest, TheSlowestRateStaysWithinTheClock) {
  const Arrivals arrivals = Generate("steady:1e-6", 10'000, 1).value();
  for (size_t i = 1; i < arrivals.size(); ++i) {
    EXPECT_GE(arrivals[i], arrivals[i - 1]);
  }
}

TEST(PcapTest, EveryClassicFormIsRead) {
  for (const bool big_endian : {false, true}) {
    Capture usecs(0xa1b2c3d4, big_endian);
    usecs.Packet(100, 999'999).Packet(101, 1, 0).Packet(101, 3);
    const Arrivals wanted = {Time(0), microseconds(2), microseconds(4)};
    EXPECT_EQ(Parse(usecs.bytes).value(), wanted);
    Capture nsecs(0xa1b23c4d, big_endian);
    nsecs.Packet(4'000'000'000, 999'999'999).Packet(4'000'000'001, 4);
    EXPECT_EQ(Parse(nsecs.bytes).value(), (Arrivals{Time(0), nanoseconds(5)}));
  }
}

TEST(PcapTest, APacketThatIsOlderComesWithTheOneBefore) {
  Capture capture;
  capture.Packet(10, 5).Packet(9, 0).Packet(10, 8);
  EXPECT_EQ(Parse(capture.bytes).value(),
            (Arrivals{Time(0), Time(0), microseconds(3)}));
}

TEST(PcapTest, WhatIsCutShortIsLeftOut) {
  Capture capture;
  capture.Packet(1, 0).Packet(2, 0).Packet(3, 0);
  const size_t whole = capture.bytes.size();
  for (size_t missing = 1; missing < 76; ++missing) {
    const auto arrivals = Parse(capture.bytes.substr(0, whole - missing));
    EXPECT_EQ(arrivals.value(), (Arrivals{Time(0), seconds(1)}));
  }
}

TEST(PcapTest, WhatIsNoCaptureIsRefused) {
  Capture pcapng(0x0a0d0d0a);
  Capture huge;
  huge.Packet(1, 0);
  for (const uint32_t word : {1U, 0U, 0xffffffffU, 60U}) huge.Word(word);
  const struct {
    std::string bytes;
    const char* named;
  } cases[] = {{"", "too short"},
               {std::string(23, '\0'), "too short"},
               {std::string(100, '\0'), "begins with 0x00000000"},
               {Capture().bytes, "without a packet"},
               {pcapng.bytes, "editcap"},
               {huge.bytes, "damaged: packet 2 has 4294967295 bytes"}};
  for (const auto& one : cases) {
    const absl::Status status = Parse(one.bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(one.named), std::string::npos)
        << status.message();
  }
}

TEST(PcapTest, AFileIsNamedInItsErrors) {
  const tests::TempDir temp;
  const std::string path = temp.path() + "/capture";
  EXPECT_NE(ReadPcap(path).status().message().find(path), std::string::npos);
  std::ofstream(path) << "no";
  EXPECT_NE(ReadPcap(path).status().message().find(path), std::string::npos);
  std::ofstream(path) << Capture().Packet(1, 1).bytes;
  EXPECT_EQ(ReadPcap(path).value(), Arrivals{Time(0)});
}

}  // namespace
}  // namespace simulate
