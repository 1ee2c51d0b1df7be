// SPDX-License-Identifier: Apache-2.0
#include "base/zero_pages.h"

#include <sys/mman.h>

#include <cstdlib>

namespace base {

ZeroPages::ZeroPages(size_t words) {
  void* const memory =
      mmap(nullptr, words * sizeof(uint64_t), PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();  // as without memory for `new`
  words_ = {static_cast<uint64_t*>(memory), words};
}

ZeroPages::~ZeroPages() { munmap(words_.data(), words_.size_bytes()); }

}  // namespace base
