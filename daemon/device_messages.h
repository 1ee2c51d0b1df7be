// SPDX-License-Identifier: Apache-2.0
//
// Messages between the supervisor and a device process.
#ifndef VDUSE_NET_DAEMON_DEVICE_MESSAGES_H_
#define VDUSE_NET_DAEMON_DEVICE_MESSAGES_H_

#include <cstdint>

namespace program {

// What the saved state says about the TAP. Only the process that serves the
// device writes the state, so it is told.
struct TapRecord {
  uint64_t name_space = 0;
  uint32_t index = 0;
  uint32_t created = 0;  // by the device's processes
};

// How a device process serves.
enum class ServeMode : uint32_t {
  kNew,        // the device has just been made: no driver has used it
  kSuccessor,  // another process has served it
  // As a successor, but nothing is done that a driver could use to crash the
  // process again: see net::NetDevice::Options. The link is shown as down.
  kCaretaker,
};

// To the device process. Each order carries the present TapRecord.
struct DeviceOrder {
  enum class Kind : uint32_t {
    kServe,   // serve the device; its descriptor is attached
    kTap,     // use this TAP; see `has_drops_file` for the descriptors
    kLink,    // the state of the TAP's link, or a change of the TapRecord
    kReport,  // write a summary to the log
    kNewSupervisor,  // this supervisor ends, and another one takes over
    kEnd,            // the device is off the bus: write a summary, and end
  };
  Kind kind{};
  uint32_t link_up = 0;
  ServeMode mode{};  // kServe
  // kTap: the queues are attached, and after them the file from
  // PortDrops::OpenFile().
  uint32_t has_drops_file = 0;
  TapRecord tap = {};
};

// From the device process.
struct DeviceReport {
  enum class Kind : uint32_t {
    // The kernel's requests and the driver's commands are answered. The
    // eventfds of the driver's kicks are attached: the control queue's, then
    // those of the data queues.
    kServing,
    kWants,     // what the TAP has to be set to
    kBroken,    // the device is broken for good; the log says why
    kNoDriver,  // from a caretaker: the driver is gone
  };
  Kind kind{};
  uint32_t active_pairs = 0;  // kWants
  uint64_t offloads = 0;      // kWants; of net::kGuestOffloads
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_DEVICE_MESSAGES_H_
