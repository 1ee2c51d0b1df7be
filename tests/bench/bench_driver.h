// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_BENCH_BENCH_DRIVER_H_
#define VDUSE_NET_TESTS_BENCH_BENCH_DRIVER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/unique_fd.h"
#include "tests/bench/lane.h"
#include "vduse/device.h"
#include "vduse/ring_layout.h"

namespace bench {

// A VDUSE device that costs nothing: one region of driver memory, and
// notifications that are counted. Lookups and injections only; whoever calls
// the rest has left the data path.
class BenchDevice final : public vduse::Device {
 public:
  static constexpr uint64_t kStart = 0x100000;  // of the driver's memory

  BenchDevice(uint32_t queues, uint64_t memory_bytes);
  BenchDevice(const BenchDevice&) = delete;
  BenchDevice& operator=(const BenchDevice&) = delete;
  ~BenchDevice() override;

  // Memory that nobody has yet. Ends the program when there is none left.
  uint64_t Allocate(uint64_t bytes);
  uint8_t* At(uint64_t iova) { return memory_ + (iova - kStart); }

  // Keeps when notifications are sent, from now on, and the index in that used
  // ring then. Only while no device runs.
  struct Injection {
    Instant at;
    uint16_t used;
  };
  void KeepInjections(size_t capacity, uint64_t used_ring);
  const std::vector<Injection>& injections() const { return injections_; }

  uint32_t queue_count() const override { return queues_; }
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
  const uint32_t queues_;
  const uint64_t bytes_;
  base::UniqueFd fd_;
  uint8_t* memory_;
  uint64_t next_ = kStart;
  std::vector<Injection> injections_;  // by the device's thread
  uint64_t used_ring_ = kStart;
};

// The driver's side of one split virtqueue, full at first, or empty. One
// descriptor per packet, written once. It polls, and with EVENT_IDX it wants
// neither kicks nor notifications.
//
// One thread, which need not be the device's.
class BenchQueue {
 public:
  struct Options {
    uint32_t size = 256;
    uint32_t buffer_bytes = 2048;
    bool writable = false;
    bool full = true;
  };

  BenchQueue(BenchDevice& device, Options options);

  const vduse::QueueInfo& info() const { return info_; }
  uint32_t size() const { return options_.size; }
  uint8_t* buffer(uint32_t slot);

  // Takes what the device has returned since the last call, and says how much
  // that was. Ends the program if it came out of order.
  uint32_t Take();
  // Offers the next ones; not more than were taken, or than an empty queue has.
  void Offer(uint32_t count);
  void Turn() { Offer(Take()); }

  // Of those that are offered, the device has not returned so many.
  uint32_t outstanding() const {
    return static_cast<uint16_t>(offered_ - returned_);
  }

  // All that was ever returned. Only where no Turn() runs.
  uint64_t packets() const { return packets_; }
  uint64_t bytes() const { return bytes_; }

 private:
  BenchDevice& device_;
  const Options options_;
  vduse::QueueInfo info_;
  uint64_t buffers_;  // address of the first
  uint16_t* avail_;
  uint8_t* used_;
  uint16_t offered_ = 0;
  uint16_t returned_ = 0;
  uint64_t packets_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace bench

#endif  // VDUSE_NET_TESTS_BENCH_BENCH_DRIVER_H_
