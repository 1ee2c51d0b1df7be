// SPDX-License-Identifier: Apache-2.0
#include "daemon/check.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/status_text.h"
#include "daemon/device_setup.h"
#include "vduse/kernel_device.h"
#include "vduse/vdpa_bus.h"

namespace program {
namespace {

enum class Verdict { kOk, kMissing, kNote };

void Line(Verdict verdict, const std::string& what, const std::string& text) {
  const char* mark = verdict == Verdict::kOk        ? "ok"
                     : verdict == Verdict::kMissing ? "MISSING"
                                                    : "note";
  fmt::print("{:<8} {:<16} {}\n", mark, what, text);
}

bool DriverLoaded(const std::string& driver) {
  return access(("/sys/bus/vdpa/drivers/" + driver).c_str(), F_OK) == 0;
}

void CheckConsumer(const std::string& driver, const std::string& module,
                   const std::string& purpose) {
  if (DriverLoaded(driver)) {
    Line(Verdict::kOk, driver, purpose);
  } else {
    Line(Verdict::kNote, driver,
         fmt::format("not loaded: modprobe {} for {}", module, purpose));
  }
}

}  // namespace

ExitCode Check() {
  bool possible = true;
  utsname kernel = {};
  uname(&kernel);
  Line(Verdict::kOk, "kernel", kernel.release);

  if (access("/dev/net/tun", R_OK | W_OK) == 0) {
    Line(Verdict::kOk, "tun", "/dev/net/tun");
  } else {
    Line(Verdict::kMissing, "tun", "no access to /dev/net/tun: modprobe tun");
    possible = false;
  }
  const absl::StatusOr<bool> bus = vduse::HasVduseManagementDevice();
  if (bus.ok() && *bus) {
    Line(Verdict::kOk, "vdpa", "the bus has the management device vduse");
  } else {
    Line(Verdict::kMissing, "vdpa",
         bus.ok() ? "the bus has no management device vduse: modprobe vduse"
                  : base::Text(bus.status()));
    possible = false;
  }
  CheckConsumer("virtio_vdpa", "virtio_vdpa", "a netdev on this host");
  CheckConsumer("vhost_vdpa", "vhost_vdpa", "QEMU and other VMMs");

  absl::StatusOr<vduse::ControlDevice> control = vduse::ControlDevice::Open();
  if (!control.ok()) {
    Line(Verdict::kMissing, "vduse", base::Text(control.status()));
    return kExitHost;
  }
  Line(Verdict::kOk, "vduse",
       fmt::format("API version {}, kernel features {:#x}",
                   control->api_version(), control->kernel_features()));
  const absl::StatusOr<bool> allowed = ControlQueueAllowed(*control);
  if (!allowed.ok()) {
    Line(Verdict::kMissing, "device",
         base::Text(allowed.status()) + " (needs CAP_NET_ADMIN)");
    return kExitHost;
  }
  if (!possible) return kExitHost;
  if (!*allowed) {
    Line(Verdict::kNote, "control queue", kNoControlQueueText);
    return kExitNoControlQueue;
  }
  Line(Verdict::kOk, "control queue",
       "the consumer's `ethtool -C` reaches the device");
  return kExitOk;
}

}  // namespace program
