// SPDX-License-Identifier: Apache-2.0
#include "daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/text_file.h"
#include "daemon/landlock.h"
#include "tests/daemon/sandboxed_child.h"
#include "tests/support/temp_dir.h"

namespace program {
namespace {

using testing::HasSubstr;

#define SKIP_UNLESS_ROOT()                                             \
  if (geteuid() != 0) {                                                \
    GTEST_SKIP() << "only root can change its user: run this as root"; \
  }

// A child process in the sandbox, until the object ends.
class Sandboxed {
 public:
  explicit Sandboxed(Role role) {
    absl::StatusOr<Sandbox> sandbox = Sandbox::Prepare(role, {});
    EXPECT_TRUE(sandbox.ok()) << sandbox.status();
    pid_ = fork();
    if (pid_ == 0) {
      if (!sandbox->Enter().ok() || !sandbox->Seal().ok()) _exit(1);
      uint64_t value = 1;
      if (write(ready_, &value, sizeof(value)) < 0) _exit(2);
      if (read(end_, &value, sizeof(value)) < 0) _exit(3);
      _exit(0);
    }
    uint64_t value = 0;
    EXPECT_GT(read(ready_, &value, sizeof(value)), 0);
  }
  ~Sandboxed() {
    const uint64_t value = 1;
    EXPECT_GT(write(end_, &value, sizeof(value)), 0);
    int status = -1;
    waitpid(pid_, &status, 0);
    EXPECT_TRUE(Survived(status)) << status;
    close(ready_);
    close(end_);
  }
  Sandboxed(const Sandboxed&) = delete;
  Sandboxed& operator=(const Sandboxed&) = delete;

  // A line of /proc/PID/status, without blanks at its ends.
  std::string Status(const std::string& name) const {
    const auto text = ReadWhole(fmt::format("/proc/{}/status", pid_));
    const size_t at = text.find("\n" + name + ":\t");
    if (at == std::string::npos) return "absent";
    const size_t begin = at + name.size() + 3;
    std::string line = text.substr(begin, text.find('\n', begin) - begin);
    while (line.ends_with(' ')) line.pop_back();
    return line;
  }
  pid_t pid() const { return pid_; }

 private:
  static std::string ReadWhole(const std::string& path) {
    const absl::StatusOr<std::string> text = base::ReadFile(path);
    EXPECT_TRUE(text.ok()) << text.status();
    return text.value_or("");
  }

