// SPDX-License-Identifier: Apache-2.0
#include "base/text_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace base {
namespace {

class TextFileTest : public testing::Test {
 protected:
  size_t FilesThere() const {
    size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(dir_)) {
      files += entry.path().empty() ? 0 : 1;
    }
    return files;
  }

  const tests::TempDir temp_;
  const std::string& dir_ = temp_.path();
};

TEST_F(TextFileTest, AFileIsForTheOwnerAndReplacesWhatWasThere) {
  const std::string path = dir_ + "/state";
  ASSERT_TRUE(WriteFile(path, "old and longer").ok());
  ASSERT_TRUE(WriteFile(path, "new").ok());
  EXPECT_EQ(ReadFile(path).value(), "new");
  struct stat info = {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(FilesThere(), 1U);
}

TEST_F(TextFileTest, FilesWithSimilarNamesAreLeftAlone) {
  const std::string path = dir_ + "/state";
  std::ofstream(path + ".tmp") << "somebody's";
  ASSERT_TRUE(WriteFile(path, "new").ok());
  EXPECT_EQ(ReadFile(path + ".tmp").value(), "somebody's");
  EXPECT_EQ(FilesThere(), 2U);
}

TEST_F(TextFileTest, WhatIsNoRegularFileIsNotReplaced) {
  std::ofstream(dir_ + "/file") << "the same";
  std::filesystem::create_symlink(dir_ + "/file", dir_ + "/link");
  std::filesystem::create_directory(dir_ + "/directory");
  ASSERT_EQ(mkfifo((dir_ + "/fifo").c_str(), 0600), 0);
  for (const char* name : {"/link", "/directory", "/fifo"}) {
    const absl::Status status = WriteFile(dir_ + name, "new");
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  }
  EXPECT_EQ(ReadFile(dir_ + "/file").value(), "the same");
  EXPECT_EQ(FilesThere(), 4U);
}

TEST_F(TextFileTest, ErrorsNameTheFile) {
  const std::string path = dir_ + "/no/such/place";
  EXPECT_NE(ReadFile(path).status().message().find(path), std::string::npos);
  EXPECT_NE(WriteFile(path, "").message().find(path), std::string::npos);
}

// Were the FIFO's writer waited for, this would not end.
TEST_F(TextFileTest, OnlyRegularFilesAreRead) {
  const std::string fifo = dir_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  for (const std::string& path : {fifo, dir_, std::string("/dev/zero")}) {
    const absl::Status status = ReadFile(path).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_NE(status.message().find(path), std::string::npos);
  }
}

TEST_F(TextFileTest, AHugeFileIsNotRead) {
  const std::string path = dir_ + "/huge";
  ASSERT_TRUE(WriteFile(path, std::string(3 << 20, 'x')).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(ReadFile(path).status()));
}

}  // namespace
}  // namespace base
