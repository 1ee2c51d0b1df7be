// SPDX-License-Identifier: Apache-2.0
//
// `vduse-net check`: tells whether this host can run a device, in which mode,
// and what to do about anything that is missing.
#include <errno.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "base/json_text.h"
#include "base/output.h"
#include "base/privileges.h"
#include "base/status_text.h"
#include "cli/command.h"
#include "cli/common_options.h"
#include "daemon/device_setup.h"
#include "daemon/sandbox.h"
#include "vduse/kernel_device.h"
#include "vduse/vdpa_bus.h"

namespace cli {
namespace {

using nlohmann::json;

enum class Verdict { kOk, kMissing, kNote };

// The results, line by line.
class Findings {
 public:
  void Add(Verdict verdict, const std::string& what, const std::string& text) {
    const char* mark = verdict == Verdict::kOk        ? "ok"
                       : verdict == Verdict::kMissing ? "MISSING"
                                                      : "note";
    possible_ = possible_ && verdict != Verdict::kMissing;
    text_ += fmt::format("{:<8} {:<16} {}\n", mark, what, text);
    list_.push_back({{"verdict", mark}, {"what", what}, {"text", text}});
  }
  bool possible() const { return possible_; }

  base::ExitCode Print(base::ExitCode code, bool as_json) const {
    const json all = {{"exit_code", static_cast<int>(code)}, {"checks", list_}};
    base::Write(as_json ? base::FormatJson(all) : text_);
    return code;
  }

 private:
  bool possible_ = true;
  std::string text_;
  json list_ = json::array();
};

bool DriverLoaded(const std::string& driver) {
  return access(("/sys/bus/vdpa/drivers/" + driver).c_str(), F_OK) == 0;
}

void CheckConsumer(const std::string& driver, const std::string& purpose,
                   Findings& findings) {
  if (DriverLoaded(driver)) {
    findings.Add(Verdict::kOk, driver, purpose);
  } else {
    findings.Add(
        Verdict::kNote, driver,
        fmt::format("not loaded: modprobe {} for {}", driver, purpose));
  }
}

void CheckTun(Findings& findings) {
  constexpr char kPath[] = "/dev/net/tun";
  if (access(kPath, R_OK | W_OK) == 0) {
    findings.Add(Verdict::kOk, "tun", kPath);
  } else if (errno == EACCES) {
    findings.Add(Verdict::kMissing, "tun",
                 fmt::format("{}: permission denied: run as root", kPath));
  } else {
    findings.Add(Verdict::kMissing, "tun",
                 fmt::format("{}: {}: modprobe tun", kPath,
                             std::generic_category().message(errno)));
  }
}

void CheckBus(Findings& findings) {
  const absl::StatusOr<bool> bus = vduse::HasVduseManagementDevice();
  if (bus.ok() && *bus) {
    findings.Add(Verdict::kOk, "vdpa",
                 "the bus has the management device vduse");
  } else {
    findings.Add(Verdict::kMissing, "vdpa",
                 bus.ok()
                     ? "the bus has no management device vduse: modprobe vduse"
                     : base::Text(bus.status()));
  }
}

void CheckSandbox(Findings& findings) {
  const absl::StatusOr<program::SandboxReport> report =
      program::TrySandbox(program::SandboxOptions());
  if (report.ok()) {
    findings.Add(Verdict::kOk, "sandbox", Describe(*report));
  } else {
    findings.Add(Verdict::kMissing, "sandbox", base::Text(report.status()));
  }
}

// Creates a device and removes it again.
base::ExitCode CheckDevice(Findings& findings) {
  absl::StatusOr<vduse::ControlDevice> control = vduse::ControlDevice::Open();
  if (!control.ok()) {
    findings.Add(Verdict::kMissing, "vduse",
                 base::Text(base::ExplainPermission(control.status())));
    return base::kExitHost;
  }
  findings.Add(Verdict::kOk, "vduse",
               fmt::format("API version {}, kernel features {:#x}",
                           control->api_version(), control->kernel_features()));
  const absl::StatusOr<bool> allowed = program::ControlQueueAllowed(*control);
  if (!allowed.ok()) {
    findings.Add(Verdict::kMissing, "device",
                 base::Text(base::ExplainPermission(allowed.status())));
    return base::kExitHost;
  }
  if (!findings.possible()) return base::kExitHost;
  if (!*allowed) {
    findings.Add(Verdict::kNote, "control queue", program::kNoControlQueueText);
    return base::kExitNoControlQueue;
  }
  findings.Add(Verdict::kOk, "control queue",
               "the consumer's `ethtool -C` reaches the device");
  return base::kExitOk;
}

base::ExitCode Check(bool as_json) {
  Findings findings;
  utsname kernel = {};
  uname(&kernel);
  findings.Add(Verdict::kOk, "kernel", kernel.release);
  const absl::Status privileges = base::CheckPrivileges();
  findings.Add(privileges.ok() ? Verdict::kOk : Verdict::kMissing, "privileges",
               privileges.ok() ? "CAP_NET_ADMIN" : base::Text(privileges));
  if (privileges.ok()) CheckSandbox(findings);
  CheckTun(findings);
  CheckBus(findings);
  CheckConsumer("virtio_vdpa", "a netdev on this host", findings);
  CheckConsumer("vhost_vdpa", "QEMU and other VMMs", findings);
  const base::ExitCode code = CheckDevice(findings);
  return findings.Print(code, as_json);
}

}  // namespace

void AddCheck(Command program) {
  const auto as_json = std::make_shared<bool>(false);
  Command check =
      program.Add("check", "Say whether this host can run a device");
  AddJson(check, *as_json);
  check.Does([=] { return Check(*as_json); });
}

}  // namespace cli
