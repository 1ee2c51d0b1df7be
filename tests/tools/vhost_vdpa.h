// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_TOOLS_VHOST_VDPA_H_
#define TESTS_TOOLS_VHOST_VDPA_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "tests/support/driver_host.h"

namespace tools {

// A VMM's side of /dev/vhost-vdpa-N, without a guest: each method makes one of
// the calls that QEMU combines. If a call that must succeed fails, the program
// ends. A call that the kernel may refuse returns errno, or 0 on success. One
// thread, but for Map() and Unmap().
class VhostVdpa : public tests::DriverHost {
 public:
  enum class Access : uint8_t { kRead = 1, kWrite = 2, kReadWrite = 3 };

  // Opens the device and becomes its owner. All other users must be gone.
  explicit VhostVdpa(const std::string& path);
  VhostVdpa(const VhostVdpa&) = delete;
  VhostVdpa& operator=(const VhostVdpa&) = delete;
  ~VhostVdpa() override;

  uint8_t status();
  void SetStatus(uint8_t status);
  uint64_t OfferedFeatures();
  void SetFeatures(uint64_t features);

  // --- Memory ---

  // Adds `size` bytes of fresh zeroed memory, a file of their own, and maps
  // them at `iova` of address space `asid`. Returns the driver's pointer to
  // them, good for the life of the object.
  uint8_t* AddRegion(uint64_t iova, uint64_t size,
                     Access access = Access::kReadWrite, uint32_t asid = 0);
  // Ends and renews the translation of a region that was added.
  void Unmap(uint64_t iova, uint32_t asid = 0);
  void Map(uint64_t iova, uint32_t asid = 0);

  std::vector<uint8_t> Peek(uint64_t iova, uint64_t size) override;

  uint32_t address_spaces();
  uint32_t GroupOf(uint32_t queue);
  [[nodiscard]] int SetGroupAsid(uint32_t group, uint32_t asid);

  // --- Queues ---

  // Size, addresses, position and eventfds; the queue is enabled by Enable().
  // From Linux 7.3 on, Disable() takes it away.
  void SetQueue(uint32_t index, const vduse::QueueInfo& info) override;
  void Enable(uint32_t index);
  void Disable(uint32_t index);
  void Kick(uint32_t index) override;
  // Whether the device has notified since the last call; waits up to `ms`.
  bool TakeCall(uint32_t index, int ms);
  // The device's position in the available ring, when it does not run.
  uint16_t Position(uint32_t index);

  [[nodiscard]] int Suspend();

 private:
  struct Region {
    uint64_t size;
    Access access;
    uint8_t* data;
  };
  struct Events {
    base::UniqueFd kick;
    base::UniqueFd call;
  };
  using Key = std::pair<uint32_t, uint64_t>;  // address space, IOVA

  void SendIotlb(uint8_t type, const Key& key, const Region& region);

  base::UniqueFd fd_;
  std::map<Key, Region> regions_;
  std::map<uint32_t, Events> events_;
};

}  // namespace tools

#endif  // TESTS_TOOLS_VHOST_VDPA_H_
