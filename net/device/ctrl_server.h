// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_CTRL_SERVER_H_
#define VDUSE_NET_NET_DEVICE_CTRL_SERVER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/unique_fd.h"
#include "net/device/command_target.h"
#include "net/device/ctrl_queue.h"
#include "net/path/notified_queue.h"
#include "vduse/device.h"
#include "vduse/iova_map.h"
#include "vduse/queue_position.h"
#include "vduse/virtqueue.h"

namespace net {

using vduse::QueuePosition;

// Serves the control queue while it runs: its memory, its kicks, and the times
// at which it is to be served without a kick. The CtrlQueue exists from Start()
// to Stop().
//
// On the control thread.
class CtrlServer {
 public:
  // What becomes of notifications for answered commands.
  enum class Notifications : uint8_t {
    kSend,
    kDrop,  // the driver cannot be notified
  };
  struct StartOptions {
    uint32_t index = 0;
    uint64_t features = 0;  // negotiated
    vduse::Virtqueue::Start start = vduse::Virtqueue::Start::kFresh;
    // Notify the driver once, even if it suppresses notifications: it may have
    // missed one.
    bool notify_once = false;
  };

  // `kick` is an eventfd. `device` and `target` must outlive the server.
  CtrlServer(vduse::Device& device, base::UniqueFd kick, CommandTarget& target);

  // How commands are answered from the next Start() on; executed at first.
  void SetMode(CtrlQueue::Mode mode) { mode_ = mode; }

  // The eventfd for the driver's kicks of the control queue. Poll it for
  // reading.
  int kick_fd() const { return kick_.get(); }
  // Whether there was a kick since the last call.
  [[nodiscard]] bool TakeKick();

  // Starts the queue that the driver has set up. Errors are those of
  // Virtqueue::Create().
  absl::Status Start(const vduse::QueueInfo& info, const StartOptions& options);
  // Stops the queue and returns its position; nothing if it does not run. With
  // `settle`, sends what is owed first, for a driver that will continue.
  std::optional<QueuePosition> Stop(std::optional<FlushCause> settle,
                                    Instant now);

  // The running queue, or null. Valid until the next call of a method that is
  // not const.
  const CtrlQueue* queue() const { return queue_ ? &*queue_ : nullptr; }
  bool running() const { return queue_.has_value(); }
  bool broken() const { return queue_ && queue_->queue().ring().broken(); }

  // Answers commands. Returns why the ring latched, if it latched in this call.
  [[nodiscard]] std::string Serve(Instant now, Notifications notifications);
  // When to call Serve() at the latest.
  std::optional<Instant> deadline() const;

  // The queue's memory. SetAsid() changes its address space; Drop() ends the
  // translations of [first, last], both inclusive; DropAll() ends all of them,
  // for a queue that does not run.
  void SetAsid(uint32_t asid);
  void Drop(uint64_t first, uint64_t last);
  void DropAll() { map_.DropAll(); }

 private:
  vduse::Device& device_;
  base::UniqueFd kick_;
  CommandTarget& target_;
  CtrlQueue::Mode mode_ = CtrlQueue::Mode::kExecute;
  vduse::IovaMap map_;
  std::optional<CtrlQueue> queue_;
  bool again_ = false;
  std::optional<Instant> retry_at_;  // while its rings are not mapped
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_CTRL_SERVER_H_
