// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_DRIVER_SESSION_H_
#define VDUSE_NET_NET_DEVICE_DRIVER_SESSION_H_

#include <cstdint>

#include "vduse/queue_position.h"
#include "vduse/virtqueue.h"

namespace net {

using vduse::QueuePosition;

// How far the driver has come, where it comes from, and which features it has
// negotiated. Policy only: NetDevice reports what happens, and asks what
// follows from it.
//
//   phase          event                             phase          origin
//   -------------  --------------------------------  -------------  ---------
//   none,          FEATURES_OK                       negotiated     same
//     negotiated   DRIVER_OK                         active         given (1)
//   negotiated     kick of the control queue (2)     commands only  same
//   active         DRIVER_OK not in force (3)        commands only  same
//   commands only  FEATURES_OK                       commands only  same
//                  DRIVER_OK, again or late          active         given (1)
//                  DRIVER_OK is in force after all   active         recovered
//   active,        suspend                           suspended      new
//     commands
//     only
//   any            reset                             none           new
//                  FAILED                            none (4)       new
//
//   At the start of a successor of a killed process:
//   none           the driver is active              active         recovered
//                  features are negotiated           commands only  recovered
//                  the device was suspended          suspended      new
//                  no driver is known                none           recovered
//
// (1) Recovered if the origin was that already, or if commands have been
//     answered. Otherwise moved here, continues or new: see NetDevice.
// (2) A driver does not kick before DRIVER_OK, so its DRIVER_OK was lost on its
//     way here.
// (3) The process that wrote DRIVER_OK was killed before it got the answer, or
//     the kernel refuses the config interrupt for too long.
// (4) Only a reset ends a suspend.
//
// On the control thread.
class DriverSession {
 public:
  enum class Phase : uint8_t {
    kNone,          // no driver, or one that has not negotiated features
    kNegotiated,    // FEATURES_OK
    kActive,        // DRIVER_OK: every queue is served
    kCommandsOnly,  // DRIVER_OK is not in force: only the control queue is
                    // served
    kSuspended,     // no queue is served until the next reset
  };
  // Until the driver is active this is preliminary: kNew or kRecovered, to be
  // used if nothing more becomes known.
  enum class Origin : uint8_t {
    kNew,
    kContinues,  // after a reset by its VMM: the same driver as before
    kMovedHere,  // from another device, with its state
    // Its rings have been in use already: by an earlier process, or while only
    // commands were served. The positions are read from the rings.
    kRecovered,
  };

  Phase phase() const { return phase_; }
  Origin origin() const { return origin_; }
  // The negotiated features; 0 while unknown.
  uint64_t features() const { return features_; }

  bool active() const { return phase_ == Phase::kActive; }
  bool commands_only() const { return phase_ == Phase::kCommandsOnly; }
  bool suspended() const { return phase_ == Phase::kSuspended; }
  // Some queues of the driver are served, or all.
  bool served() const { return active() || commands_only(); }
  // The driver has negotiated features, and its DRIVER_OK has not come.
  bool awaits_driver_ok() const { return phase_ == Phase::kNegotiated; }
  // The first start of its queues finds rings in use.
  bool recovers() const { return origin_ == Origin::kRecovered; }
  // Whether the driver existed before its queues start in this process: it may
  // be waiting for a notification that was never sent.
  bool may_have_missed_notifications() const { return origin_ != Origin::kNew; }
  // Whether a queue that has not started has the position that the kernel
  // reports, because neither a saved state nor the ring has another one.
  bool kernel_has_positions() const {
    return origin_ == Origin::kNew || origin_ == Origin::kContinues;
  }

  // How a queue starts at `position`, which the kernel reports. A VMM that
  // moves a driver sets the positions of its queues; if they were not set, they
  // are read from the rings.
  vduse::Virtqueue::Start StartOf(QueuePosition position) const;

  // An earlier process may have served the driver.
  void ExpectUsedRings() { origin_ = Origin::kRecovered; }
  // The driver has negotiated `features`, and may send commands.
  void Negotiate(uint64_t features);
  void Activate(uint64_t features, Origin origin);
  // Requires a driver that has negotiated features.
  void LimitToCommands() { phase_ = Phase::kCommandsOnly; }
  void Suspend();
  // The driver is gone: FAILED, or before another phase begins. A device that
  // is suspended stays so until Reset().
  void End();
  void Reset();

 private:
  Phase phase_ = Phase::kNone;
  Origin origin_ = Origin::kNew;
  uint64_t features_ = 0;
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_DRIVER_SESSION_H_
