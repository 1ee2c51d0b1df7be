// SPDX-License-Identifier: Apache-2.0
//
// A driver that breaks its ring and resets the device, again and again. Runs
// where vhost_vdpa_test.cc does; the scenario counts the lines of the log.
#include <cstdint>

#include "tests/tools/vhost_vdpa_fixture.h"
#include "vduse/ring_layout.h"

namespace tools {
namespace {

TEST_F(VhostVdpaTest, BrokenRingsInALoopAreFollowedByALife) {
  constexpr int kLives = 150;
  for (int life = 0; life < kLives; ++life) {
    SCOPED_TRACE(life);
    // What is offered and not used ends with its rings.
    memory.emplace(memory->At(kMemory), kMemory, kMemoryBytes);
    ASSERT_NO_FATAL_FAILURE(Start());
    // More entries are said to be available than there are.
    tx->StoreAvail(vduse::kAvailIdx, kQueueSize + 1);
    tx->Kick();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    vhost->SetStatus(0);
  }
  memory.emplace(memory->At(kMemory), kMemory, kMemoryBytes);
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectWorks();
}

}  // namespace
}  // namespace tools