  const int ready_ = eventfd(0, EFD_CLOEXEC);
  const int end_ = eventfd(0, EFD_CLOEXEC);
  pid_t pid_ = -1;
};

constexpr char kNoCapabilities[] = "0000000000000000";

TEST(SandboxTest, TheKernelConfirmsThatADeviceProcessHasNoPrivileges) {
  SKIP_UNLESS_ROOT();
  const Sandboxed child(Role::kDevice);
  const absl::StatusOr<SandboxUser> user = FindSandboxUser(kDefaultSandboxUser);
  ASSERT_TRUE(user.ok());
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_EQ(child.Status(set), kNoCapabilities) << set;
  }
  EXPECT_EQ(child.Status("NoNewPrivs"), "1");
  EXPECT_EQ(child.Status("Seccomp"), "2");
  EXPECT_EQ(child.Status("Uid"), fmt::format("{0}\t{0}\t{0}\t{0}", user->uid));
  EXPECT_EQ(child.Status("Gid"), fmt::format("{0}\t{0}\t{0}\t{0}", user->gid));
  EXPECT_NE(user->uid, 0U);
  EXPECT_EQ(child.Status("Groups"), "");
}

TEST(SandboxTest, TheAdministrationProcessKeepsThreeCapabilities) {
  SKIP_UNLESS_ROOT();
  const Sandboxed child(Role::kAdministration);
  // CAP_NET_BROADCAST is number 11, CAP_NET_ADMIN 12, CAP_SYS_ADMIN 21.
  EXPECT_EQ(child.Status("CapEff"), "0000000000201800");
  EXPECT_EQ(child.Status("CapPrm"), "0000000000201800");
  EXPECT_EQ(child.Status("CapBnd"), kNoCapabilities);
  EXPECT_EQ(child.Status("NoNewPrivs"), "1");
  EXPECT_EQ(child.Status("Seccomp"), "2");
}

TEST(SandboxTest, TheUserIsTheOneThatWasAskedFor) {
  SKIP_UNLESS_ROOT();
  const int status =
      RunInSandbox(Role::kDevice, {.user = "12345"}, {.before = [] {
                     _exit(geteuid() == 12345 && getegid() == 12345 ? 0 : 1);
                   }});
  EXPECT_TRUE(Survived(status)) << status;
}

TEST(SandboxTest, ItsMemoryIsNotForOtherProcessesOrDumps) {
  SKIP_UNLESS_ROOT();
  const Sandboxed child(Role::kDevice);
  const std::string memory = fmt::format("/proc/{}/mem", child.pid());
  struct stat info = {};
  ASSERT_EQ(stat(memory.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);  // not its own user's
  EXPECT_TRUE(Survived(RunInSandbox(
      Role::kDevice, AsNobody(), {.before = [] {
        rlimit core = {.rlim_cur = 1, .rlim_max = 1};
        getrlimit(RLIMIT_CORE, &core);
        _exit(core.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0 ? 0 : 1);
      }})));
}

TEST(SandboxTest, LandlockRefusesFilesBeforeTheFilterForbidsTheCall) {
  if (!LandlockAbi().ok()) GTEST_SKIP() << LandlockAbi().status();
  EXPECT_TRUE(Survived(RunInSandbox(Role::kDevice, AsNobody(), {.before = [] {
                                      const bool read =
                                          open("/proc/self/status", O_RDONLY) >=
                                          0;
                                      _exit(read || errno != EACCES ? 1 : 0);
                                    }})));
}

TEST(SandboxTest, AReportSaysWhatIsInForce) {
  const absl::StatusOr<SandboxReport> report = TrySandbox({});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->on);
  EXPECT_EQ(report->capabilities, 0U);
  EXPECT_TRUE(report->no_new_privs);
  EXPECT_TRUE(report->no_dumps);
  EXPECT_TRUE(report->filtered);
  EXPECT_EQ(report->landlock_abi, LandlockAbi().value_or(0));
  EXPECT_NE(report->uid, 0U);
  EXPECT_THAT(Describe(*report), HasSubstr("no capabilities"));
}

TEST(SandboxTest, AReportNamesTheCapabilities) {
  SandboxReport report = {.on = true};
  report.capabilities = 1 << CAP_NET_ADMIN | 1 << CAP_SYS_ADMIN;
  EXPECT_EQ(CapabilitiesOf(report),
            (std::vector<std::string>{"net_admin", "sys_admin"}));
  EXPECT_THAT(Describe(report), HasSubstr("capabilities net_admin sys_admin"));
}

TEST(SandboxTest, TurnedOffItChangesNothingAndSaysSo) {
  const absl::StatusOr<SandboxReport> report =
      TrySandbox({.mode = SandboxOptions::Mode::kOff});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(Describe(*report), "sandbox: off");
}

TEST(SandboxTest, LoggingAllowsWhatIsForbidden) {
  const int status = RunInSandbox(
      Role::kDevice, {.mode = SandboxOptions::Mode::kLog, .user = "65534"},
      {.after = [] { (void)getppid(); }});
  EXPECT_TRUE(Survived(status)) << status;
}

class SandboxUserTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(base::WriteFile(file_,
                                "root:x:0:0::/root:/bin/sh\n"
                                "vduse-net:x:990:991::/:/usr/sbin/nologin\n")
                    .ok());
  }
  tests::TempDir dir_;
  const std::string file_ = dir_.path() + "/passwd";
};

TEST_F(SandboxUserTest, HasTheUidAndGidOfItsLine) {
  const auto user = FindSandboxUser("vduse-net", file_);
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->uid, 990U);
  EXPECT_EQ(user->gid, 991U);
  EXPECT_FALSE(user->is_default_missing);
  EXPECT_EQ(FindSandboxUser("990", file_)->gid, 991U);
}

TEST_F(SandboxUserTest, MayBeANumberThatHasNoLine) {
  const auto user = FindSandboxUser("64000", file_);
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->uid, 64000U);
  EXPECT_EQ(user->gid, 64000U);
}

TEST_F(SandboxUserTest, IsNobodyIfTheDefaultIsMissing) {
  const auto user = FindSandboxUser(kDefaultSandboxUser, "/none");
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->uid, kNobody);
  EXPECT_TRUE(user->is_default_missing);
}

TEST_F(SandboxUserTest, IsNeverRootNorGuessed) {
  EXPECT_TRUE(absl::IsInvalidArgument(FindSandboxUser("0", file_).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(FindSandboxUser("root", file_).status()));
  EXPECT_TRUE(absl::IsNotFound(FindSandboxUser("other", file_).status()));
  EXPECT_TRUE(absl::IsNotFound(FindSandboxUser("4294967295", file_).status()));
}

}  // namespace
}  // namespace program
