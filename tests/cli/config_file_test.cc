// SPDX-License-Identifier: Apache-2.0
#include "cli/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace cli {
namespace {

using testing::HasSubstr;

std::string Shown(const std::string& text) {
  const auto entries = ParseConfig("vn0.conf", text);
  if (!entries.ok()) return std::string(entries.status().message());
  std::string shown;
  for (const ConfigEntry& entry : *entries) {
    shown += std::to_string(entry.line) + " " + entry.key + "=[" + entry.value +
             "]\n";
  }
  return shown;
}

TEST(ParseConfigTest, AKeyIsALineAndCommentsAreLinesOfTheirOwn) {
  EXPECT_EQ(Shown(""), "");
  EXPECT_EQ(Shown("# nothing\n\n ; here\n"), "");
  EXPECT_EQ(Shown("tap=tap0"), "1 tap=[tap0]\n");
  EXPECT_EQ(Shown("# one\n\n  tap = tap0 \r\nattach\t=\ttrue\n"),
            "3 tap=[tap0]\n4 attach=[true]\n");
  EXPECT_EQ(Shown("tap = a#b\n"), "1 tap=[a#b]\n");
}

TEST(ParseConfigTest, QuotesAreLeftOut) {
  EXPECT_EQ(Shown("cpus = \"2,4-6\"\nuser = 'a \"b'\n"),
            "1 cpus=[2,4-6]\n2 user=[a \"b]\n");
  EXPECT_EQ(Shown("cpus = 2,4-6\n"), "1 cpus=[2,4-6]\n");
}

TEST(ParseConfigTest, WhatIsNotOfTheFormIsRefusedWithItsLine) {
  const struct {
    const char* text;
    const char* why;
  } cases[] = {
      {"tap\n", "vn0.conf:1: 'tap' is not of the form KEY = VALUE"},
      {"\n= tap0\n", "vn0.conf:2: a key is missing"},
      {"tap =\n", "vn0.conf:1: tap: a value is missing"},
      {"tap = ''\n", "vn0.conf:1: tap: a value is missing"},
      {"tap = 'tap0\n", "vn0.conf:1: tap: a quote is not closed"},
      {"tap = 'tap0' x\n", "vn0.conf:1: tap: ' x' follows a closing quote"},
      {"[vn0]\ntap = tap0\n", "vn0.conf:1: '[vn0]' begins a section"},
      {"tap = a\nmtu = 1500\ntap = a\n",
       "vn0.conf:3: tap is already in line 1"},
  };
  for (const auto& [text, why] : cases) {
    EXPECT_THAT(Shown(text), HasSubstr(why));
  }
  EXPECT_EQ(Shown(std::string("tap = \0\n", 8)), "vn0.conf is not text");
}

TEST(ReadConfigTest, AFileIsReadAndItsNameIsInEachError) {
  const tests::TempDir temp;
  const std::string path = temp.path() + "/vn0.conf";
  EXPECT_TRUE(absl::IsNotFound(ReadConfig(path).status()));
  EXPECT_THAT(std::string(ReadConfig(path).status().message()),
              HasSubstr(path));
  std::ofstream(path) << "tap = tap0\nbogus\n";
  EXPECT_THAT(std::string(ReadConfig(path).status().message()),
              HasSubstr(path + ":2: "));
  std::ofstream(path) << "tap = tap0\n";
  const auto entries = ReadConfig(path);
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 1U);
  EXPECT_TRUE(absl::IsInvalidArgument(ReadConfig(temp.path()).status()));
}

TEST(DeviceOfConfigTest, TheNameOfTheFileIsThatOfTheDevice) {
  EXPECT_EQ(DeviceOfConfig("/etc/vduse-net/vn0.conf"), "vn0");
  EXPECT_EQ(DeviceOfConfig("vn0.conf"), "vn0");
  EXPECT_EQ(DeviceOfConfig("/a.conf/vn.0.conf"), "vn.0");
  for (const char* file :
       {"vn0", ".conf", "/etc/.conf", "vn0.conf.old", "", "/a.conf/vn0"}) {
    EXPECT_FALSE(DeviceOfConfig(file)) << file;
  }
}

}  // namespace
}  // namespace cli
