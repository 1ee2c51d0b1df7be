// SPDX-License-Identifier: Apache-2.0
//
// The driver's memory, and the device's look-ups in it.
#include <errno.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tests/support/fake_device.h"
#include "tests/support/must.h"

namespace tests {
namespace {

bool MayRead(Perm perm) { return perm != Perm::kWrite; }
bool MayWrite(Perm perm) { return perm != Perm::kRead; }

}  // namespace

absl::StatusOr<vduse::IotlbRegion> FakeDevice::LookupIotlb(uint32_t asid,
                                                           uint64_t iova) {
  const base::MutexLock lock(mutex_);
  ++lookups_;
  if (failing_lookups_ > 0) {
    --failing_lookups_;
    return lookup_failure_;
  }
  for (const Mapping& mapping : mappings_) {
    if (!mapping.live || mapping.asid != asid || iova < mapping.start ||
        iova > mapping.last) {
      continue;
    }
    return vduse::IotlbRegion{.fd = Duplicate(mapping.fd.get()),
                              .offset = mapping.offset,
                              .start = mapping.start,
                              .last = mapping.last,
                              .readable = MayRead(mapping.perm),
                              .writable = MayWrite(mapping.perm)};
  }
  return absl::NotFoundError("");
}

uint8_t* FakeDevice::AddRegion(uint64_t iova, uint64_t size, Perm perm,
                               uint64_t file_offset) {
  base::UniqueFd fd(memfd_create("driver-memory", MFD_CLOEXEC));
  Must(static_cast<bool>(fd), "memfd_create");
  const uint64_t bytes = file_offset + size;
  Must(ftruncate(fd.get(), static_cast<off_t>(bytes)) == 0, "ftruncate");
  void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  Must(map != MAP_FAILED, "mmap");
  uint8_t* data = static_cast<uint8_t*>(map) + file_offset;
  const base::MutexLock lock(mutex_);
  mappings_.push_back({.start = iova,
                       .last = iova + (size - 1),
                       .perm = perm,
                       .asid = 0,
                       .offset = file_offset,
                       .fd = std::move(fd),
                       .data = data,
                       .map_base = map,
                       .map_size = bytes,
                       .live = true});
  return data;
}

void FakeDevice::MoveRegion(uint64_t iova, uint32_t asid) {
  const base::MutexLock lock(mutex_);
  LiveAt(iova)->asid = asid;
}

void FakeDevice::RemoveRegion(uint64_t iova) {
  const base::MutexLock lock(mutex_);
  LiveAt(iova)->live = false;
}

int FakeDevice::RegionFd(uint64_t iova) {
  const base::MutexLock lock(mutex_);
  return LiveAt(iova)->fd.get();
}

std::vector<uint8_t> FakeDevice::Peek(uint64_t iova, uint64_t size) {
  const base::MutexLock lock(mutex_);
  std::vector<uint8_t> bytes;
  while (bytes.size() < size) {
    const auto part = Resolve(iova + bytes.size(), size - bytes.size());
    if (part.empty()) break;
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  return bytes;
}

void FakeDevice::Poke(uint64_t iova, std::span<const uint8_t> bytes) {
  const base::MutexLock lock(mutex_);
  while (!bytes.empty()) {
    const auto part = Resolve(iova, bytes.size());
    if (part.empty()) break;
    std::memcpy(part.data(), bytes.data(), part.size());
    iova += part.size();
    bytes = bytes.subspan(part.size());
  }
}

// The driver's memory at `iova`, up to the end of its region. Of overlapping
// regions the newest counts, even if it was removed.
std::span<uint8_t> FakeDevice::Resolve(uint64_t iova, uint64_t size) {
  for (auto it = mappings_.rbegin(); it != mappings_.rend(); ++it) {
    if (iova < it->start || iova > it->last) continue;
    return {it->data + (iova - it->start),
            std::min(size - 1, it->last - iova) + 1};
  }
  ADD_FAILURE() << "the driver has no memory at " << iova;
  return {};
}

FakeDevice::Mapping* FakeDevice::LiveAt(uint64_t start) {
  for (Mapping& mapping : mappings_) {
    if (mapping.live && mapping.start == start) return &mapping;
  }
  errno = EINVAL;
  Must(false, "no region starts at this address");
  return nullptr;
}

void FakeDevice::FailLookups(uint32_t count, absl::Status status) {
  const base::MutexLock lock(mutex_);
  failing_lookups_ = count;
  lookup_failure_ = std::move(status);
}

uint64_t FakeDevice::lookups() {
  const base::MutexLock lock(mutex_);
  return lookups_;
}

}  // namespace tests
