// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/bench_driver.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include "tests/tools/flags.h"

namespace bench {
namespace {

template <typename T>
T Load(const void* from, std::memory_order order = std::memory_order_relaxed) {
  return std::atomic_ref<T>(*static_cast<T*>(const_cast<void*>(from)))
      .load(order);
}

}  // namespace

BenchDevice::BenchDevice(uint32_t queues, uint64_t memory_bytes)
    : queues_(queues),
      bytes_(memory_bytes),
      fd_(memfd_create("driver-memory", MFD_CLOEXEC)) {
  if (!fd_ || ftruncate(fd_.get(), static_cast<off_t>(bytes_)) != 0) {
    tools::DieErrno("memory of the driver");
  }
  void* map = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_POPULATE, fd_.get(), 0);
  if (map == MAP_FAILED) tools::DieErrno("mmap of the driver's memory");
  memory_ = static_cast<uint8_t*>(map);
}

BenchDevice::~BenchDevice() { munmap(memory_, bytes_); }

uint64_t BenchDevice::Allocate(uint64_t bytes) {
  const uint64_t at = (next_ + 4095) & ~uint64_t{4095};
  if (at + bytes > kStart + bytes_) tools::Die("the driver's memory is full");
  next_ = at + bytes;
  return at;
}

absl::StatusOr<vduse::IotlbRegion> BenchDevice::LookupIotlb(uint32_t /*asid*/,
                                                            uint64_t iova) {
  if (iova < kStart || iova - kStart >= bytes_) return absl::NotFoundError("");
  return vduse::IotlbRegion{
      .fd = base::UniqueFd(fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)),
      .offset = 0,
      .start = kStart,
      .last = kStart + bytes_ - 1,
      .readable = true,
      .writable = true};
}

void BenchDevice::KeepInjections(size_t capacity, uint64_t used_ring) {
  used_ring_ = used_ring;
  injections_.clear();
  injections_.reserve(capacity);
}

vduse::InjectResult BenchDevice::Inject(uint32_t /*index*/) {
  if (injections_.size() < injections_.capacity()) {
    injections_.push_back(
        {.at = Now(),
         .used = Load<uint16_t>(At(used_ring_) + 2 * vduse::kUsedIdx)});
  }
  return vduse::InjectResult::kDelivered;
}

absl::StatusOr<uint64_t> BenchDevice::NegotiatedFeatures() {
  return absl::UnimplementedError("");
}
absl::StatusOr<vduse::QueueInfo> BenchDevice::GetQueueInfo(uint32_t) {
  return absl::UnimplementedError("");
}
absl::Status BenchDevice::SetKick(uint32_t, int) {
  return absl::UnimplementedError("");
}
absl::Status BenchDevice::SetConfig(uint32_t, std::span<const uint8_t>) {
  return absl::UnimplementedError("");
}
vduse::InjectResult BenchDevice::InjectConfig() {
  return vduse::InjectResult::kBroken;
}
absl::StatusOr<std::optional<vduse_dev_request>> BenchDevice::ReadRequest() {
  return absl::UnimplementedError("");
}
absl::Status BenchDevice::Reply(const vduse_dev_response&) {
  return absl::UnimplementedError("");
}

BenchQueue::BenchQueue(BenchDevice& device, Options options)
    : device_(device),
      options_(options),
      info_{
          .size = options.size,
          .desc_addr = device.Allocate(vduse::DescBytes(options.size)),
          .driver_addr = device.Allocate(vduse::AvailBytes(options.size, true)),
          .device_addr = device.Allocate(vduse::UsedBytes(options.size, true)),
          .position = {},
          .ready = true},
      buffers_(device.Allocate(uint64_t{options.size} * options.buffer_bytes)),
      avail_(reinterpret_cast<uint16_t*>(device.At(info_.driver_addr))),
      used_(device.At(info_.device_addr)) {
  auto* desc = reinterpret_cast<vduse::Desc*>(device.At(info_.desc_addr));
  for (uint32_t i = 0; i < options_.size; ++i) {
    desc[i] = {.addr = buffers_ + uint64_t{i} * options_.buffer_bytes,
               .len = options_.buffer_bytes,
               .flags = options_.writable ? vduse::kDescWrite : uint16_t{0},
               .next = 0};
  }
  // Just passed: a lap of the index until the next notification.
  avail_[vduse::kAvailRing + options_.size] = 0xffff;
  if (options_.full) Offer(options_.size);
}

uint8_t* BenchQueue::buffer(uint32_t slot) {
  return device_.At(buffers_ + uint64_t{slot} * options_.buffer_bytes);
}

uint32_t BenchQueue::Take() {
  const auto used_idx =
      Load<uint16_t>(used_ + 2 * vduse::kUsedIdx, std::memory_order_acquire);
  const uint32_t mask = options_.size - 1;
  uint32_t taken = 0;
  for (; returned_ != used_idx; ++returned_, ++taken) {
    const uint8_t* elem = used_ + vduse::kUsedRingOffset +
                          sizeof(vduse::UsedElem) * (returned_ & mask);
    const auto id = Load<uint32_t>(elem);
    if (id != (returned_ & mask)) tools::Die("buffer {} came back early", id);
    bytes_ += Load<uint32_t>(elem + offsetof(vduse::UsedElem, len));
  }
  packets_ += taken;
  return taken;
}

void BenchQueue::Offer(uint32_t count) {
  if (count == 0) return;
  const uint32_t mask = options_.size - 1;
  for (; count > 0; --count, ++offered_) {
    const auto id = static_cast<uint16_t>(offered_ & mask);
    std::atomic_ref<uint16_t>(avail_[vduse::kAvailRing + id])
        .store(id, std::memory_order_relaxed);
  }
  std::atomic_ref<uint16_t>(avail_[vduse::kAvailIdx])
      .store(offered_, std::memory_order_release);
}

}  // namespace bench
