// SPDX-License-Identifier: Apache-2.0
//
// What is not here, a role may not do. A comment in place of a rule says where
// an expected call is avoided.
#include "daemon/syscall_rules.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <initializer_list>
#include <set>

#include "vduse/uapi.h"

namespace program {
namespace {

constexpr uint64_t kLow32 = 0xffffffff;

// The kernel reads such an argument as 32 bits; the upper half may hold
// anything.
ArgumentCheck Is(unsigned argument, uint64_t value) {
  return {.argument = argument, .mask = kLow32, .value = value & kLow32};
}
ArgumentCheck IsNull(unsigned argument) {
  return {.argument = argument, .mask = UINT64_MAX, .value = 0};
}
ArgumentCheck Lacks(unsigned argument, uint64_t bits) {
  return {.argument = argument, .mask = bits, .value = 0};
}

using Rules = std::vector<SyscallRule>;

void Append(Rules& rules, const Rules& more) {
  rules.insert(rules.end(), more.begin(), more.end());
}

// The device's requests. VDUSE_VQ_SETUP and what TUN has are not among them:
// the device is set up before, and the TAP by the administration process.
Rules DeviceRequests() {
  const auto request = [](unsigned long number, const char* needed_by) {
    return SyscallRule{"ioctl", Use::kService, needed_by, {Is(1, number)}};
  };
  return {
      request(VDUSE_VQ_INJECT_IRQ, "notifications, by any thread"),
      request(VDUSE_IOTLB_GET_FD, "maps of the driver's memory"),
      {"ioctl",
       Use::kOtherVersion,
       "the same in an address space other than 0, from Linux 7.0 on",
       {Is(1, vduse::kIotlbGetFd2)}},
      request(VDUSE_DEV_GET_FEATURES, "DRIVER_OK"),
      request(VDUSE_VQ_GET_INFO, "set-up of a queue"),
      request(VDUSE_VQ_SETUP_KICKFD, "set-up of a queue"),
      request(VDUSE_DEV_SET_CONFIG, "link state"),
      request(VDUSE_DEV_INJECT_CONFIG_IRQ, "link state"),
  };
}

// What the device process makes of its descriptors. It opens none: they are
// there from the start, or the supervisor sends them.
Rules DeviceService() {
  Rules rules = DeviceRequests();
  Append(rules,
         {
             {"read", Use::kService, "TAP, eventfds, VDUSE's requests", {}},
             {"readv", Use::kService, "TAP", {}},
             {"write", Use::kService, "TAP, eventfds, answers, log", {}},
             {"writev", Use::kService, "TAP", {}},
             {"pread64", Use::kService, "the TAP's count of drops", {}},
             {"epoll_pwait2", Use::kService, "workers: their only wait", {}},
             {"ppoll", Use::kService, "control thread: its only wait", {}},
             {"epoll_wait", Use::kService, "operator's socket", {}},
             {"epoll_ctl", Use::kService, "operator's socket, TAP", {}},
             {"accept4", Use::kService, "operator's socket", {}},
             {"getsockopt",
              Use::kService,
              "operator's socket: who is there",
              {Is(1, SOL_SOCKET), Is(2, SO_PEERCRED)}},
             {"recvfrom", Use::kService, "operator's socket", {}},
             // With an address, it could reach any socket of the host.
             {"sendto", Use::kService, "operator's socket, log", {IsNull(4)}},
             // To connected sockets; there are no others, and none can be made.
             {"sendmsg",
              Use::kService,
              "reports and descriptors to the supervisor",
              {}},
             {"recvmsg",
              Use::kService,
              "descriptors that the supervisor sends",
              {}},
             {"timerfd_settime",
              Use::kFailure,
              "operator's socket: no descriptor is left",
              {}},
             {"poll",
              Use::kFailure,
              "log: standard error is a pipe that cannot be opened again",
              {}},
             {"close", Use::kService, "files of the driver's memory", {}},
             {"fcntl",
              Use::kService,
              "files of the driver's memory: of which kind",
              {Is(1, F_GET_SEALS)}},
             {"fcntl",
              Use::kService,
              "copies of the TAP's descriptors",
              {Is(1, F_DUPFD_CLOEXEC)}},
             {"readlink", Use::kService, "files of the driver's memory", {}},
             {"newfstatat",
              Use::kService,
              "files of the driver's memory",
              {Is(3, AT_EMPTY_PATH)}},
             {"fstat", Use::kOtherVersion, "the same, from glibc 2.39 on", {}},
             {"fstatfs", Use::kService, "files of the driver's memory", {}},
         });
  return rules;
}

// malloc's memory, and the driver's. None of it ever becomes code.
Rules Memory() {
  return {
      {"mmap", Use::kService, "malloc, driver", {Lacks(2, PROT_EXEC)}},
      {"munmap", Use::kService, "malloc, driver", {}},
      {"mprotect",
       Use::kService,
       "malloc, driver's memory in huge pages",
       {Lacks(2, PROT_EXEC)}},
      {"mremap", Use::kOtherVersion, "malloc: realloc of a large block", {}},
      {"brk", Use::kService, "malloc", {}},
  };
}

// What every process needs to wait, to end and to fail.
Rules Process() {
  return {
      {"futex", Use::kService, "mutexes", {}},
      {"prctl",
       Use::kService,
       "the name, when a standby becomes the device process",
       {Is(0, PR_SET_NAME)}},
      {"restart_syscall", Use::kService, "SIGCONT during a wait", {}},
      {"exit_group", Use::kService, "end", {}},
      {"clock_gettime",
       Use::kFailure,
       "the host's clock cannot be read without a system call",
       {}},
      // abort(), also of assert() and of malloc. SIGABRT tells the supervisor
      // more than SIGSYS does.
      {"rt_sigprocmask", Use::kFailure, "abort(), end of a thread", {}},
      {"getpid", Use::kService, "SandboxBoard, abort()", {}},
      {"gettid", Use::kFailure, "abort()", {}},
      {"tgkill",
       Use::kFailure,
       "abort()",
       {Is(0, SyscallRule::kOwnPid), Is(2, SIGABRT)}},
  };
}

Rules ThreadsAndDriver() {
  return {
      {"madvise", Use::kService, "driver's memory, end of a thread", {}},
      {"exit", Use::kService, "end of a thread", {}},
      {"rt_sigreturn", Use::kService, "SigbusGuard", {}},
      {"rt_sigaction",
       Use::kFailure,
       "SIGBUS that SigbusGuard cannot help",
       {Is(0, SIGBUS)}},
  };
}

// The kernel does not filter what is submitted through a ring: Landlock and the
// lack of capabilities limit that.
Rules IoUring() {
  return {
      {"io_uring_setup", Use::kService, "a TAP that was opened again", {}},
      {"io_uring_enter", Use::kService, "TAP", {}},
      {"io_uring_register", Use::kService, "a ring's start and end", {}},
      {"pwritev2", Use::kService, "whether a TAP takes RWF_NOWAIT", {}},
  };
}

Rules Sanitizers() {
  const auto rule = [](const char* call) {
    return SyscallRule{call, Use::kOtherVersion, "sanitizers", {}};
  };
  return {rule("sched_yield"),
          rule("nanosleep"),
          rule("clock_nanosleep"),
          rule("sigaltstack"),
          rule("openat"),
          rule("prctl"),
          rule("set_robust_list"),
          rule("getrlimit"),
          rule("rt_sigaction"),
          rule("madvise"),
          rule("exit"),
          rule("gettimeofday"),
          rule("pipe2")};
}

// The TAP, interfaces and namespaces; SIOCETHTOOL only asks.
Rules AdministrationRequests() {
  Rules rules;
  for (const unsigned long number : std::initializer_list<unsigned long>{
           TUNSETIFF, TUNSETVNETHDRSZ, TUNSETVNETLE, TUNSETOFFLOAD,
           TUNSETPERSIST, TUNSETQUEUE, TUNGETIFF}) {
    rules.push_back({"ioctl", Use::kService, "TAP", {Is(1, number)}});
  }
  for (const unsigned long number : std::initializer_list<unsigned long>{
           TUNGETDEVNETNS, SIOCGIFINDEX, SIOCSIFMTU, SIOCETHTOOL}) {
    rules.push_back({"ioctl", Use::kService, "interface", {Is(1, number)}});
  }
  return rules;
}

Rules AdministrationService() {
  Rules rules = AdministrationRequests();
  for (const int family : {AF_NETLINK, AF_INET, AF_UNIX}) {
    rules.push_back({"socket",
                     Use::kService,
                     "kernel's interfaces",
                     {Is(0, static_cast<uint64_t>(family))}});
  }
  const auto add = [&rules](const char* needed_by,
                            std::initializer_list<const char*> calls) {
    for (const char* call : calls) {
      rules.push_back({call, Use::kService, needed_by, {}});
    }
  };
  add("/dev/net/tun, sysfs, namespaces",
      {"openat", "read", "write", "close", "access", "newfstatat", "readlink",
       "getdents64"});
  add("netlink", {"bind", "getsockname", "setsockopt", "sendmsg", "recvmsg"});
  add("netlink, requests", {"sendto", "recvfrom", "poll"});
  add("a TAP that another process still holds", {"clock_nanosleep"});
  rules.push_back({"setns",
                   Use::kService,
                   "a TAP in another network namespace",
                   {Is(1, CLONE_NEWNET)}});
  rules.push_back({"fstat", Use::kOtherVersion, "namespaces", {}});
  rules.push_back({"fcntl", Use::kOtherVersion, "directories", {}});
  rules.push_back({"lseek", Use::kOtherVersion, "sysfs", {}});
  return rules;
}

// Drops the conditional rules of calls that sanitizers make in other ways, too.
void DropSuperfluous(Rules& rules) {
  std::set<std::string> unconditional;
  for (const SyscallRule& rule : rules) {
    if (rule.checks.empty()) unconditional.insert(rule.call);
  }
  std::erase_if(rules, [&](const SyscallRule& rule) {
    return !rule.checks.empty() && unconditional.contains(rule.call);
  });
}

}  // namespace

std::vector<SyscallRule> RulesFor(Role role, bool io_uring) {
  Rules rules =
      role == Role::kDevice ? DeviceService() : AdministrationService();
  Append(rules, Memory());
  Append(rules, Process());
  if (role == Role::kDevice) Append(rules, ThreadsAndDriver());
  if (role == Role::kDevice && io_uring) Append(rules, IoUring());
  if (kSanitized) {
    Append(rules, Sanitizers());
    DropSuperfluous(rules);
  }
  return rules;
}

std::string Describe(const SyscallRule& rule) {
  std::string text = rule.call;
  for (const ArgumentCheck& check : rule.checks) {
    text += fmt::format(", argument {} & {:#x} is {:#x}", check.argument,
                        check.mask, check.value);
  }
  return text;
}

}  // namespace program
