// SPDX-License-Identifier: Apache-2.0
#include "vduse/vdpa_bus.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/vdpa.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <system_error>

#include "base/status_text.h"
#include "base/unique_fd.h"

namespace vduse {
namespace {

constexpr char kManagementDevice[] = "vduse";

struct SocketDeleter {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};
struct MessageDeleter {
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, MessageDeleter>;
using Attributes = nlattr * [VDPA_ATTR_MAX + 1];

// The outcome of a command. libnl folds several errno values into one code of
// its own; OnError below keeps the kernel's.
struct Result {
  int kernel_error = 0;
  std::function<void(nlattr**)> on_answer;
};

int OnError(sockaddr_nl*, nlmsgerr* error, void* arg) {
  static_cast<Result*>(arg)->kernel_error = -error->error;
  return NL_STOP;
}

int OnValid(nl_msg* message, void* arg) {
  Attributes attributes = {};
  if (genlmsg_parse(nlmsg_hdr(message), 0, attributes, VDPA_ATTR_MAX,
                    nullptr) == 0) {
    const auto& on_answer = static_cast<Result*>(arg)->on_answer;
    if (on_answer) on_answer(attributes);
  }
  return NL_OK;
}

class Bus {
 public:
  static absl::StatusOr<Bus> Open() {
    Bus bus;
    bus.socket_.reset(nl_socket_alloc());
    if (!bus.socket_) return absl::ResourceExhaustedError("nl_socket_alloc");
    int rc = genl_connect(bus.socket_.get());
    if (rc < 0) {
      return absl::UnavailableError(
          fmt::format("generic netlink: {}", nl_geterror(rc)));
    }
    bus.family_ = genl_ctrl_resolve(bus.socket_.get(), VDPA_GENL_NAME);
    if (bus.family_ < 0 && access("/sys/bus/vdpa", F_OK) == 0) {
      return absl::FailedPreconditionError(
          "the vDPA bus exists, but its netlink family is in the initial "
          "network namespace only, and this is another: attach, detach and "
          "list devices there (nsenter -t 1 --net vduse-net ..., or `vdpa` on "
          "the host)");
    }
    if (bus.family_ < 0) {
      return absl::NotFoundError(
          "the kernel has no vDPA bus: its module is not loaded (modprobe "
          "vdpa)");
    }
    return bus;
  }

  // Sends one command with string attributes and reads the whole answer.
  absl::Status Run(uint8_t command, int flags,
                   const std::vector<std::pair<int, std::string>>& attributes,
                   std::function<void(nlattr**)> on_answer) {
    Message message(nlmsg_alloc());
    if (!message ||
        genlmsg_put(message.get(), NL_AUTO_PORT, NL_AUTO_SEQ, family_, 0, flags,
                    command, VDPA_GENL_VERSION) == nullptr) {
      return absl::ResourceExhaustedError("netlink message");
    }
    for (const auto& [type, value] : attributes) {
      if (nla_put_string(message.get(), type, value.c_str()) != 0) {
        return absl::InvalidArgumentError(
            fmt::format("'{}' is too long for a netlink message", value));
      }
    }
    int rc = nl_send_auto(socket_.get(), message.get());
    if (rc < 0) {
      return absl::UnavailableError(
          fmt::format("netlink send: {}", nl_geterror(rc)));
    }
    Result result{.on_answer = std::move(on_answer)};
    std::unique_ptr<nl_cb, void (*)(nl_cb*)> callbacks(
        nl_cb_alloc(NL_CB_DEFAULT), nl_cb_put);
    if (!callbacks) return absl::ResourceExhaustedError("nl_cb_alloc");
    bool done = false;
    const auto finish = [](nl_msg*, void* arg) -> int {
      *static_cast<bool*>(arg) = true;
      return NL_STOP;
    };
    nl_cb_err(callbacks.get(), NL_CB_CUSTOM, OnError, &result);
    nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, OnValid, &result);
    nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, finish, &done);
    nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, finish, &done);
    while (!done && result.kernel_error == 0) {
      rc = nl_recvmsgs(socket_.get(), callbacks.get());
      if (rc < 0 && result.kernel_error == 0) {
        return absl::UnavailableError(
            fmt::format("netlink receive: {}", nl_geterror(rc)));
      }
    }
    if (result.kernel_error != 0) {
      return absl::ErrnoToStatus(result.kernel_error, "vDPA bus");
    }
    return absl::OkStatus();
  }

 private:
  std::unique_ptr<nl_sock, SocketDeleter> socket_;
  int family_ = -1;
};

absl::Status Explain(const absl::Status& status, const std::string& action) {
  if (status.ok()) return status;
  std::string text = fmt::format("{}: {}", action, base::Text(status));
  if (absl::IsNotFound(status)) text += " (no such device)";
  if (absl::IsPermissionDenied(status)) text += " (needs CAP_NET_ADMIN)";
  return absl::Status(status.code(), text);
}

std::string String(const nlattr* attribute) {
  return attribute != nullptr ? nla_get_string(attribute) : "";
}

uint32_t Number(const nlattr* attribute) {
  return attribute != nullptr ? nla_get_u32(attribute) : 0;
}

