// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_COMMAND_TARGET_H_
#define VDUSE_NET_NET_DEVICE_COMMAND_TARGET_H_

#include <cstdint>
#include <optional>

#include "coalesce/param_table.h"
#include "net/path/rx_filter.h"
#include "net/wire/config_space.h"

namespace net {

// Statistics of a data queue since the process started, in the order of
// virtio_net_stats_rx_basic and virtio_net_stats_tx_basic (virtio 1.3,
// 5.1.6.5.10). The specification's names are quoted where they differ.
struct QueueStats {
  uint64_t kicks = 0;  // "notifications"
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint64_t notifications = 0;  // "interrupts"
  uint64_t drops = 0;          // all drops
  // rx: no room in the driver's buffers, or in the TAP's queue because the
  // buffers were full; tx: malformed.
  uint64_t driver_drops = 0;
};
static_assert(sizeof(QueueStats) == 48);

// Whether the driver turns an RxMode on or off.
enum class RxModeSwitch : uint8_t { kOff, kOn };

// What the driver's commands act on. A change is in force when its call
// returns.
class CommandTarget {
 public:
  virtual ~CommandTarget() = default;

  // NOTF_COAL_RX_SET, NOTF_COAL_TX_SET.
  virtual void SetCoalescing(coalesce::Direction direction,
                             coalesce::Params params) = 0;
  // NOTF_COAL_VQ_SET. False if the queue is not an enabled data queue.
  [[nodiscard]] virtual bool SetQueueCoalescing(uint32_t queue,
                                                coalesce::Params params) = 0;
  // NOTF_COAL_VQ_GET. Nothing if the queue is not an enabled data queue.
  virtual std::optional<coalesce::Params> QueueCoalescing(
      uint32_t queue) const = 0;
  // GUEST_OFFLOADS_SET. False if `offloads` has a feature that was not
  // negotiated.
  [[nodiscard]] virtual bool SetGuestOffloads(uint64_t offloads) = 0;

  // VQ_PAIRS_SET. False if `pairs` is 0 or more than the device has.
  [[nodiscard]] virtual bool SetQueuePairs(uint16_t pairs) = 0;

  // The class RX, and MAC_TABLE_SET.
  virtual void SetRxMode(RxMode mode, RxModeSwitch to) = 0;
  virtual void SetMacTables(const MacTable& unicast,
                            const MacTable& multicast) = 0;
  // MAC_ADDR_SET. False if `mac` cannot be a device's address.
  [[nodiscard]] virtual bool SetMac(const MacAddress& mac) = 0;
  // VLAN_ADD, VLAN_DEL: the driver gets packets of that VLAN, or none. False if
  // there is no such VLAN.
  [[nodiscard]] virtual bool AddVlan(uint16_t id) = 0;
  [[nodiscard]] virtual bool DeleteVlan(uint16_t id) = 0;
  // ANNOUNCE_ACK. False if no announcement was asked for, by this process or by
  // one whose driver it has taken over.
  [[nodiscard]] virtual bool AcknowledgeAnnounce() = 0;

  // STATS_GET. Nothing if the driver has no such data queue.
  virtual std::optional<QueueStats> Stats(uint32_t queue) const = 0;
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_COMMAND_TARGET_H_
