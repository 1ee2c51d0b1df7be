// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_QUEUE_TABLE_H_
#define VDUSE_NET_NET_DEVICE_QUEUE_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/device/device_state.h"

namespace net {

// The virtqueues of a device: what each one is for, whether it runs, and at
// which position it stands. A table of facts: it starts and stops nothing.
//
// Virtqueue 2N receives and virtqueue 2N + 1 transmits. The control queue is
// the last virtqueue for a driver that negotiated MQ, and virtqueue 2 for any
// other driver (virtio 1.3, 5.1.2).
//
// Indexes are below size(), except where stated. On the control thread.
class QueueTable {
 public:
  enum class State : uint8_t {
    kDown,  // started once it is found to be ready
    kRunning,
    kRefused,  // the driver's set-up cannot be served
    // The kernel has taken the queue away. It is ignored until the kernel
    // announces it again, because the kernel may still report it as ready for a
    // moment.
    kTaken,
  };
  enum class ControlQueue : uint8_t { kAbsent, kPresent };

  // Every queue is down, at position 0.
  QueueTable(uint32_t queue_pairs, ControlQueue control);

  uint32_t size() const { return static_cast<uint32_t>(slots_.size()); }

  // --- What a queue is for ---

  // A driver has negotiated `features`: decides where its control queue is, and
  // how many data queues it has. Without MQ it has one pair, however many the
  // device has.
  void AssignRoles(uint64_t features);

  // The control queue's index, if the device has a control queue.
  std::optional<uint32_t> control() const { return control_; }
  // Any index.
  bool IsControl(uint32_t index) const { return control_ == index; }
  bool IsData(uint32_t index) const;

  // The virtqueue group of the control queue. The groups are fixed when the
  // device is made: only the last virtqueue is in kCtrlGroup.
  uint32_t control_group() const;

  // "rx queue 0", "tx queue 1", "control queue": for the log.
  std::string QueueName(uint32_t index) const;

  // --- Whether it runs ---

  State state(uint32_t index) const { return slots_[index].state; }
  bool IsRunning(uint32_t index) const {
    return state(index) == State::kRunning;
  }
  void SetState(uint32_t index, State state) { slots_[index].state = state; }

  // A driver is about to use the queues: none of them has run for it yet.
  void BeginDriver();
  // The driver has gone: every queue is down. Until the next AssignRoles(),
  // only the first pair counts as data queues.
  void EndDriver();

  // The queue runs, and the kernel reports `position` for it.
  void SetRunning(uint32_t index, QueuePosition position);
  // Whether the queue has run for this driver.
  bool HasRun(uint32_t index) const { return slots_[index].began.has_value(); }

  // --- Its position ---

  // Not updated while the queue runs.
  QueuePosition position(uint32_t index) const {
    return slots_[index].position;
  }
  void SetPosition(uint32_t index, QueuePosition position) {
    slots_[index].position = position;
  }

  // Where the queue is to start, if the kernel reports `position`. A queue that
  // was taken away and comes back continues where it stopped, although the
  // kernel still reports where it began.
  QueuePosition StartPosition(uint32_t index, QueuePosition position) const;

  // All positions, as DeviceState has them: one for each queue.
  std::vector<QueuePosition> positions() const;
  void SetPositions(const std::vector<QueuePosition>& positions);

 private:
  struct Slot {
    State state = State::kDown;
    // What the kernel reported when the queue started, once it has run for this
    // driver.
    std::optional<QueuePosition> began;
    QueuePosition position;
  };

  const uint32_t max_data_queues_;
  uint32_t data_queues_;
  std::optional<uint32_t> control_;
  std::vector<Slot> slots_;
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_QUEUE_TABLE_H_
