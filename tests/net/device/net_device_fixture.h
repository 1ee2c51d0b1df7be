// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_NET_DEVICE_NET_DEVICE_FIXTURE_H_
#define VDUSE_NET_TESTS_NET_DEVICE_NET_DEVICE_FIXTURE_H_

#include <gtest/gtest.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/log.h"
#include "net/device/net_device.h"
#include "net/wire/features.h"
#include "tests/support/fake_device.h"
#include "tests/support/fake_driver.h"

namespace net {

using Bytes = std::vector<uint8_t>;
using coalesce::Params;

inline constexpr uint8_t kAcknowledge = VIRTIO_CONFIG_S_ACKNOWLEDGE;
inline constexpr uint8_t kDriver = kAcknowledge | VIRTIO_CONFIG_S_DRIVER;
inline constexpr uint8_t kFeaturesOk = kDriver | VIRTIO_CONFIG_S_FEATURES_OK;
inline constexpr uint8_t kDriverOk = kFeaturesOk | VIRTIO_CONFIG_S_DRIVER_OK;

// Serves until `done`; false if that does not come about in a while.
inline bool PumpUntil(NetDevice& net, const tests::FakeDevice& device,
                      const std::function<bool()>& done, int tries = 4000) {
  for (int i = 0; i < tries; ++i) {
    if (!net.Serve(Now()).ok()) return false;
    if (done()) return true;
    std::array<pollfd, 3> fds = {pollfd{device.poll_fd(), POLLIN, 0},
                                 pollfd{net.ctrl_kick_fd(), POLLIN, 0},
                                 pollfd{net.attention_fd(), POLLIN, 0}};
    poll(fds.data(), fds.size(), 1);
  }
  return false;
}

// Nothing notifies by itself under these within a test.
inline constexpr Params kPatient{.max_packets = 1000, .max_usecs = 900'000};

// A whole device with its worker threads: the kernel and the driver are
// fakes, the TAP is one end of a socket pair, and the test is the control
// thread.
class NetDeviceTest : public testing::Test {
 protected:
  static constexpr uint32_t kRx = 0;
  static constexpr uint32_t kTx = 1;
  static constexpr uint32_t kCtrl = 2;
  static constexpr uint16_t kBase = 65530;
  static constexpr uint32_t kSize = 64;
  static constexpr MacAddress kMac = {2, 0, 0, 0, 0, 1};

  NetDeviceTest() {
    // What is refused here is refused loudly.
    base::SetMinLogSeverity(static_cast<base::Severity>(99));
    NewNet();
    NewTap();
  }

  NetDevice::Options Options() {
    return {.features = kOfferedFeatures,
            .queue_pairs = 1,
            .mtu = 1500,
            .max_queue_size = max_queue_size,
            .mac = kMac,
            .rx = operator_params,
            .tx = operator_params,
            .persist = [this](const auto& state) {
              saved = state;
              if (on_persist) on_persist();
            }};
  }

  void NewNet() {
    net.reset();
    auto created = NetDevice::Create(device, Options());
    ASSERT_TRUE(created.ok()) << created.status();
    net = std::move(*created);
  }

  // `drops` is the file in which the interface counts what it has dropped.
  void NewTap(base::UniqueFd drops = {}) {
    std::array<int, 2> ends;
    ASSERT_EQ(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends.data()), 0);
    wire = base::UniqueFd(ends[1]);
    std::vector<Tap> tap;
    tap.emplace_back(base::UniqueFd(ends[0]));
    ASSERT_TRUE(net->SetTap(std::move(tap), std::move(drops)).ok());
    net->SetLink(true);
  }

  bool Pump(const std::function<bool()>& done) {
    return PumpUntil(*net, device, done);
  }

  // One status write by the driver; whether it was accepted.
  bool Status(uint8_t status) {
    const uint32_t id = device.SendStatus(status);
    EXPECT_TRUE(net->Serve(Now()).ok());
    return device.ReplyTo(id)->result == VDUSE_REQ_RESULT_OK;
  }

  // What is answered to a request.
  uint32_t Answer(uint32_t id) {
    EXPECT_TRUE(net->Serve(Now()).ok());
    return device.ReplyTo(id)->result;
  }

  // What the device says to where a queue stands.
  uint16_t Position(uint32_t queue) {
    const uint32_t id = device.SendQueueState(queue);
    EXPECT_EQ(Answer(id), uint32_t{VDUSE_REQ_RESULT_OK});
    return device.ReplyTo(id)->vq_state.split.avail_index;
  }

  // The driver sets its queues up anew, each where the device left it.
  void SetUpAtPositions(const std::vector<QueuePosition>& positions) {
    rx.Restart(positions[kRx].avail_index);
    tx.Restart(positions[kTx].avail_index);
    ctrl.Restart(positions[kCtrl].avail_index);
  }

  // The worker has done all that it was woken for, if it does anything.
  void LetWorkerStep() {
    // Each request is served between two of its steps.
    for (int i = 0; i < 2; ++i) (void)Answer(device.SendQueueState(kTx));
  }

  bool Activate(uint64_t features = kOfferedFeatures & ~Bit(kFeatureEventIdx)) {
    device.SetFeatures(features);
    return Status(kAcknowledge) && Status(kDriver) && Status(kFeaturesOk) &&
           Status(kDriverOk);
  }

  // The driver resets and sets its queues up anew.
  void ResetAndRestart() {
    ASSERT_TRUE(Status(0));
    rx.Restart(kBase);
    tx.Restart(kBase);
    ctrl.Restart(kBase);
  }

  void OfferTx(uint8_t seed) {
    Bytes packet(12 + 60, seed);
    std::fill_n(packet.begin(), 12, 0);
    tx.Chain().Readable(packet).Offer();
    tx.Kick();
  }

  bool Transmits(uint8_t seed = 7) {
    OfferTx(seed);
    std::array<uint8_t, 2048> out{};
    const bool came =
        Pump([&] { return recv(wire.get(), out.data(), out.size(), 0) == 72; });
    return came && out[12] == seed && Pump([&] { return !!tx.TakeUsed(); });
  }

  bool Receives(uint8_t seed = 9) {
    rx.Chain().Writable(2048).Offer();
    rx.Kick();
    if (!SendToDevice(kMac, seed)) return false;
    std::optional<tests::UsedEntry> used;
    return Pump([&] { return !!(used = rx.TakeUsed()); }) &&
           used->bytes.size() == 72 && used->bytes.back() == seed;
  }

  // From the network: a frame of 60 bytes.
  bool SendToDevice(const MacAddress& to, uint8_t seed = 9) {
    Bytes packet(12 + 60, seed);
    std::fill_n(packet.begin(), 12, 0);
    std::copy(to.begin(), to.end(), packet.begin() + 12);
    return send(wire.get(), packet.data(), packet.size(), 0) > 0;
  }

  void OfferCommand(const Bytes& command, uint32_t writable = 1) {
    ctrl.Chain().Readable(command).Writable(writable).Offer();
    ctrl.Kick();
  }

  // What the device writes in answer.
  Bytes Command(const Bytes& command, uint32_t writable = 1) {
    OfferCommand(command, writable);
    std::optional<tests::UsedEntry> used;
    EXPECT_TRUE(Pump([&] { return !!(used = ctrl.TakeUsed()); }));
    return used ? used->bytes : Bytes{};
  }

  // TX_SET (0) or RX_SET (1).
  static Bytes SetAll(uint8_t command, Params params) {
    Bytes bytes = {6, command};
    for (const uint32_t value : {params.max_packets, params.max_usecs}) {
      for (int shift = 0; shift < 32; shift += 8) {
        bytes.push_back(static_cast<uint8_t>(value >> shift));
      }
    }
    return bytes;
  }
  static Bytes VqSet(uint8_t queue, Params params) {
    Bytes bytes = SetAll(2, params);
    bytes.insert(bytes.begin() + 2, {queue, 0, 0, 0});
    return bytes;
  }

  // VQ_GET, and what it answers.
  Bytes Get(uint8_t queue) { return Command({6, 3, queue, 0, 0, 0}, 9); }
  static Bytes Reply(Params params) {
    Bytes bytes = SetAll(0, params);
    bytes.erase(bytes.begin(), bytes.begin() + 2);
    bytes.push_back(0);
    return bytes;
  }

  uint16_t LinkStatus() {
    const std::vector<uint8_t> config = device.config();
    return static_cast<uint16_t>(config[6] | config[7] << 8);
  }

  static size_t OpenFds() {
    const std::filesystem::directory_iterator fds("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(fds), end(fds)));
  }

  uint32_t max_queue_size = vduse::kMaxQueueSize;
  Params operator_params{.max_packets = 0, .max_usecs = 0};
  std::optional<DeviceState> saved;
  std::function<void()> on_persist;
  tests::FakeDevice device{3};
  tests::DriverMemory memory{device};
  tests::DriverQueue rx{
      device, memory, {.index = kRx, .size = kSize, .base = kBase}};
  tests::DriverQueue tx{
      device, memory, {.index = kTx, .size = kSize, .base = kBase}};
  tests::DriverQueue ctrl{
      device, memory, {.index = kCtrl, .size = kSize, .base = kBase}};
  base::UniqueFd wire;
  std::unique_ptr<NetDevice> net;
};

}  // namespace net

#endif  // VDUSE_NET_TESTS_NET_DEVICE_NET_DEVICE_FIXTURE_H_
