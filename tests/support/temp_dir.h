// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SUPPORT_TEMP_DIR_H_
#define VDUSE_NET_TESTS_SUPPORT_TEMP_DIR_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace tests {

// A directory of the test's own; deleted with the object.
class TempDir {
 public:
  TempDir() : path_(testing::TempDir() + "vduse-net-XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace tests

#endif  // VDUSE_NET_TESTS_SUPPORT_TEMP_DIR_H_
