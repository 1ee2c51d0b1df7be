// SPDX-License-Identifier: Apache-2.0
#include "net/queue_pair.h"

#include "net/queue_pair_impl.h"

namespace net {

template class QueuePair<Tap>;

}  // namespace net
