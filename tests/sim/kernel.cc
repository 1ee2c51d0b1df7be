// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/kernel.h"

#include <linux/virtio_config.h>

#include <algorithm>
#include <utility>

#include "tests/support/must.h"

namespace sim {
namespace {

constexpr size_t kConfigBytes = 64;

}  // namespace

Kernel::Kernel(World& world, SharedMemory& memory, uint32_t queue_count,
               uint64_t whole)
    : world_(world),
      memory_(memory),
      queues_(queue_count),
      config_(kConfigBytes) {
  // Regions consist of pages.
  constexpr uint64_t kPage = 4096;
  uint64_t end = (whole + kPage - 1) / kPage * kPage;
  while (end < memory.bytes()) {
    region_ends_.push_back(end);
    end += kPage * world.Between(4, 64);
  }
  region_ends_.push_back(memory.bytes());
}

bool Kernel::driver_ok() const {
  return (status_ & VIRTIO_CONFIG_S_DRIVER_OK) != 0;
}

void Kernel::Kick(uint32_t index) {
  Queue& queue = queues_.at(index);
  world_.Note("kick of queue", index, static_cast<uint64_t>(queue.kick_fd));
  if (!queue.info.ready) return;
  if (queue.kick_fd >= 0) {
    on_kick_(queue.kick_fd);
  } else if (queue.kick_fd != kSwallows) {
    queue.kicked = true;
  }
}

std::vector<uint8_t> Kernel::Peek(uint64_t iova, uint64_t size) {
  const uint8_t* const from = memory_.data() + (iova - kStart);
  return {from, from + size};
}

uint32_t Kernel::Ask(vduse_dev_request request) {
  request.request_id = next_id_++;
  waiting_.push_back({.raw = request, .asked = world_.now()});
  world_.Note("request", request.request_id, request.type);
  return request.request_id;
}

std::optional<vduse_dev_response> Kernel::TakeReply(uint32_t id) {
  const auto it = replies_.find(id);
  // The writer of a status gets to know of it when it is in force.
  if (it == replies_.end() || answered_status_) return std::nullopt;
  const vduse_dev_response response = it->second;
  replies_.erase(it);
  return response;
}

bool Kernel::Forget(uint32_t id) {
  for (Request& request : read_) {
    if (request.raw.request_id != id) continue;
    request.forgotten = true;
    return true;
  }
  return std::erase_if(waiting_, [&](const auto& request) {
           return request.raw.request_id == id;
         }) > 0;
}

bool Kernel::TakeInterrupt(uint32_t index) {
  return std::exchange(queues_[index].interrupt, false);
}

bool Kernel::TakeConfigInterrupt() {
  return std::exchange(config_interrupt_, false);
}

void Kernel::OnTimer() {
  if (answered_status_ && world_.now() >= store_at_) StoreStatus();
  for (const auto* requests : {&waiting_, &read_}) {
    for (const Request& request : *requests) {
      if (world_.now() - request.asked < kTimeout) continue;
      world_.Fail("a request was not answered in time: the device is broken");
    }
  }
}

std::optional<Instant> Kernel::deadline() const {
  if (answered_status_) return store_at_;
  return std::nullopt;
}

void Kernel::StoreStatus() {
  status_ = *answered_status_;
  answered_status_.reset();
  world_.Note("status in force", status_);
}

void Kernel::Close() {
  for (Queue& queue : queues_) {
    if (queue.kick_fd >= 0) queue.kick_fd = kSwallows;
  }
  for (; !read_.empty(); read_.pop_back()) {
    if (!read_.back().forgotten) waiting_.push_front(read_.back());
  }
}

void Kernel::Clear() {
  Reset();
  std::fill(config_.begin(), config_.end(), uint8_t{0});
}

void Kernel::Answered(const vduse_dev_request& request, bool ok) {
  if (request.request_id == move_after_) {
    world_.Note("the driver's memory moves");
    memory_.Move();
  }
  if (request.type == vduse::kRequestSuspend && ok) suspended_ = true;
  if (request.type == vduse::kRequestSetQueueReady) {
    const auto queue = vduse::PayloadOf<vduse::RawQueueReady>(request);
    if (!ok) world_.Fail("SET_QUEUE_READY was refused");
    queues_.at(queue.index).info.ready = queue.ready != 0;
  }
  if (request.type != VDUSE_SET_STATUS) return;
  if (request.s.status == 0) {
    Reset();
  } else if (ok) {
    answered_status_ = request.s.status;
    store_at_ = world_.now() + std::chrono::microseconds(world_.Below(200));
  }
}

void Kernel::Reset() {
  status_ = 0;
  suspended_ = false;
  answered_status_.reset();
  features_ = 0;
  config_interrupt_ = false;
  for (Queue& queue : queues_) queue = {.info = {}, .injects = queue.injects};
}

// --- What the process calls --------------------------------------------------

template <typename T, typename Call>
T DeviceFile::Guarded(T if_dead, Call call) {
  world_.Point();
  if (world_.dead()) return if_dead;
  T result = call();
  world_.Point();
  return result;
}

absl::StatusOr<uint64_t> DeviceFile::NegotiatedFeatures() {
  return Guarded<absl::StatusOr<uint64_t>>(
      0, [&] { return absl::StatusOr<uint64_t>(kernel_.features_); });
}

absl::StatusOr<vduse::QueueInfo> DeviceFile::GetQueueInfo(uint32_t index) {
  using Result = absl::StatusOr<vduse::QueueInfo>;
  return Guarded<Result>(vduse::QueueInfo{}, [&] {
    return Result(kernel_.queues_.at(index).info);
  });
}

absl::Status DeviceFile::SetKick(uint32_t index, int fd) {
  return Guarded(absl::OkStatus(), [&] {
    Kernel::Queue& queue = kernel_.queues_.at(index);
    queue.kick_fd = fd;
    if (queue.info.ready && queue.kicked && fd >= 0) {
      queue.kicked = false;
      kernel_.on_kick_(fd);
    }
    return absl::OkStatus();
  });
}

vduse::InjectResult DeviceFile::Inject(uint32_t index) {
  return Guarded(vduse::InjectResult::kDelivered, [&] {
    Kernel::Queue& queue = kernel_.queues_.at(index);
    if (kernel_.suspended_ || !kernel_.driver_ok()) {
      return vduse::InjectResult::kNotYet;
    }
    world_.Note("interrupt of queue", index);
    ++queue.injects;
    if (queue.info.ready) queue.interrupt = true;
    return vduse::InjectResult::kDelivered;
  });
}

absl::Status DeviceFile::SetConfig(uint32_t offset,
                                   std::span<const uint8_t> bytes) {
  return Guarded(absl::OkStatus(), [&] {
    std::copy(bytes.begin(), bytes.end(), kernel_.config_.begin() + offset);
    return absl::OkStatus();
  });
}

vduse::InjectResult DeviceFile::InjectConfig() {
  return Guarded(vduse::InjectResult::kDelivered, [&] {
    if (kernel_.suspended_ || !kernel_.driver_ok()) {
      return vduse::InjectResult::kNotYet;
    }
    kernel_.config_interrupt_ = true;
    return vduse::InjectResult::kDelivered;
  });
}

absl::StatusOr<vduse::IotlbRegion> DeviceFile::LookupIotlb(uint32_t asid,
                                                           uint64_t iova) {
  using Result = absl::StatusOr<vduse::IotlbRegion>;
  return Guarded<Result>(absl::UnavailableError("dead"), [&] {
    const uint64_t offset = iova - Kernel::kStart;
    if (asid != 0 || iova < Kernel::kStart ||
        offset >= kernel_.memory_.bytes()) {
      return Result(absl::NotFoundError(""));
    }
    const auto end = std::upper_bound(kernel_.region_ends_.begin(),
                                      kernel_.region_ends_.end(), offset);
    const uint64_t begin =
        end == kernel_.region_ends_.begin() ? 0 : *std::prev(end);
    return Result(
        vduse::IotlbRegion{.fd = tests::Duplicate(kernel_.memory_.fd()),
                           .offset = begin,
                           .start = Kernel::kStart + begin,
                           .last = Kernel::kStart + *end - 1,
                           .readable = true,
                           .writable = true});
  });
}

absl::StatusOr<std::optional<vduse_dev_request>> DeviceFile::ReadRequest() {
  using Result = absl::StatusOr<std::optional<vduse_dev_request>>;
  return Guarded<Result>(std::nullopt, [&] {
    if (kernel_.waiting_.empty()) return Result(std::nullopt);
    kernel_.read_.push_back(kernel_.waiting_.front());
    kernel_.waiting_.pop_front();
    return Result(kernel_.read_.back().raw);
  });
}

absl::Status DeviceFile::Reply(const vduse_dev_response& response) {
  return Guarded(absl::OkStatus(), [&]() -> absl::Status {
    const auto it = std::find_if(
        kernel_.read_.begin(), kernel_.read_.end(), [&](const auto& request) {
          return request.raw.request_id == response.request_id;
        });
    if (it == kernel_.read_.end()) {
      world_.Fail("an answer to a request that was not read, or a second one");
      return absl::NotFoundError("no such request");
    }
    const Kernel::Request request = *it;
    kernel_.read_.erase(it);
    const bool ok = response.result == VDUSE_REQ_RESULT_OK;
    world_.Note("answered", response.request_id, ok ? 1 : 0);
    if (request.forgotten) {
      // A reset takes effect all the same.
      if (request.raw.type == VDUSE_SET_STATUS && request.raw.s.status == 0) {
        kernel_.Answered(request.raw, ok);
      }
      return absl::NotFoundError("nobody waits");
    }
    kernel_.replies_[response.request_id] = response;
    kernel_.Answered(request.raw, ok);
    return absl::OkStatus();
  });
}

}  // namespace sim
