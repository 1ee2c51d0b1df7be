// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SUPPORT_FAKE_DEVICE_H_
#define VDUSE_NET_TESTS_SUPPORT_FAKE_DEVICE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/unique_fd.h"
#include "tests/support/driver_host.h"
#include "vduse/device.h"

namespace tests {

// What the device may do with a region of the driver's memory.
enum class Perm { kRead, kWrite, kReadWrite };

// A VDUSE device without a kernel. The overrides are what the program under
// test calls. The other calls do what the kernel and the driver do.
//
// It behaves as the kernel does:
//   - A status is in force only after its request was answered with OK. A reset
//     happens whatever the answer is.
//   - Nothing can be injected until DRIVER_OK is in force.
//   - Without an eventfd, one kick is remembered. On a queue that is not ready,
//     none is.
//   - A queue that is announced is ready after the answer. Refusing the request
//     breaks the device.
//   - While suspended, the device takes neither kicks nor notifications until
//     it is reset.
//   - An answer to a request for which nobody waits is NotFound.
//   - poll_fd() is readable while requests wait, and raises POLLERR once the
//     device is broken.
//
// Any thread.
class FakeDevice : public vduse::Device, public DriverHost {
 public:
  explicit FakeDevice(uint32_t queue_count = 1, size_t config_bytes = 64);
  FakeDevice(const FakeDevice&) = delete;
  FakeDevice& operator=(const FakeDevice&) = delete;
  ~FakeDevice() override;

  uint32_t queue_count() const override { return queue_count_; }
  int poll_fd() const override { return device_end_.get(); }
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

  // --- The driver's memory ---

  // Maps `size` bytes of new, zeroed memory at `iova`; the memory is in its
  // file from `file_offset` on. Returns the driver's own pointer to it, valid
  // for the life of this object.
  uint8_t* AddRegion(uint64_t iova, uint64_t size, Perm perm = Perm::kReadWrite,
                     uint64_t file_offset = 0);

  // Moves the region that starts at `iova` from address space 0 to `asid`.
  void MoveRegion(uint64_t iova, uint32_t asid);

  // Ends the translation of the region that starts at `iova`. The driver keeps
  // the memory. No request is sent: see SendIotlbUpdate().
  void RemoveRegion(uint64_t iova);

  // The file of the region that starts at `iova`; owned by this object.
  int RegionFd(uint64_t iova);

  // Read or write the driver's memory by address, across regions and even where
  // the device has no access. They fail the test if no memory is there.
  std::vector<uint8_t> Peek(uint64_t iova, uint64_t size) override;
  void Poke(uint64_t iova, std::span<const uint8_t> bytes);

  // Makes the next `count` look-ups fail with `status`.
  void FailLookups(uint32_t count, absl::Status status);
  uint64_t lookups();

  // --- What the driver sets up ---

  void SetFeatures(uint64_t features);
  void SetQueue(uint32_t index, const vduse::QueueInfo& info) override;
  void SetReady(uint32_t index, bool ready);
  void Kick(uint32_t index) override;

  // --- Requests of the kernel ---

  // Each call queues a request and returns its id.
  uint32_t SendStatus(uint8_t status);
  uint32_t SendIotlbUpdate(uint64_t first, uint64_t last, uint32_t asid = 0);
  uint32_t SendQueueState(uint32_t index);
  uint32_t SendGroupAsid(uint32_t group, uint32_t asid);
  uint32_t SendQueueReady(uint32_t index, bool ready);
  uint32_t SendSuspend();
  uint32_t SendRaw(vduse_dev_request request);

  // Simulates that the requester was killed: the answer will be NotFound.
  void Forget(uint32_t id);

  // Returns the answer, if there is one. WaitForReply() and WriteStatus() block
  // until another thread, which serves the device, has answered. WriteStatus()
  // returns whether the answer was OK.
  std::optional<vduse_dev_response> ReplyTo(uint32_t id);
  vduse_dev_response WaitForReply(uint32_t id);
  bool WriteStatus(uint8_t status);

  // With `hold`, a status that was answered with OK takes effect only at
  // StoreStatus(). Every kernel has this gap between answer and effect.
  void HoldStatus(bool hold);
  void StoreStatus();
  uint8_t status();

  // The kernel marks the device broken.
  void Break();

  // --- What the device did ---

  uint64_t injects(uint32_t index);
  void WaitForInjects(uint32_t index, uint64_t count);
  uint64_t config_injects();
  std::vector<uint8_t> config();

 private:
  template <typename T>
  uint32_t Send(uint32_t type, const T& payload) {
    vduse_dev_request request = {};
    request.type = type;
    vduse::SetPayload(request, payload);
    return SendRaw(request);
  }

  struct Queue {
    vduse::QueueInfo info;
    base::UniqueFd kick;
    bool kicked = false;
    uint64_t injects = 0;
  };
  struct Mapping {
    uint64_t start;
    uint64_t last;
    Perm perm;
    uint32_t asid;
    uint64_t offset;
    base::UniqueFd fd;
    uint8_t* data;  // the driver's pointer to `start`
    void* map_base;
    size_t map_size;
    bool live;
  };

  Queue* At(uint32_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Mapping* LiveAt(uint64_t start) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::span<uint8_t> Resolve(uint64_t iova, uint64_t size)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BreakLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Answered(const vduse_dev_request& request, bool ok)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Reset() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  base::Mutex mutex_;
  base::CondVar changed_;
  const uint32_t queue_count_;
  // Holds one unread byte for each request that waits. It stays the same.
  base::UniqueFd device_end_;
  base::UniqueFd kernel_end_ ABSL_GUARDED_BY(mutex_);
  std::vector<Queue> queues_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint8_t> config_ ABSL_GUARDED_BY(mutex_);
  std::vector<Mapping> mappings_ ABSL_GUARDED_BY(mutex_);
  std::deque<vduse_dev_request> waiting_ ABSL_GUARDED_BY(mutex_);
  // Read, but not answered.
  std::map<uint32_t, vduse_dev_request> asked_ ABSL_GUARDED_BY(mutex_);
  std::map<uint32_t, vduse_dev_response> replies_ ABSL_GUARDED_BY(mutex_);
  uint32_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t features_ ABSL_GUARDED_BY(mutex_) = 0;
  uint8_t status_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<uint8_t> held_status_ ABSL_GUARDED_BY(mutex_);
  bool hold_status_ ABSL_GUARDED_BY(mutex_) = false;
  bool suspended_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t config_injects_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t lookups_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t failing_lookups_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status lookup_failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tests

#endif  // VDUSE_NET_TESTS_SUPPORT_FAKE_DEVICE_H_
