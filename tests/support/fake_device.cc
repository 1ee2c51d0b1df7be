// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_device.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tests/support/must.h"

namespace tests {
namespace {

using vduse::InjectResult;

}  // namespace

FakeDevice::FakeDevice(uint32_t queue_count, size_t config_bytes)
    : queue_count_(queue_count), queues_(queue_count), config_(config_bytes) {
  std::array<int, 2> ends;
  Must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                  ends.data()) == 0,
       "socketpair");
  device_end_ = base::UniqueFd(ends[0]);
  kernel_end_ = base::UniqueFd(ends[1]);
  // This byte stays unread at kernel_end_. Closing kernel_end_ then raises
  // POLLERR at device_end_.
  Must(write(ends[0], "", 1) == 1, "write");
}

FakeDevice::~FakeDevice() {
  for (const Mapping& mapping : mappings_) {
    munmap(mapping.map_base, mapping.map_size);
  }
}

absl::StatusOr<uint64_t> FakeDevice::NegotiatedFeatures() {
  const base::MutexLock lock(mutex_);
  return features_;
}

absl::StatusOr<vduse::QueueInfo> FakeDevice::GetQueueInfo(uint32_t index) {
  const base::MutexLock lock(mutex_);
  const Queue* queue = At(index);
  if (queue == nullptr) return absl::InvalidArgumentError("no such queue");
  return queue->info;
}

absl::Status FakeDevice::SetKick(uint32_t index, int fd) {
  const base::MutexLock lock(mutex_);
  Queue* queue = At(index);
  if (queue == nullptr) return absl::InvalidArgumentError("no such queue");
  queue->kick = fd >= 0 ? Duplicate(fd) : base::UniqueFd();
  if (queue->info.ready && queue->kicked && queue->kick) {
    queue->kicked = false;
    Must(eventfd_write(queue->kick.get(), 1) == 0, "eventfd_write");
  }
  return absl::OkStatus();
}

InjectResult FakeDevice::Inject(uint32_t index) {
  const base::MutexLock lock(mutex_);
  if (broken_) return InjectResult::kBroken;
  Queue* queue = At(index);
  if (queue == nullptr || suspended_ ||
      (status_ & VIRTIO_CONFIG_S_DRIVER_OK) == 0) {
    return InjectResult::kNotYet;
  }
  ++queue->injects;
  changed_.NotifyAll();
  return InjectResult::kDelivered;
}

absl::Status FakeDevice::SetConfig(uint32_t offset,
                                   std::span<const uint8_t> bytes) {
  const base::MutexLock lock(mutex_);
  if (bytes.empty() || offset > config_.size() ||
      bytes.size() > config_.size() - offset) {
    return absl::InvalidArgumentError("outside the configuration space");
  }
  std::copy(bytes.begin(), bytes.end(), config_.begin() + offset);
  return absl::OkStatus();
}

InjectResult FakeDevice::InjectConfig() {
  const base::MutexLock lock(mutex_);
  if (broken_) return InjectResult::kBroken;
  if (suspended_ || (status_ & VIRTIO_CONFIG_S_DRIVER_OK) == 0) {
    return InjectResult::kNotYet;
  }
  ++config_injects_;
  changed_.NotifyAll();
  return InjectResult::kDelivered;
}

absl::StatusOr<std::optional<vduse_dev_request>> FakeDevice::ReadRequest() {
  const base::MutexLock lock(mutex_);
  if (broken_) return absl::AbortedError("broken");
  if (waiting_.empty()) return std::nullopt;
  char byte;
  Must(read(device_end_.get(), &byte, 1) == 1, "read");
  const vduse_dev_request request = waiting_.front();
  waiting_.pop_front();
  asked_[request.request_id] = request;
  return request;
}

absl::Status FakeDevice::Reply(const vduse_dev_response& response) {
  const base::MutexLock lock(mutex_);
  if (broken_) return absl::PermissionDeniedError("broken");
  const auto it = asked_.find(response.request_id);
  if (it == asked_.end()) return absl::NotFoundError("no such request");
  const vduse_dev_request request = it->second;
  asked_.erase(it);
  replies_[response.request_id] = response;
  Answered(request, response.result == VDUSE_REQ_RESULT_OK);
  changed_.NotifyAll();
  return absl::OkStatus();
}

void FakeDevice::Answered(const vduse_dev_request& request, bool ok) {
  if (request.type == vduse::kRequestSuspend && ok) suspended_ = true;
  if (request.type == vduse::kRequestSetQueueReady) {
    const auto queue = vduse::PayloadOf<vduse::RawQueueReady>(request);
    if (!ok) BreakLocked();
    if (ok) queues_.at(queue.index).info.ready = queue.ready != 0;
  }
  if (request.type != VDUSE_SET_STATUS) return;
  if (request.s.status == 0) {
    Reset();
  } else if (ok && hold_status_) {
    held_status_ = request.s.status;
  } else if (ok) {
    status_ = request.s.status;
  }
}

