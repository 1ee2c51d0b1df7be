// SPDX-License-Identifier: Apache-2.0
#include "net/path/queue_pair.h"

#include "net/path/queue_pair_impl.h"

namespace net {

template class QueuePair<Tap>;

}  // namespace net
