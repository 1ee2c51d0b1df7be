// SPDX-License-Identifier: Apache-2.0
#include "net/path/queue_pair_impl.h"
#include "tests/support/script_port.h"

namespace net {

template class QueuePair<tests::ScriptPort>;

}  // namespace net
