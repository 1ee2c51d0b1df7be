// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_LINK_STATUS_H_
#define VDUSE_NET_NET_DEVICE_LINK_STATUS_H_

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/log.h"
#include "net/path/notified_queue.h"
#include "vduse/device.h"

namespace net {

// The field `status` of the configuration space (virtio 1.3, 5.1.4): whether
// the link is up, and whether the driver is to announce itself to the network.
// Sends a config interrupt when the field changes, and retries while the kernel
// refuses the interrupt.
//
// The link is up while the TAP's link is up and every queue can be served. The
// field is written when an input below changes the result.
//
// Knows the vduse::Device and no other part of the NetDevice. On the control
// thread. Never waits.
class LinkStatus {
 public:
  // Whom a config interrupt would reach.
  enum class Driver : uint8_t {
    kNone,         // nobody: a driver reads the field when it starts
    kNotInForce,   // a driver, but the kernel does not know its DRIVER_OK
    kInterrupted,  // a driver that gets config interrupts
  };
  // Whether the driver was moved here and is to announce itself.
  enum class Announcement : uint8_t { kNotWanted, kWanted };
  enum class Verdict : uint8_t {
    kFine,
    // The kernel has refused the config interrupt for kInForceLimit: the
    // driver's DRIVER_OK is not in force. Call LimitDriver().
    kNotInForce,
  };

  // An answered DRIVER_OK is in force within a millisecond, unless its writer
  // has to wait for a CPU.
  static constexpr Duration kInForceLimit = std::chrono::seconds(10);
  // Time for the driver to see the link come up before it is asked to announce
  // itself: what it sends before that is lost.
  static constexpr Duration kAnnounceDelay = std::chrono::milliseconds(100);
  // The delays between tries of a config interrupt: the first, doubled up to
  // the last.
  static constexpr Duration kFirstRetry = std::chrono::milliseconds(1);
  static constexpr Duration kLastRetry = std::chrono::milliseconds(100);

  // `device` must outlive this object, and its field shows a link that is down.
  explicit LinkStatus(vduse::Device& device) : device_(device) {}

  // For an adopted device: an earlier process has written the field, so its
  // value is unknown. The field is not written until the state of the TAP's
  // link is known, or a queue has latched or lost its port.
  void ForgetShown() { shown_.reset(); }

  // --- The inputs ---

  void SetTapLink(bool up, Instant now);

  // A queue has latched, or its port is lost.
  void MarkBroken(Instant now);
  // Every queue can be served. Takes effect with the next Update().
  void ClearBroken() { broken_ = false; }

  // A driver is active, and every queue can be served. Owes it a config
  // interrupt, because it may have read the field before the last change.
  void StartDriver(Announcement announcement, Instant now);
  // There is a driver whose DRIVER_OK is not in force: it gets no interrupts.
  void LimitDriver(Announcement announcement);
  // There is no driver. Drops a config interrupt that is owed and a pending
  // announcement. The next Update() writes the field.
  void StopDriver();

  // The driver announces itself. False if the field could not be written.
  [[nodiscard]] bool EndAnnouncement();

  // Writes the field if an input has changed it.
  void Update(Instant now);

  // --- The clock ---

  // Does what is due by `now`.
  Verdict OnTimer(Instant now);
  // When to call OnTimer() at the latest.
  std::optional<Instant> deadline() const;

 private:
  void FollowAnnouncement(bool up, Instant now);
  [[nodiscard]] bool Show(uint16_t status);
  void OweInterrupt(Instant now);
  Verdict Interrupt(Instant now);

  vduse::Device& device_;
  // Until this is known, an adopted device keeps showing its previous link
  // state.
  std::optional<bool> tap_link_;
  bool broken_ = false;
  // The field, if known.
  std::optional<uint16_t> shown_ = 0;

  Driver driver_ = Driver::kNone;
  Announcement announcement_ = Announcement::kNotWanted;
  bool announcing_ = false;  // the driver is being asked to announce itself
  std::optional<Instant> announce_at_;

  bool owed_ = false;  // a config interrupt
  Instant owed_since_{};
  std::optional<Instant> retry_at_;
  Duration retry_delay_{};

  base::LogLimiter link_log_{10};
  base::LogLimiter config_log_{4};
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_LINK_STATUS_H_
