// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_FUZZ_HOLDS_H_
#define VDUSE_NET_TESTS_FUZZ_HOLDS_H_

#include <cstdio>
#include <cstdlib>

// Ends the fuzzer, which keeps the input, if `condition` is false.
#define HOLDS(condition)                                                \
  do {                                                                  \
    if (!(condition)) {                                                 \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
              #condition);                                              \
      abort();                                                          \
    }                                                                   \
  } while (false)

#endif  // VDUSE_NET_TESTS_FUZZ_HOLDS_H_