std::string BusPath(const std::string& name) {
  return "/sys/bus/vdpa/devices/" + name;
}

// Unbinds the driver from the device. If that is not possible, for example
// because sysfs is read-only, `vdpa dev del` unbinds it.
void UnbindDriver(const std::string& name) {
  if (name.find('/') != std::string::npos) return;  // not a device name
  const base::UniqueFd fd(
      open((BusPath(name) + "/driver/unbind").c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return;
  [[maybe_unused]] const ssize_t n = write(fd.get(), name.data(), name.size());
}

std::string BoundDriver(const std::string& name) {
  const std::string link = BusPath(name) + "/driver";
  char target[256];
  const ssize_t n = readlink(link.c_str(), target, sizeof(target));
  if (n <= 0) return "";
  const std::string path(target, static_cast<size_t>(n));
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

absl::Status AttachToBus(const std::string& name) {
  absl::StatusOr<Bus> bus = Bus::Open();
  if (!bus.ok()) return bus.status();
  return Explain(bus->Run(VDPA_CMD_DEV_NEW, NLM_F_ACK,
                          {{VDPA_ATTR_DEV_NAME, name},
                           {VDPA_ATTR_MGMTDEV_DEV_NAME, kManagementDevice}},
                          nullptr),
                 fmt::format("attaching '{}' to the vDPA bus", name));
}

absl::Status DetachFromBus(const std::string& name) {
  absl::StatusOr<Bus> bus = Bus::Open();
  if (absl::IsFailedPrecondition(bus.status()) &&
      access(("/sys/bus/vdpa/devices/" + name).c_str(), F_OK) != 0) {
    return absl::NotFoundError(fmt::format("'{}' is not attached", name));
  }
  if (!bus.ok()) return bus.status();
  UnbindDriver(name);
  return Explain(bus->Run(VDPA_CMD_DEV_DEL, NLM_F_ACK,
                          {{VDPA_ATTR_DEV_NAME, name}}, nullptr),
                 fmt::format("detaching '{}' from the vDPA bus", name));
}

absl::StatusOr<std::vector<BusDevice>> ListBus(
    const std::optional<std::string>& name) {
  absl::StatusOr<Bus> bus = Bus::Open();
  if (!bus.ok()) return bus.status();
  std::vector<BusDevice> devices;
  const absl::Status status =
      bus->Run(VDPA_CMD_DEV_GET, NLM_F_DUMP, {}, [&](nlattr** attributes) {
        BusDevice device{
            .name = String(attributes[VDPA_ATTR_DEV_NAME]),
            .device_id = Number(attributes[VDPA_ATTR_DEV_ID]),
            .max_queues = Number(attributes[VDPA_ATTR_DEV_MAX_VQS]),
            .max_queue_size =
                attributes[VDPA_ATTR_DEV_MAX_VQ_SIZE] != nullptr
                    ? nla_get_u16(attributes[VDPA_ATTR_DEV_MAX_VQ_SIZE])
                    : 0U,
            .driver = ""};
        if (!name || device.name == *name) devices.push_back(device);
      });
  if (!status.ok()) return Explain(status, "listing the vDPA bus");
  for (BusDevice& device : devices) device.driver = BoundDriver(device.name);
  if (name && devices.empty()) {
    return absl::NotFoundError(
        fmt::format("'{}' is not attached to the vDPA bus", *name));
  }
  return devices;
}

bool IsOnBus(const std::string& name) {
  std::error_code error;
  return std::filesystem::exists(BusPath(name), error);
}

std::optional<uint32_t> VirtioTypeOf(const std::string& name) {
  // The device may disappear meanwhile.
  std::error_code error;
  std::filesystem::directory_iterator entry(BusPath(name), error);
  for (; !error && entry != std::filesystem::directory_iterator();
       entry.increment(error)) {
    if (!entry->path().filename().string().starts_with("virtio")) continue;
    std::ifstream file(entry->path() / "device");
    uint32_t type = 0;
    file >> std::hex >> type;  // like 0x0001
    if (file) return type;
  }
  return std::nullopt;
}

std::string VhostDeviceOf(const std::string& name) {
  // The device may disappear meanwhile.
  std::error_code error;
  std::filesystem::directory_iterator entry(BusPath(name), error);
  for (; !error && entry != std::filesystem::directory_iterator();
       entry.increment(error)) {
    const std::string file = entry->path().filename();
    if (file.starts_with("vhost-vdpa-")) return "/dev/" + file;
  }
  return "";
}

absl::StatusOr<bool> HasVduseManagementDevice() {
  absl::StatusOr<Bus> bus = Bus::Open();
  if (!bus.ok()) return bus.status();
  bool found = false;
  const absl::Status status =
      bus->Run(VDPA_CMD_MGMTDEV_GET, NLM_F_DUMP, {}, [&](nlattr** attributes) {
        if (String(attributes[VDPA_ATTR_MGMTDEV_DEV_NAME]) ==
            kManagementDevice) {
          found = true;
        }
      });
  if (!status.ok()) return status;
  return found;
}

}  // namespace vduse
