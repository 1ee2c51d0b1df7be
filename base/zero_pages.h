// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_ZERO_PAGES_H_
#define VDUSE_NET_BASE_ZERO_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace base {

// `words` numbers that are 0. The kernel provides a page of them when the page
// is written for the first time, so what is never written takes no memory, in
// this process or in its children. Any thread; the memory stays as long as the
// object. Ends the process if there is no address space left.
class ZeroPages {
 public:
  explicit ZeroPages(size_t words);
  ZeroPages(const ZeroPages&) = delete;
  ZeroPages& operator=(const ZeroPages&) = delete;
  ~ZeroPages();

  std::span<uint64_t> words() const { return words_; }

 private:
  std::span<uint64_t> words_;
};

}  // namespace base

#endif  // VDUSE_NET_BASE_ZERO_PAGES_H_