void FakeDevice::Reset() {
  status_ = 0;
  suspended_ = false;
  held_status_.reset();
  features_ = 0;
  for (Queue& queue : queues_) {
    queue.info = {};
    queue.kick.Reset();
    queue.kicked = false;
  }
}

void FakeDevice::SetFeatures(uint64_t features) {
  const base::MutexLock lock(mutex_);
  features_ = features;
}

void FakeDevice::SetQueue(uint32_t index, const vduse::QueueInfo& info) {
  const base::MutexLock lock(mutex_);
  queues_.at(index).info = info;
}

void FakeDevice::SetReady(uint32_t index, bool ready) {
  const base::MutexLock lock(mutex_);
  queues_.at(index).info.ready = ready;
}

void FakeDevice::Kick(uint32_t index) {
  const base::MutexLock lock(mutex_);
  Queue& queue = queues_.at(index);
  if (!queue.info.ready || suspended_) return;
  if (queue.kick) {
    Must(eventfd_write(queue.kick.get(), 1) == 0, "eventfd_write");
  } else {
    queue.kicked = true;
  }
}

uint32_t FakeDevice::SendStatus(uint8_t status) {
  vduse_dev_request request = {};
  request.type = VDUSE_SET_STATUS;
  request.s.status = status;
  return SendRaw(request);
}

uint32_t FakeDevice::SendIotlbUpdate(uint64_t first, uint64_t last,
                                     uint32_t asid) {
  return Send(VDUSE_UPDATE_IOTLB,
              vduse::RawIovaRange{
                  .start = first, .last = last, .asid = asid, .padding = 0});
}

uint32_t FakeDevice::SendGroupAsid(uint32_t group, uint32_t asid) {
  return Send(vduse::kRequestSetGroupAsid,
              vduse::RawGroupAsid{.group = group, .asid = asid});
}

uint32_t FakeDevice::SendQueueReady(uint32_t index, bool ready) {
  return Send(vduse::kRequestSetQueueReady,
              vduse::RawQueueReady{.index = index, .ready = ready ? 1U : 0U});
}

uint32_t FakeDevice::SendSuspend() {
  vduse_dev_request request = {};
  request.type = vduse::kRequestSuspend;
  return SendRaw(request);
}

uint32_t FakeDevice::SendQueueState(uint32_t index) {
  vduse_dev_request request = {};
  request.type = VDUSE_GET_VQ_STATE;
  request.vq_state.index = index;
  return SendRaw(request);
}

uint32_t FakeDevice::SendRaw(vduse_dev_request request) {
  const base::MutexLock lock(mutex_);
  request.request_id = next_id_++;
  waiting_.push_back(request);
  if (!broken_) Must(write(kernel_end_.get(), "", 1) == 1, "write");
  return request.request_id;
}

void FakeDevice::Forget(uint32_t id) {
  const base::MutexLock lock(mutex_);
  asked_.erase(id);
  const auto removed = std::erase_if(
      waiting_, [&](const auto& request) { return request.request_id == id; });
  char byte;
  if (removed > 0) Must(read(device_end_.get(), &byte, 1) == 1, "read");
}

std::optional<vduse_dev_response> FakeDevice::ReplyTo(uint32_t id) {
  const base::MutexLock lock(mutex_);
  const auto it = replies_.find(id);
  if (it == replies_.end()) return std::nullopt;
  return it->second;
}

vduse_dev_response FakeDevice::WaitForReply(uint32_t id) {
  const base::MutexLock lock(mutex_);
  while (!replies_.contains(id)) changed_.Wait(mutex_);
  return replies_[id];
}

bool FakeDevice::WriteStatus(uint8_t status) {
  return WaitForReply(SendStatus(status)).result == VDUSE_REQ_RESULT_OK;
}

void FakeDevice::HoldStatus(bool hold) {
  const base::MutexLock lock(mutex_);
  hold_status_ = hold;
}

void FakeDevice::StoreStatus() {
  const base::MutexLock lock(mutex_);
  if (held_status_) status_ = *held_status_;
  held_status_.reset();
}

uint8_t FakeDevice::status() {
  const base::MutexLock lock(mutex_);
  return status_;
}

void FakeDevice::Break() {
  const base::MutexLock lock(mutex_);
  BreakLocked();
}

void FakeDevice::BreakLocked() {
  broken_ = true;
  kernel_end_.Reset();
}

uint64_t FakeDevice::injects(uint32_t index) {
  const base::MutexLock lock(mutex_);
  return queues_.at(index).injects;
}

void FakeDevice::WaitForInjects(uint32_t index, uint64_t count) {
  const base::MutexLock lock(mutex_);
  while (queues_.at(index).injects < count) changed_.Wait(mutex_);
}

uint64_t FakeDevice::config_injects() {
  const base::MutexLock lock(mutex_);
  return config_injects_;
}

std::vector<uint8_t> FakeDevice::config() {
  const base::MutexLock lock(mutex_);
  return config_;
}

FakeDevice::Queue* FakeDevice::At(uint32_t index) {
  return index < queues_.size() ? &queues_[index] : nullptr;
}

}  // namespace tests
