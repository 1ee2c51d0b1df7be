// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_TOOLS_VHOST_VDPA_FIXTURE_H_
#define TESTS_TOOLS_VHOST_VDPA_FIXTURE_H_

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/wire/features.h"
#include "net/wire/header.h"
#include "tests/support/fake_driver.h"
#include "tests/tools/raw_socket.h"
#include "tests/tools/vhost_vdpa.h"

namespace tools {

using net::Bit;
using tests::DriverMemory;
using tests::DriverQueue;
using Access = VhostVdpa::Access;
using Bytes = std::vector<uint8_t>;

constexpr uint32_t kRx = 0;
constexpr uint32_t kTx = 1;
constexpr uint32_t kCtrl = 2;
constexpr uint32_t kQueueSize = 64;

constexpr uint8_t kAcknowledge = 1;
constexpr uint8_t kDriver = 2;
constexpr uint8_t kDriverOk = 4;
constexpr uint8_t kFeaturesOk = 8;

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMemory = 0x100000;
constexpr uint64_t kMemoryBytes = 4 << 20;
// For regions beside it.
constexpr uint64_t kApart = 0x40000000;

inline std::string Variable(const char* name, const char* otherwise) {
  const char* value = getenv(name);
  return value != nullptr ? value : otherwise;
}
inline bool HasControlQueue() { return Variable("MODULE", "stock") == "open"; }
inline bool IsNewKernel() { return Variable("KERNEL", "6.12") != "6.12"; }

// A driver by hand, with one pair of queues, and the TAP behind the device.
class VhostVdpaTest : public testing::Test {
 protected:
  VhostVdpaTest()
      : tap(RawSocket::Open(Variable("TAP", "tap0"), RawSocket::Use::kReceive)),
        vhost(std::in_place, Variable("VHOST", "/dev/vhost-vdpa-0")) {
    AddMemory();
  }

  // The memory that the rings and most buffers are in.
  void AddMemory(uint32_t asid = 0) {
    memory.emplace(
        vhost->AddRegion(kMemory, kMemoryBytes, Access::kReadWrite, asid),
        kMemory, kMemoryBytes);
  }

  // Up to FEATURES_OK, with the features that all tests need and `more`.
  void Negotiate(uint64_t more = 0) {
    uint64_t features = Bit(net::kFeatureVersion1) |
                        Bit(net::kFeatureAccessPlatform) |
                        Bit(net::kFeatureMac) | more;
    if (HasControlQueue()) {
      features |= Bit(net::kFeatureCtrlVq) | Bit(net::kFeatureNotfCoal);
    }
    ASSERT_EQ(vhost->OfferedFeatures() & features, features);
    vhost->SetStatus(kAcknowledge);
    vhost->SetStatus(kAcknowledge | kDriver);
    vhost->SetFeatures(features);
    vhost->SetStatus(kAcknowledge | kDriver | kFeaturesOk);
    ASSERT_TRUE(vhost->status() & kFeaturesOk);
  }

  // Both data queues, not enabled yet.
  void PlaceQueues(uint16_t rx_base = 0, uint16_t tx_base = 0) {
    rx.emplace(*vhost, *memory,
               DriverQueue::Options{
                   .index = kRx, .size = kQueueSize, .base = rx_base});
    tx.emplace(*vhost, *memory,
               DriverQueue::Options{
                   .index = kTx, .size = kQueueSize, .base = tx_base});
  }

  void Enable(std::initializer_list<uint32_t> queues) {
    for (const uint32_t queue : queues) vhost->Enable(queue);
  }

  void DriverOk() {
    vhost->SetStatus(kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
  }

  // A whole driver's start.
  void Start() {
    Negotiate();
    PlaceQueues();
    Enable({kRx, kTx});
    DriverOk();
  }

  // A frame unlike all others of this test.
  Bytes NextFrame(size_t size = 200) {
    Bytes frame(size);
    ++frames_;
    for (size_t i = 0; i < size; ++i) {
      frame[i] = static_cast<uint8_t>(i * 7 + frames_ * 31 + i / 256);
    }
    const std::array<uint8_t, 14> header = {2, 0, 0x5e, 0x10, 0,    1,    2,
                                            0, 0, 0,    0,    0x99, 0x88, 0xb5};
    std::copy(header.begin(), header.end(), frame.begin());
    return frame;
  }

  void OfferTx(const Bytes& frame) {
    tx->Chain().Readable(Bytes(net::kHeaderBytes)).Readable(frame).Offer();
  }
  void OfferRx() { rx->Chain().Writable(2048).Offer(); }

  void SendToTap(const Bytes& frame) const {
    ASSERT_EQ(send(tap.fd, frame.data(), frame.size(), 0),
              static_cast<ssize_t>(frame.size()));
  }

  // What comes out of the TAP within `ms`; empty if nothing does.
  Bytes FromTap(int ms = 2000) const {
    pollfd wait{.fd = tap.fd, .events = POLLIN, .revents = 0};
    if (poll(&wait, 1, ms) <= 0) return {};
    Bytes frame(4096);
    const ssize_t size = recv(tap.fd, frame.data(), frame.size(), 0);
    frame.resize(size > 0 ? static_cast<size_t>(size) : 0);
    return frame;
  }

  // The next used entry within `ms`.
  static std::optional<tests::UsedEntry> Used(DriverQueue& queue,
                                              int ms = 2000) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
    for (;;) {
      if (auto used = queue.TakeUsed()) return used;
      if (std::chrono::steady_clock::now() >= deadline) return std::nullopt;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }

  // The frame of a used rx entry, without the header.
  static Bytes FrameOf(const tests::UsedEntry& used) {
    if (used.len < net::kHeaderBytes) return {};
    return {used.bytes.begin() + net::kHeaderBytes, used.bytes.end()};
  }

  void ExpectTransmits() {
    const Bytes frame = NextFrame();
    OfferTx(frame);
    tx->Kick();
    ASSERT_EQ(FromTap(), frame);
    ASSERT_TRUE(Used(*tx));
  }

  void ExpectReceives() {
    const Bytes frame = NextFrame();
    OfferRx();
    rx->Kick();
    SendToTap(frame);
    const auto used = Used(*rx);
    ASSERT_TRUE(used);
    ASSERT_EQ(FrameOf(*used), frame);
  }

  void ExpectWorks() {
    ASSERT_NO_FATAL_FAILURE(ExpectTransmits());
    ASSERT_NO_FATAL_FAILURE(ExpectReceives());
  }

  RawSocket tap;
  std::optional<VhostVdpa> vhost;
  std::optional<DriverMemory> memory;
  std::optional<DriverQueue> rx;
  std::optional<DriverQueue> tx;

 private:
  uint32_t frames_ = 0;
};

}  // namespace tools

#endif  // TESTS_TOOLS_VHOST_VDPA_FIXTURE_H_
