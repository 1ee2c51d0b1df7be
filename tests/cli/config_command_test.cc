// SPDX-License-Identifier: Apache-2.0
#include "cli/config_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "state/state_file.h"
#include "tests/support/temp_dir.h"

namespace cli {
namespace {

using Source = OptionValue::Source;
using testing::HasSubstr;

class ConfigTest : public testing::Test {
 protected:
  // A configuration file with that text.
  std::string Config(const std::string& text,
                     const std::string& name = "vn0.conf") const {
    std::string path = temp_.path() + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  // `run` with the file, and further arguments.
  static absl::StatusOr<ParsedCommand> Run(
      const std::string& file, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"run", "--config", file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ParseCommand(arguments);
  }
  static std::string WhyNot(const absl::StatusOr<ParsedCommand>& run) {
    EXPECT_TRUE(absl::IsInvalidArgument(run.status())) << run.status();
    return std::string(run.status().message());
  }
  static OptionValue Of(const ParsedCommand& run, const std::string& name) {
    const auto found = std::find_if(
        run.options.begin(), run.options.end(),
        [&](const OptionValue& option) { return option.name == name; });
    return found == run.options.end() ? OptionValue{.name = "none", .value = ""}
                                      : *found;
  }
  static void Expect(const absl::StatusOr<ParsedCommand>& run,
                     const std::string& name, const std::string& value,
                     Source source) {
    ASSERT_TRUE(run.ok()) << run.status();
    EXPECT_EQ(Of(*run, name).value, value) << name;
    EXPECT_EQ(Of(*run, name).source, source) << name;
  }

  const tests::TempDir temp_;
};

TEST_F(ConfigTest, TheFileGivesWhatTheCommandLineDoesNot) {
  const auto run =
      Run(Config("tap = tap0\nmtu = 1400\nattach = true\n"
                 "without = GUEST_TSO4,GUEST_TSO6\ncpus = \"0\"\n"),
          {"--mtu", "9000"});
  Expect(run, "tap", "tap0", Source::kFile);
  Expect(run, "mtu", "9000", Source::kCommandLine);
  Expect(run, "attach", "true", Source::kFile);
  Expect(run, "without", "GUEST_TSO4,GUEST_TSO6", Source::kFile);
  Expect(run, "cpus", "0", Source::kFile);
  Expect(run, "name", "vn0", Source::kFileName);
  Expect(run, "verbose", "false", Source::kDefault);
  Expect(run, "hang-msecs", "200", Source::kDefault);
  Expect(run, "state-dir", "/run/vduse-net", Source::kDefault);
}

TEST_F(ConfigTest, TheNameOfTheDeviceIsTheFilesUnlessItIsGiven) {
  Expect(Run(Config("tap = tap0\nname = other\n")), "name", "other",
         Source::kFile);
  Expect(Run(Config("tap = tap0\n"), {"--name=cl"}), "name", "cl",
         Source::kCommandLine);
  EXPECT_THAT(WhyNot(Run(Config("tap = tap0\n", "vn0"))),
              HasSubstr("/vn0: name is missing, and --name is not given"));
  EXPECT_THAT(WhyNot(Run(Config("tap = tap0\n", "a b.conf"))),
              HasSubstr("the name of the file is that of the device"));
}

// Either of two options that exclude each other.
TEST_F(ConfigTest, TheCommandLineWinsOverWhatItExcludes) {
  const std::string file = Config("tap = tap0\nmax-irq-rate = 8000\n");
  Expect(Run(file), "max-irq-rate", "8000", Source::kFile);
  const auto run = Run(file, {"--target-latency-usecs", "50"});
  Expect(run, "target-latency-usecs", "50", Source::kCommandLine);
  EXPECT_EQ(Of(*run, "max-irq-rate").source, Source::kDefault);
  EXPECT_THAT(WhyNot(Run(Config("tap = t\nmax-irq-rate = 1\n"
                                "target-latency-usecs = 1\n"))),
              HasSubstr("excludes"));
}

TEST_F(ConfigTest, AFlagCanBeOff) {
  Expect(Run(Config("tap = tap0\nattach = false\n")), "attach", "false",
         Source::kFile);
  EXPECT_THAT(WhyNot(Run(Config("tap = tap0\nattach = yes\n"))),
              HasSubstr(":2: attach: 'yes' is not one of true, false"));
}

TEST_F(ConfigTest, ErrorsNameFileLineAndKey) {
  EXPECT_THAT(WhyNot(Run(Config("tap = tap0\nrx-usec = 5\n"))),
              HasSubstr("/vn0.conf:2: unknown key 'rx-usec'"));
  EXPECT_THAT(WhyNot(Run(Config("tap = tap0\nmtu = 1\n"))),
              HasSubstr("/vn0.conf:2: mtu: '1' is not a number from 68"));
  EXPECT_THAT(WhyNot(Run(Config("mtu = 1500\n"))),
              HasSubstr("/vn0.conf: tap is missing, and --tap is not given"));
  for (const char* key : {"config", "help", "h", "-tap", "--tap", "run.tap"}) {
    EXPECT_THAT(WhyNot(Run(Config(std::string(key) + " = x\n"))),
                HasSubstr("unknown key '" + std::string(key) + "'"));
  }
  // An error of the command line stays one.
  EXPECT_THAT(WhyNot(Run(Config("tap = tap0\n"), {"--mtu", "1"})),
              HasSubstr("run: --mtu: '1' is not a number"));
  EXPECT_THAT(WhyNot(Run(Config("tap = tap0\n"), {"--mtu"})),
              HasSubstr("--mtu needs a value"));
  EXPECT_FALSE(Run(temp_.path() + "/none.conf").ok());
}

TEST_F(ConfigTest, AValueIsNeverAnOption) {
  EXPECT_THAT(WhyNot(Run(Config("tap = tap0\nmac = --attach\n"))),
              HasSubstr(":2: mac: MAC address '--attach'"));
  Expect(Run(Config("tap = --attach\n")), "attach", "false", Source::kDefault);
}

TEST_F(ConfigTest, OptionsThatDoNotFitTogetherAreRefused) {
  EXPECT_FALSE(
      Run(Config("tap = t\nqueue-size = 32768\nqueue-pairs = 16\n")).ok());
}

TEST_F(ConfigTest, WithoutAProcessTheFileIsShown) {
  Config("tap = tap0\n");
  const auto shown = FindConfig("vn0", temp_.path(), temp_.path());
  ASSERT_TRUE(shown.ok()) << shown.status();
  EXPECT_FALSE(shown->pid);
  EXPECT_THAT(FormatConfig(*shown), HasSubstr("# no process\n"));
  EXPECT_THAT(FormatConfig(*shown),
              testing::ContainsRegex("tap = +tap0 +# .*/vn0.conf\n"));
  EXPECT_TRUE(FindConfig(temp_.path() + "/vn0.conf", temp_.path()).ok());
  EXPECT_FALSE(FindConfig("other", temp_.path(), temp_.path()).ok());
}

// This process has the lock, and its arguments are not those of `run`.
TEST_F(ConfigTest, TheProcessOfADeviceIsAsked) {
  auto state = state::StateFile::Open(temp_.path(), "vn0");
  ASSERT_TRUE(state.ok()) << state.status();
  Config("tap = tap0\n");
  const auto shown = FindConfig("vn0", temp_.path(), temp_.path());
  EXPECT_THAT(std::string(shown.status().message()),
              HasSubstr("process " + std::to_string(getpid()) + " serves"));
}

}  // namespace
}  // namespace cli
