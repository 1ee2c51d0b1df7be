// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_NET_PATH_NOTIFIED_QUEUE_FIXTURE_H_
#define VDUSE_NET_TESTS_NET_PATH_NOTIFIED_QUEUE_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "net/path/notified_queue.h"
#include "tests/support/fake_device.h"
#include "tests/support/fake_driver.h"

namespace net {

// A NotifiedQueue and the driver on its other side, whose DRIVER_OK is in
// force. What a packet is, the test says.
struct NotifiedQueueBed {
  NotifiedQueueBed(uint32_t size, bool with_event_idx)
      : event_idx(with_event_idx),
        driver(device, memory,
               {.index = 0, .size = size, .event_idx = with_event_idx}) {
    device.SendStatus(0xf);
    vduse_dev_response response = {};
    response.request_id = device.ReadRequest().value()->request_id;
    EXPECT_TRUE(device.Reply(response).ok());
  }

  // A new queue from `base` on, without anything of the one before.
  void Start(uint16_t base, uint32_t early_flush) {
    driver.Restart(base);
    auto ring = vduse::Virtqueue::Create(
        driver.info(), {.event_idx = event_idx, .indirect = true},
        vduse::Virtqueue::Start::kFresh, map);
    ASSERT_TRUE(ring.ok()) << ring.status();
    queue.emplace(device, 0, std::move(*ring), early_flush);
  }

  // The device completes packets, each in so many chains of so many
  // descriptors, and accounts for all of them at once.
  void Complete(uint32_t packets, Instant now, uint32_t chains = 1,
                uint32_t descriptors = 1) {
    for (uint32_t i = 0; i < packets * chains; ++i) {
      Pop(descriptors,
          [&](vduse::Chain chain) { queue->ring().Push(std::move(chain), 0); });
    }
    queue->ring().Publish();
    if (packets > 0) {
      queue->OnPublished(packets, packets * chains * descriptors, now);
    }
    EXPECT_EQ(driver.DrainUsed(), packets * chains);
  }

  // The device returns one chain unused.
  void Reject(Instant now, uint32_t descriptors = 1) {
    Pop(descriptors,
        [&](vduse::Chain chain) { queue->Complete(std::move(chain), 0, now); });
    EXPECT_EQ(driver.DrainUsed(), 1U);
  }

  // The driver wants no notification; or one for the used entry that is
  // `later` entries ahead of the next, which without EVENT_IDX is any.
  void WantNone() {
    driver.SetNoInterrupt(true);
    driver.SetUsedEvent(static_cast<uint16_t>(driver.used_idx() + kFar));
  }
  void Want(uint16_t later = 0) {
    driver.SetNoInterrupt(false);
    driver.SetUsedEvent(static_cast<uint16_t>(driver.used_idx() + later));
  }
  // So many entries that a test never gets there.
  static constexpr uint16_t kFar = 0x7000;

  uint64_t injects() { return device.injects(0); }

  const bool event_idx;
  tests::FakeDevice device{1};
  tests::DriverMemory memory{device};
  tests::DriverQueue driver;
  vduse::IovaMap map{device};
  std::optional<NotifiedQueue> queue;

 private:
  template <typename Use>
  void Pop(uint32_t descriptors, Use use) {
    tests::ChainBuilder offer = driver.Chain();
    for (uint32_t i = 0; i < descriptors; ++i) offer.Writable(64);
    offer.Offer();
    std::optional<vduse::Chain> chain = queue->ring().Pop();
    ASSERT_TRUE(chain) << queue->ring().broken_reason();
    use(std::move(*chain));
  }
};

}  // namespace net

#endif  // VDUSE_NET_TESTS_NET_PATH_NOTIFIED_QUEUE_FIXTURE_H_
