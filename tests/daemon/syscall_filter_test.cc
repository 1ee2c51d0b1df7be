// SPDX-License-Identifier: Apache-2.0
#include "daemon/syscall_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <liburing.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/eventfd.h"
#include "base/log.h"
#include "tests/daemon/sandboxed_child.h"
#include "vduse/memory_file.h"
#include "vduse/sigbus_guard.h"
#include "vduse/uapi.h"

namespace program {
namespace {

constexpr size_t kPage = 4096;

void Require(bool condition) {
  if (!condition) _exit(9);
}

// A thread that is started before the filter is installed, and works after.
class EarlyThread {
 public:
  explicit EarlyThread(std::function<void()> work)
      : thread_([this, work = std::move(work)] {
          started_ = true;
          uint64_t value = 0;
          Require(read(begin_.get(), &value, sizeof(value)) > 0);
          work();
        }) {
    while (!started_) sched_yield();
  }
  void Finish() {
    base::SignalEventfd(begin_.get());
    thread_.join();
  }

 private:
  static base::UniqueFd Blocking() {
    return base::UniqueFd(eventfd(0, EFD_CLOEXEC));
  }
  const base::UniqueFd begin_ = Blocking();
  std::atomic<bool> started_ = false;
  std::thread thread_;
};

int RunInThread(const std::function<void()>& work) {
  std::optional<EarlyThread> thread;
  return RunInSandbox(Role::kDevice, AsNobody(),
                      {.before = [&] { thread.emplace(work); },
                       .after = [&] { thread->Finish(); }});
}

// Large and small blocks, so that malloc grows, moves and returns memory.
void UseMalloc() {
  std::vector<std::unique_ptr<char[]>> blocks;
  for (size_t bytes : {size_t{10}, size_t{5000}, 100 * kPage}) {
    for (int i = 0; i < 200; ++i) {
      blocks.push_back(std::make_unique<char[]>(bytes));
    }
  }
  for (int i = 0; i < 1000; ++i) {
    blocks.push_back(std::make_unique<char[]>(25 * kPage));
  }
  void* block = std::malloc(1000 * kPage);
  block = std::realloc(block, 5000 * kPage);
  Require(block != nullptr);
  std::free(block);
}

TEST(SyscallFilterTest, MallocWorksInAllThreads) {
  EXPECT_TRUE(Survived(RunInSandbox(UseMalloc)));
  EXPECT_TRUE(Survived(RunInThread(UseMalloc)));
}

TEST(SyscallFilterTest, ThreadsThatAreThereGoOnAndEnd) {
  std::atomic<bool> done = false;
  EXPECT_TRUE(Survived(RunInThread([&done] { done = true; })));
}

TEST(SyscallFilterTest, TheFilterHoldsInAllThreads) {
  EXPECT_TRUE(WasForbidden(RunInThread([] { (void)getppid(); })));
}

TEST(SyscallFilterTest, EventsAndTheLogWork) {
  base::UniqueFd event = base::MakeEventfd();
  base::UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  EXPECT_TRUE(Survived(RunInSandbox([&] {
    epoll_event wanted = {.events = EPOLLIN, .data = {.u32 = 7}};
    Require(epoll_ctl(epoll.get(), EPOLL_CTL_ADD, event.get(), &wanted) == 0);
    base::SignalEventfd(event.get());
    epoll_event got = {};
    const timespec length = {.tv_sec = 1, .tv_nsec = 0};
    Require(epoll_pwait2(epoll.get(), &got, 1, &length, nullptr) == 1);
    Require(epoll_wait(epoll.get(), &got, 1, 0) == 1);
    pollfd ready = {.fd = event.get(), .events = POLLIN, .revents = 0};
    Require(ppoll(&ready, 1, &length, nullptr) == 1);
    Require(base::ClearEventfd(event.get()) == 1);
    base::Log(base::Severity::kInfo, "a line from the sandbox");
  })));
}

TEST(SyscallFilterTest, FilesOfTheDriversMemoryAreJudgedAndMapped) {
  const base::UniqueFd memory(memfd_create("driver", MFD_ALLOW_SEALING));
  const base::UniqueFd other(open("/proc/self/status", O_RDONLY));
  ASSERT_EQ(ftruncate(memory.get(), kPage), 0);
  EXPECT_TRUE(Survived(RunInSandbox([&] {
    const auto file = vduse::JudgeMemoryFile(memory.get());
    Require(file.ok() && file->bytes == kPage);
    // By their names alone, files of VDUSE's own memory are told from others.
    const auto judged = vduse::JudgeMemoryFile(other.get());
    Require(judged.status().message().find("/status'") != std::string::npos);
    void* at = mmap(nullptr, kPage, PROT_READ, MAP_SHARED, memory.get(), 0);
    Require(at != MAP_FAILED);
    Require(mprotect(at, kPage, PROT_READ | PROT_WRITE) == 0);
    Require(madvise(at, kPage, MADV_DONTDUMP) == 0);
    Require(munmap(at, kPage) == 0);
  })));
}

TEST(SyscallFilterTest, MemoryWithoutPagesIsSurvived) {
  const base::UniqueFd memory(memfd_create("driver", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(memory.get(), kPage), 0);
  EXPECT_TRUE(Survived(RunInSandbox(
      Role::kDevice, AsNobody(),
      {.before = [] { vduse::SigbusGuard::Install(); },
       .after =
           [&] {
             void* at = mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE,
                             MAP_SHARED, memory.get(), 0);
             Require(at != MAP_FAILED);
             vduse::SigbusGuard::Register(at, 2 * kPage, kPage);
             static_cast<volatile char*>(at)[kPage] = 1;
             Require(vduse::SigbusGuard::TakePoisoned());
           }})));
}

void UseRing() {
  io_uring ring;
  Require(io_uring_queue_init(4, &ring, 0) == 0);
  io_uring_prep_nop(io_uring_get_sqe(&ring));
  Require(io_uring_submit_and_wait(&ring, 1) == 1);
  io_uring_queue_exit(&ring);
}

TEST(SyscallFilterTest, RingsWorkOnlyIfTheEngineMayUseThem) {
  io_uring ring;
  if (io_uring_queue_init(4, &ring, 0) != 0) {
    GTEST_SKIP() << "this host has no io_uring";
  }
  io_uring_queue_exit(&ring);
  EXPECT_TRUE(Survived(RunInSandbox(UseRing)));
  EXPECT_TRUE(WasForbidden(RunInSandbox(Role::kDevice,
                                        {.user = "65534", .io_uring = false},
                                        {.after = UseRing})));
}

struct Forbidden {
  const char* name;
  void (*work)();
};

void PrintTo(const Forbidden& forbidden, std::ostream* out) {
  *out << forbidden.name;
}

class ForbiddenTest : public testing::TestWithParam<Forbidden> {};

TEST_P(ForbiddenTest, KillsADeviceProcess) {
  if (kSanitized && GetParam().name == std::string("Open")) {
    GTEST_SKIP() << "sanitizers open files";
  }
  const int status = RunInSandbox(GetParam().work);
  EXPECT_TRUE(WasForbidden(status)) << status;
}

constexpr Forbidden kForbidden[] = {
    {"Open", [] { (void)open("/", O_RDONLY); }},
    {"Socket", [] { (void)socket(AF_UNIX, SOCK_STREAM, 0); }},
    {"Execve", [] { (void)execl("/bin/true", "true", nullptr); }},
    {"Fork", [] { (void)syscall(SYS_fork); }},
    {"Clone", [] { (void)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }},
    {"Clone3", [] { (void)syscall(SYS_clone3, nullptr, 0); }},
    {"Ptrace", [] { (void)ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
    {"Setuid", [] { (void)syscall(SYS_setuid, 0); }},
    {"Memfd", [] { (void)memfd_create("x", 0); }},
    {"MapCode",
     [] {
       (void)mmap(nullptr, kPage, PROT_READ | PROT_EXEC,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
     }},
    {"MakeCode",
     [] {
       void* at = mmap(nullptr, kPage, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       (void)mprotect(at, kPage, PROT_READ | PROT_EXEC);
     }},
    {"TunOffloads", [] { (void)ioctl(0, TUNSETOFFLOAD, 0UL); }},
    {"DestroyDevice", [] { (void)ioctl(0, VDUSE_DESTROY_DEV, nullptr); }},
    {"TerminalInput", [] { (void)ioctl(0, 0x5412 /* TIOCSTI */, "x"); }},
    {"OtherFcntl", [] { (void)fcntl(0, F_SETOWN, 1); }},
    {"OtherOption", [] { (void)setsockopt(0, 1, 1, nullptr, 0); }},
    {"Datagram",
     [] {
       sockaddr to = {.sa_family = AF_UNIX, .sa_data = {}};
       (void)sendto(0, "x", 1, 0, &to, sizeof(to));
     }},
    {"KillOther", [] { (void)kill(1, SIGKILL); }},
    {"AbortOther", [] { (void)syscall(SYS_tgkill, 1, 1, SIGABRT); }},
    {"StatByPath", [] { (void)syscall(SYS_newfstatat, -1, "/", nullptr, 0); }},
};

INSTANTIATE_TEST_SUITE_P(Calls, ForbiddenTest, testing::ValuesIn(kForbidden),
                         [](const auto& test) {
                           return std::string(test.param.name);
                         });

TEST(SyscallFilterTest, AnIoctlIsKnownByThe32BitsThatTheKernelReads) {
  constexpr uint64_t kHigh = 1ULL << 32;
  EXPECT_TRUE(Survived(RunInSandbox(
      [] { (void)syscall(SYS_ioctl, -1, kHigh | VDUSE_VQ_INJECT_IRQ, 0); })));
  EXPECT_TRUE(WasForbidden(RunInSandbox(
      [] { (void)syscall(SYS_ioctl, -1, kHigh | TUNSETIFF, 0); })));
}

#ifdef __x86_64__
int RunOldCall() {
  int result = 20;  // getpid
  asm volatile("int $0x80" : "+a"(result) : : "memory");
  return result;
}

TEST(SyscallFilterTest, CallsOf32BitsAreForbidden) {
  const pid_t pid = fork();
  if (pid == 0) _exit(RunOldCall() == getpid() ? 0 : 1);
  int status = -1;
  waitpid(pid, &status, 0);
  if (!Survived(status)) GTEST_SKIP() << "this host has no calls of 32 bits";
  EXPECT_TRUE(WasForbidden(RunInSandbox([] { RunOldCall(); })));
}

TEST(SyscallFilterTest, CallsOfX32AreForbidden) {
  EXPECT_TRUE(WasForbidden(
      RunInSandbox([] { (void)syscall(0x40000000 | SYS_read, 0, 0, 0); })));
}
#endif

// What the failures are in which the rules marked Use::kFailure are used, and
// how the process ends then.
struct Failure {
  std::set<std::string> calls;
  int signal_number;  // 0: none
  std::function<void()> work;
};

TEST(SyscallFilterTest, EveryRuleForFailuresIsUsed) {
  const base::UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const base::UniqueFd memory(memfd_create("driver", MFD_CLOEXEC));
  const std::vector<Failure> failures = {
      {{"rt_sigprocmask", "getpid", "gettid", "tgkill"},
       SIGABRT,
       [] { std::abort(); }},
      {{"poll"},
       0,
       [] {
         pollfd ready = {.fd = 2, .events = POLLOUT, .revents = 0};
         (void)syscall(SYS_poll, &ready, 1, 0);
       }},
      {{"timerfd_settime"},
       0,
       [&] {
         const itimerspec length = {.it_interval = {},
                                    .it_value = {.tv_sec = 1, .tv_nsec = 0}};
         Require(timerfd_settime(timer.get(), 0, &length, nullptr) == 0);
       }},
      {{"clock_gettime"},
       0,
       [] {
         timespec now = {};
         Require(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now) == 0);
       }},
      {{"rt_sigaction"}, SIGBUS, [&] {
         void* at =
             mmap(nullptr, kPage, PROT_READ, MAP_SHARED, memory.get(), 0);
         Require(*static_cast<volatile char*>(at) == 0);
       }}};
  std::set<std::string> used;
  for (const Failure& failure : failures) {
    const int status =
        RunInSandbox(Role::kDevice, AsNobody(),
                     {.before = [] { vduse::SigbusGuard::Install(); },
                      .after = failure.work});
    const bool as_wanted = failure.signal_number == 0
                               ? Survived(status)
                               : DiedOf(status, failure.signal_number);
    EXPECT_TRUE(as_wanted) << *failure.calls.begin() << ": " << status;
    used.insert(failure.calls.begin(), failure.calls.end());
  }
  for (const SyscallRule& rule : RulesFor(Role::kDevice, true)) {
    if (rule.use == Use::kFailure) {
      EXPECT_TRUE(used.contains(rule.call)) << rule.call;
    }
  }
}

TEST(SyscallFilterTest, AStopDuringAWaitIsSurvived) {
  absl::StatusOr<Sandbox> sandbox = Sandbox::Prepare(Role::kDevice, AsNobody());
  ASSERT_TRUE(sandbox.ok());
  const pid_t pid = fork();
  if (pid == 0) {
    const bool in = sandbox->Enter().ok() && sandbox->Seal().ok();
    const timespec length = {.tv_sec = 0, .tv_nsec = 300'000'000};
    _exit(in && ppoll(nullptr, 0, &length, nullptr) == 0 ? 0 : 1);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  kill(pid, SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  kill(pid, SIGCONT);
  int status = -1;
  waitpid(pid, &status, 0);
  EXPECT_TRUE(Survived(status)) << status;
}

TEST(SyscallFilterTest, TheAdministrationProcessCannotStartPrograms) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root has the capabilities: run this as root";
  }
  const auto run = [](std::function<void()> work) {
    return RunInSandbox(Role::kAdministration, AsNobody(),
                        {.after = std::move(work)});
  };
  EXPECT_TRUE(Survived(run([] {
    const base::UniqueFd file(open("/proc/self/status", O_RDONLY));
    Require(static_cast<bool>(file));
    const base::UniqueFd netlink(socket(AF_NETLINK, SOCK_RAW, 0));
    Require(static_cast<bool>(netlink));
  })));
  EXPECT_TRUE(WasForbidden(run([] { (void)fork(); })));
  EXPECT_TRUE(
      WasForbidden(run([] { (void)execl("/bin/true", "true", nullptr); })));
  EXPECT_TRUE(WasForbidden(run([] { (void)socket(AF_PACKET, 0, 0); })));
  EXPECT_TRUE(WasForbidden(run([] { (void)setns(0, CLONE_NEWNS); })));
}

}  // namespace
}  // namespace program
