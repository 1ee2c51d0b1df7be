// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_PAIR_RUNNER_H_
#define VDUSE_NET_NET_PATH_PAIR_RUNNER_H_

#include <functional>

#include "absl/status/status.h"
#include "net/path/queue_pair.h"
#include "net/path/tap.h"

namespace net {

// Runs one QueuePair, which it owns: steps the pair when there is a reason, and
// runs functions of the control thread on it between two steps. A Worker does
// so on a thread of its own.
//
// On the control thread.
class PairRunner {
 public:
  virtual ~PairRunner() = default;

  // Runs `work` between two steps, and waits for it. A step follows. When
  // Call() returns, the runner holds no pointer into driver memory that it does
  // not look up anew.
  virtual void Call(const std::function<void(QueuePair&)>& work) = 0;

  // The eventfd that the kernel signals when the driver kicks the queue.
  virtual int kick_fd(Direction direction) const = 0;

  // The pair's histograms, which the runner keeps writing. Needs no Call().
  virtual const NotificationHistograms& histograms(
      Direction direction) const = 0;

  // Gives the pair its port.
  virtual absl::Status SetTap(Tap tap) = 0;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_PAIR_RUNNER_H_
