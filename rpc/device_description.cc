// SPDX-License-Identifier: Apache-2.0
//
// The text of the varlink interface.
#include "rpc/device_service.h"

namespace rpc {

const char kDeviceDescription[] =
    R"(# One device of vduse-net, for its operator.
interface org.vduse-net.Device

type Params (usecs: int, frames: int)

# The operator's setting of one direction. usecs and frames are in force unless
# adaptive is true. If it is true, exactly one of the goals is present.
type Setting (
  usecs: int,
  frames: int,
  adaptive: bool,
  target_latency_usecs: ?int,
  max_irq_rate: ?int
)

# The members of a Setting to change; absent members keep their values. If
# adaptive becomes true without a goal, the previous goal is used, or a target
# latency of 50 microseconds if there was none. A goal implies adaptive.
type Change (
  usecs: ?int,
  frames: ?int,
  adaptive: ?bool,
  target_latency_usecs: ?int,
  max_irq_rate: ?int
)

# A histogram of all values so far. The quantiles and max are exact to a 32nd.
type Histogram (count: int, sum: int, p50: int, p90: int, p99: int, max: int)

# Decisions of an adaptive queue. A batch was notified at once because no
# notification was sent shortly before (alone), or because waiting has gained
# nothing lately (through); or it waited, and other packets joined it (gathered)
# or did not (futile). switched counts changes between waiting and not waiting.
type Decisions (
  alone: int,
  through: int,
  gathered: int,
  futile: int,
  switched: int
)

# One virtqueue. Counts begin at the start of the process. requested has the
# parameters that the source has set; effective, present while the queue runs,
# has those in force. waited_nsecs is the sum of all packets' waits for their
# notification. read_nsecs is the time at which the counts were read
# (CLOCK_MONOTONIC).
type Queue (
  index: int,
  direction: (rx, tx),
  enabled: bool,
  source: (operator, adaptive, driver_all, driver_queue),
  requested: Params,
  effective: ?Params,
  waiting: ?bool,
  packets: int,
  flushes: int,
  suppressed: int,
  notifications: int,
  cancelled: int,
  waited_nsecs: int,
  read_nsecs: int,
  causes: [string]int,
  decisions: Decisions,
  packets_per_notification: Histogram,
  delay_nsecs: Histogram,
  timer_lateness_nsecs: Histogram
)

# One process of the device, and what it may do, as the kernel has confirmed it
# to that process. capabilities are named as in capabilities(7), in lower case
# and without "cap_". With calls_filtered, a system call without a rule ends the
# process. landlock is the version of Landlock in force, or 0. text says all of
# that in words.
type Process (
  role: (supervisor, device, standby, administration),
  pid: int,
  sandboxed: bool,
  user: int,
  capabilities: []string,
  no_new_privileges: bool,
  no_dumps: bool,
  calls_filtered: bool,
  landlock: int,
  text: string
)

# The device's processes.
method GetProcesses() -> (device: string, processes: []Process)

method GetCoalescing() -> (
  device: string,
  rx: Setting,
  tx: Setting,
  queues: []Queue
)

# Changes the setting, which is in force when the method returns. kept_by_driver
# lists the queues whose driver has set parameters of its own; the setting
# applies to them once the driver resets the device.
method SetCoalescing(rx: ?Change, tx: ?Change) -> (kept_by_driver: []int)

# Returns the driver-visible state of the device, for `vduse-net run --restore`.
# Fails while the driver is active.
method SaveState() -> (state: object)

error Failed (reason: string)
)";

}  // namespace rpc
