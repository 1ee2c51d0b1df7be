// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_KERNEL_H_
#define VDUSE_NET_TESTS_SIM_KERNEL_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "tests/sim/shared_memory.h"
#include "tests/sim/world.h"
#include "tests/support/driver_host.h"
#include "vduse/device.h"

namespace sim {

// VDUSE in the kernel: one device, which processes open one after the other. It
// behaves as Linux does:
//
//   - A status is in force a moment after its request was answered with OK. A
//     reset happens whatever the answer is.
//   - Interrupts are refused until DRIVER_OK is in force. Interrupts that the
//     driver has not handled yet merge.
//   - Without an eventfd, one kick is remembered; on a queue that is not ready,
//     none is. The eventfd of a dead process swallows kicks.
//   - Requests that a dead process had read and not answered are asked again,
//     first.
//   - A request that waits for 30 s breaks the device.
class Kernel final : public tests::DriverHost {
 public:
  static constexpr Duration kTimeout = std::chrono::seconds(30);
  // Where the driver's memory is in its address space.
  static constexpr uint64_t kStart = 0x100000;

  // The first `whole` bytes of `memory` are one region; the others are in
  // several.
  Kernel(World& world, SharedMemory& memory, uint32_t queue_count,
         uint64_t whole);

  // --- For the driver and the VMM ---

  // DriverHost. What a driver keeps to itself until SetUp() is not known here.
  void SetQueue(uint32_t, const vduse::QueueInfo&) override {}
  void Kick(uint32_t index) override;
  std::vector<uint8_t> Peek(uint64_t iova, uint64_t size) override;

  void SetFeatures(uint64_t features) { features_ = features; }
  void SetUp(uint32_t index, const vduse::QueueInfo& info) {
    queues_.at(index).info = info;
  }
  void SetReady(uint32_t index) { queues_.at(index).info.ready = true; }

  // Queues a request for the device, and returns its id.
  uint32_t Ask(vduse_dev_request request);
  // The answer, once: nothing while there is none.
  std::optional<vduse_dev_response> TakeReply(uint32_t id);
  // The process that asked was killed. The answer will be NotFound. False if
  // there was an answer already.
  [[nodiscard]] bool Forget(uint32_t id);
  // The memory moves as soon as request `id` is answered.
  void MoveMemoryAfter(uint32_t id) { move_after_ = id; }

  // Whether an interrupt is to be handled; takes it.
  bool TakeInterrupt(uint32_t index);
  bool TakeConfigInterrupt();
  bool HasInterrupt(uint32_t index) const { return queues_[index].interrupt; }
  bool HasConfigInterrupt() const { return config_interrupt_; }
  uint64_t injects(uint32_t index) const { return queues_[index].injects; }
  const std::vector<uint8_t>& config() const { return config_; }
  bool driver_ok() const;

  // --- For the simulation ---

  // Whether the device has requests to read.
  bool HasRequest() const { return !waiting_.empty(); }
  // Stores statuses that were answered, and breaks the device if it is time.
  void OnTimer();
  std::optional<Instant> deadline() const;
  // The process that had the device open is dead.
  void Close();
  // Another host: nothing is set up.
  void Clear();
  // Is called for each kick that reaches an eventfd.
  void OnKick(std::function<void(int fd)> on_kick) {
    on_kick_ = std::move(on_kick);
  }

 private:
  friend class DeviceFile;

  static constexpr int kSwallows = -2;  // the eventfd of a dead process

  struct Queue {
    vduse::QueueInfo info;
    int kick_fd = -1;
    bool kicked = false;
    bool interrupt = false;
    uint64_t injects = 0;
  };
  struct Request {
    vduse_dev_request raw;
    Instant asked;
    bool forgotten = false;
  };

  void Answered(const vduse_dev_request& request, bool ok);
  void Reset();
  void StoreStatus();

  World& world_;
  SharedMemory& memory_;
  std::vector<uint64_t> region_ends_;  // offsets in the memory
  std::vector<Queue> queues_;
  std::vector<uint8_t> config_;
  std::deque<Request> waiting_;
  std::deque<Request> read_;  // and not answered
  std::map<uint32_t, vduse_dev_response> replies_;
  uint32_t next_id_ = 1;
  uint32_t move_after_ = 0;
  uint64_t features_ = 0;
  uint8_t status_ = 0;
  std::optional<uint8_t> answered_status_;  // not in force yet
  Instant store_at_{};
  bool suspended_ = false;
  bool config_interrupt_ = false;
  std::function<void(int)> on_kick_;
};

// What a process that has opened the device calls.
class DeviceFile final : public vduse::Device {
 public:
  DeviceFile(World& world, Kernel& kernel) : world_(world), kernel_(kernel) {}

  uint32_t queue_count() const override {
    return static_cast<uint32_t>(kernel_.queues_.size());
  }
  int poll_fd() const override { return -1; }
  absl::StatusOr<uint64_t> NegotiatedFeatures() override;
  absl::StatusOr<vduse::QueueInfo> GetQueueInfo(uint32_t index) override;
  absl::Status SetKick(uint32_t index, int fd) override;
  vduse::InjectResult Inject(uint32_t index) override;
  absl::Status SetConfig(uint32_t offset,
                         std::span<const uint8_t> bytes) override;
  vduse::InjectResult InjectConfig() override;
  absl::StatusOr<vduse::IotlbRegion> LookupIotlb(uint32_t asid,
                                                 uint64_t iova) override;
  absl::StatusOr<std::optional<vduse_dev_request>> ReadRequest() override;
  absl::Status Reply(const vduse_dev_response& response) override;

 private:
  // Runs `call` between two points, unless the process is dead.
  template <typename T, typename Call>
  T Guarded(T if_dead, Call call);

  World& world_;
  Kernel& kernel_;
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_KERNEL_H_
