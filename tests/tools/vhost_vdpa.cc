// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/vhost_vdpa.h"

// What this leaves out of the kernel's headers does not compile as C++.
#define VIRTIO_RING_NO_LEGACY
#include <fcntl.h>
#include <linux/vhost.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tests/tools/flags.h"

namespace tools {
namespace {

void Must(bool ok, std::string_view what) {
  if (!ok) DieErrno(what);
}

template <typename T>
void Call(const base::UniqueFd& fd, unsigned long request, T* argument,
          std::string_view what) {
  Must(ioctl(fd.get(), request, argument) >= 0, what);
}

base::UniqueFd NewEvent() {
  base::UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  Must(static_cast<bool>(fd), "eventfd");
  return fd;
}

}  // namespace

VhostVdpa::VhostVdpa(const std::string& path)
    : fd_(open(path.c_str(), O_RDWR | O_CLOEXEC)) {
  Must(static_cast<bool>(fd_), path);
  Must(ioctl(fd_.get(), VHOST_SET_OWNER) == 0, "VHOST_SET_OWNER");
  uint64_t features = 0;
  Call(fd_, VHOST_GET_BACKEND_FEATURES, &features, "backend features");
  features &= uint64_t{1} << VHOST_BACKEND_F_IOTLB_MSG_V2 |
              uint64_t{1} << VHOST_BACKEND_F_IOTLB_ASID;
  Call(fd_, VHOST_SET_BACKEND_FEATURES, &features, "backend features");
}

VhostVdpa::~VhostVdpa() {
  for (const auto& [key, region] : regions_) munmap(region.data, region.size);
}

uint8_t VhostVdpa::status() {
  uint8_t status = 0;
  Call(fd_, VHOST_VDPA_GET_STATUS, &status, "VHOST_VDPA_GET_STATUS");
  return status;
}

void VhostVdpa::SetStatus(uint8_t status) {
  Call(fd_, VHOST_VDPA_SET_STATUS, &status, "VHOST_VDPA_SET_STATUS");
}

uint64_t VhostVdpa::OfferedFeatures() {
  uint64_t features = 0;
  Call(fd_, VHOST_GET_FEATURES, &features, "VHOST_GET_FEATURES");
  return features;
}

void VhostVdpa::SetFeatures(uint64_t features) {
  Call(fd_, VHOST_SET_FEATURES, &features, "VHOST_SET_FEATURES");
}

uint8_t* VhostVdpa::AddRegion(uint64_t iova, uint64_t size, Access access,
                              uint32_t asid) {
  const base::UniqueFd file(memfd_create("guest-memory", MFD_CLOEXEC));
  Must(file && ftruncate(file.get(), static_cast<off_t>(size)) == 0, "memfd");
  void* data =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  Must(data != MAP_FAILED, "mmap");
  regions_[{asid, iova}] = {
      .size = size, .access = access, .data = static_cast<uint8_t*>(data)};
  Map(iova, asid);
  return static_cast<uint8_t*>(data);
}

void VhostVdpa::Map(uint64_t iova, uint32_t asid) {
  const Key key{asid, iova};
  SendIotlb(VHOST_IOTLB_UPDATE, key, regions_.at(key));
}

void VhostVdpa::Unmap(uint64_t iova, uint32_t asid) {
  const Key key{asid, iova};
  SendIotlb(VHOST_IOTLB_INVALIDATE, key, regions_.at(key));
}

void VhostVdpa::SendIotlb(uint8_t type, const Key& key, const Region& region) {
  vhost_msg_v2 message{};
  message.type = VHOST_IOTLB_MSG_V2;
  message.asid = key.first;
  message.iotlb.iova = key.second;
  message.iotlb.size = region.size;
  message.iotlb.uaddr = reinterpret_cast<uintptr_t>(region.data);
  message.iotlb.perm = static_cast<uint8_t>(region.access);
  message.iotlb.type = type;
  Must(write(fd_.get(), &message, sizeof(message)) == sizeof(message),
       "IOTLB message");
}

std::vector<uint8_t> VhostVdpa::Peek(uint64_t iova, uint64_t size) {
  std::vector<uint8_t> bytes;
  while (bytes.size() < size) {
    const uint64_t at = iova + bytes.size();
    auto found = regions_.upper_bound({0, at});
    if (found == regions_.begin()) Die("nothing is at {:#x}", at);
    --found;
    const uint64_t offset = at - found->first.second;
    const Region& region = found->second;
    if (offset >= region.size) Die("nothing is at {:#x}", at);
    const uint64_t part = std::min(size - bytes.size(), region.size - offset);
    bytes.insert(bytes.end(), region.data + offset,
                 region.data + offset + part);
  }
  return bytes;
}

uint32_t VhostVdpa::address_spaces() {
  unsigned count = 0;
  Call(fd_, VHOST_VDPA_GET_AS_NUM, &count, "VHOST_VDPA_GET_AS_NUM");
  return count;
}

uint32_t VhostVdpa::GroupOf(uint32_t queue) {
  vhost_vring_state state{.index = queue, .num = 0};
  Call(fd_, VHOST_VDPA_GET_VRING_GROUP, &state, "VHOST_VDPA_GET_VRING_GROUP");
  return state.num;
}

int VhostVdpa::SetGroupAsid(uint32_t group, uint32_t asid) {
  vhost_vring_state state{.index = group, .num = asid};
  return ioctl(fd_.get(), VHOST_VDPA_SET_GROUP_ASID, &state) == 0 ? 0 : errno;
}

void VhostVdpa::SetQueue(uint32_t index, const vduse::QueueInfo& info) {
  vhost_vring_state state{.index = index, .num = info.size};
  Call(fd_, VHOST_SET_VRING_NUM, &state, "VHOST_SET_VRING_NUM");
  state.num = info.position.avail_index;
  Call(fd_, VHOST_SET_VRING_BASE, &state, "VHOST_SET_VRING_BASE");
  vhost_vring_addr address{.index = index,
                           .flags = 0,
                           .desc_user_addr = info.desc_addr,
                           .used_user_addr = info.device_addr,
                           .avail_user_addr = info.driver_addr,
                           .log_guest_addr = 0};
  Call(fd_, VHOST_SET_VRING_ADDR, &address, "VHOST_SET_VRING_ADDR");
  Events& events = events_[index];
  events = {.kick = NewEvent(), .call = NewEvent()};
  vhost_vring_file file{.index = index, .fd = events.kick.get()};
  Call(fd_, VHOST_SET_VRING_KICK, &file, "VHOST_SET_VRING_KICK");
  file.fd = events.call.get();
  Call(fd_, VHOST_SET_VRING_CALL, &file, "VHOST_SET_VRING_CALL");
}

void VhostVdpa::Enable(uint32_t index) {
  vhost_vring_state state{.index = index, .num = 1};
  Call(fd_, VHOST_VDPA_SET_VRING_ENABLE, &state, "VHOST_VDPA_SET_VRING_ENABLE");
}

void VhostVdpa::Disable(uint32_t index) {
  vhost_vring_state state{.index = index, .num = 0};
  Call(fd_, VHOST_VDPA_SET_VRING_ENABLE, &state, "VHOST_VDPA_SET_VRING_ENABLE");
}

void VhostVdpa::Kick(uint32_t index) {
  Must(eventfd_write(events_.at(index).kick.get(), 1) == 0, "kick");
}

bool VhostVdpa::TakeCall(uint32_t index, int ms) {
  pollfd wait{
      .fd = events_.at(index).call.get(), .events = POLLIN, .revents = 0};
  if (poll(&wait, 1, ms) <= 0) return false;
  eventfd_t count = 0;
  return eventfd_read(wait.fd, &count) == 0;
}

uint16_t VhostVdpa::Position(uint32_t index) {
  vhost_vring_state state{.index = index, .num = 0};
  Call(fd_, VHOST_GET_VRING_BASE, &state, "VHOST_GET_VRING_BASE");
  return static_cast<uint16_t>(state.num);
}

int VhostVdpa::Suspend() {
  return ioctl(fd_.get(), VHOST_VDPA_SUSPEND) == 0 ? 0 : errno;
}

}  // namespace tools
