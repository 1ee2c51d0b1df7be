// SPDX-License-Identifier: Apache-2.0
#include "vduse/kernel_device.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

namespace vduse {
namespace {

constexpr char kControlPath[] = "/dev/vduse/control";

// The newest API version and the kernel features that this program knows.
constexpr uint64_t kNewestApiVersion = kApiVersionGroups;
constexpr uint64_t kKnownKernelFeatures =
    1ULL << kKernelFeatureQueueReady | 1ULL << kKernelFeatureSuspend;

// At most this many queues are counted, whatever the device claims to have.
constexpr uint32_t kMaxQueues = 1024;

absl::Status Failed(int error, const std::string& what) {
  return absl::ErrnoToStatus(error, what);
}

InjectResult ToInjectResult(int rc) {
  if (rc == 0) return InjectResult::kDelivered;
  return errno == EPERM ? InjectResult::kBroken : InjectResult::kNotYet;
}

}  // namespace

absl::StatusOr<ControlDevice> ControlDevice::Open() {
  ControlDevice control;
  control.fd_ = base::UniqueFd(open(kControlPath, O_RDWR | O_CLOEXEC));
  if (!control.fd_) {
    if (errno == ENOENT) {
      return absl::NotFoundError(
          fmt::format("{} does not exist: this kernel has no VDUSE or its "
                      "module is not loaded (modprobe vduse)",
                      kControlPath));
    }
    return Failed(errno, fmt::format("open {}", kControlPath));
  }
  const int fd = control.fd_.get();
  uint64_t kernel_version = 0;
  if (ioctl(fd, VDUSE_GET_API_VERSION, &kernel_version) != 0) {
    return Failed(errno, "VDUSE_GET_API_VERSION");
  }
  control.api_version_ = std::min(kernel_version, kNewestApiVersion);
  if (ioctl(fd, VDUSE_SET_API_VERSION, &control.api_version_) != 0) {
    return Failed(errno,
                  fmt::format("VDUSE_SET_API_VERSION {} (the kernel has {})",
                              control.api_version_, kernel_version));
  }
  // A kernel without such features does not have this ioctl.
  uint64_t features = 0;
  if (ioctl(fd, kGetKernelFeatures, &features) == 0) {
    features &= kKnownKernelFeatures;
    if (ioctl(fd, kSetKernelFeatures, &features) != 0) {
      return Failed(errno, fmt::format("VDUSE_SET_FEATURES {:#x}", features));
    }
    control.kernel_features_ = features;
  }
  return control;
}

absl::Status ControlDevice::Create(const DeviceConfig& config) {
  if (config.name.empty() || config.name.size() >= VDUSE_NAME_MAX ||
      config.name.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(
        fmt::format("device name '{}' must have 1 to {} characters and no '/'",
                    config.name, VDUSE_NAME_MAX - 1));
  }
  RawDeviceConfig fixed = {};
  std::vector<uint8_t> buffer(sizeof(fixed) + config.config_space.size());
  std::memcpy(fixed.name, config.name.data(), config.name.size());
  fixed.device_id = config.device_id;
  fixed.features = config.features;
  fixed.vq_num = config.queue_count;
  fixed.vq_align = 4096;
  if (has_groups()) {
    fixed.ngroups = config.groups;
    fixed.nas = config.address_spaces;
  }
  fixed.config_size = static_cast<uint32_t>(config.config_space.size());
  std::memcpy(buffer.data(), &fixed, sizeof(fixed));
  std::memcpy(buffer.data() + sizeof(fixed), config.config_space.data(),
              config.config_space.size());
  if (ioctl(fd_.get(), VDUSE_CREATE_DEV, buffer.data()) != 0) {
    return Failed(errno, fmt::format("VDUSE_CREATE_DEV '{}' with features "
                                     "{:#x}",
                                     config.name, config.features));
  }
  return absl::OkStatus();
}

absl::Status ControlDevice::Destroy(const std::string& name) {
  char buffer[VDUSE_NAME_MAX] = {};  // the kernel copies the whole buffer
  std::strncpy(buffer, name.c_str(), sizeof(buffer) - 1);
  if (ioctl(fd_.get(), VDUSE_DESTROY_DEV, buffer) != 0) {
    const int error = errno;
    if (error == EBUSY) {
      return absl::FailedPreconditionError(fmt::format(
          "VDUSE_DESTROY_DEV '{}': it is still attached or open", name));
    }
    return Failed(error, fmt::format("VDUSE_DESTROY_DEV '{}'", name));
  }
  return absl::OkStatus();
}

std::string DevicePath(const std::string& name) { return "/dev/vduse/" + name; }

absl::StatusOr<std::unique_ptr<KernelDevice>> KernelDevice::Open(
    const std::string& name) {
  const std::string path = DevicePath(name);
  base::UniqueFd low(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!low) {
    const int error = errno;
    if (error == EBUSY) {
      return absl::FailedPreconditionError(
          fmt::format("{} is served by another process", path));
    }
    return Failed(error, "open " + path);
  }
  std::unique_ptr<KernelDevice> device = Unopened(0);
  if (absl::Status taken = device->Take(std::move(low)); !taken.ok()) {
    return taken;
  }
  for (uint32_t index = 0; index < kMaxQueues; ++index) {
    if (!device->GetQueueInfo(index).ok()) break;
    device->queue_count_ = index + 1;
  }
  return device;
}

std::unique_ptr<KernelDevice> KernelDevice::Unopened(uint32_t queue_count) {
  std::unique_ptr<KernelDevice> device(new KernelDevice);
  device->queue_count_ = queue_count;
  return device;
}

absl::Status KernelDevice::Take(base::UniqueFd fd) {
  fd_ = base::UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, kLowestFd));
  if (!fd_) return Failed(errno, "F_DUPFD_CLOEXEC of the device");
  return absl::OkStatus();
}

absl::Status KernelDevice::SetupQueue(uint32_t index, uint16_t max_size,
                                      uint32_t group) {
  RawQueueConfig config = {};
  config.index = index;
  config.max_size = max_size;
  config.group = group;
  if (ioctl(fd_.get(), VDUSE_VQ_SETUP, &config) != 0) {
    return Failed(errno, fmt::format("VDUSE_VQ_SETUP of queue {} with size {}",
                                     index, max_size));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> KernelDevice::NegotiatedFeatures() {
  uint64_t features = 0;
  if (ioctl(fd_.get(), VDUSE_DEV_GET_FEATURES, &features) != 0) {
    return Failed(errno, "VDUSE_DEV_GET_FEATURES");
  }
  return features;
}

absl::StatusOr<QueueInfo> KernelDevice::GetQueueInfo(uint32_t index) {
  vduse_vq_info info = {};
  info.index = index;
  if (ioctl(fd_.get(), VDUSE_VQ_GET_INFO, &info) != 0) {
    return Failed(errno, fmt::format("VDUSE_VQ_GET_INFO of queue {}", index));
  }
  return QueueInfo{.size = info.num,
                   .desc_addr = info.desc_addr,
                   .driver_addr = info.driver_addr,
                   .device_addr = info.device_addr,
                   .position = {.avail_index = info.split.avail_index},
                   .ready = info.ready != 0};
}

absl::Status KernelDevice::SetKick(uint32_t index, int fd) {
  vduse_vq_eventfd eventfd = {};
  eventfd.index = index;
  eventfd.fd = fd >= 0 ? fd : VDUSE_EVENTFD_DEASSIGN;
  if (ioctl(fd_.get(), VDUSE_VQ_SETUP_KICKFD, &eventfd) != 0) {
    return Failed(errno,
                  fmt::format("VDUSE_VQ_SETUP_KICKFD of queue {}", index));
  }
  return absl::OkStatus();
}

InjectResult KernelDevice::Inject(uint32_t index) {
  return ToInjectResult(ioctl(fd_.get(), VDUSE_VQ_INJECT_IRQ, &index));
}

absl::Status KernelDevice::SetConfig(uint32_t offset,
                                     std::span<const uint8_t> bytes) {
  std::vector<uint8_t> buffer(offsetof(vduse_config_data, buffer) +
                              bytes.size());
  vduse_config_data fixed = {};
  fixed.offset = offset;
  fixed.length = static_cast<uint32_t>(bytes.size());
  std::memcpy(buffer.data(), &fixed, offsetof(vduse_config_data, buffer));
  std::memcpy(buffer.data() + offsetof(vduse_config_data, buffer), bytes.data(),
              bytes.size());
  if (ioctl(fd_.get(), VDUSE_DEV_SET_CONFIG, buffer.data()) != 0) {
    return Failed(errno, fmt::format("VDUSE_DEV_SET_CONFIG of {} bytes at {}",
                                     bytes.size(), offset));
  }
  return absl::OkStatus();
}

InjectResult KernelDevice::InjectConfig() {
  return ToInjectResult(ioctl(fd_.get(), VDUSE_DEV_INJECT_CONFIG_IRQ));
}

absl::StatusOr<IotlbRegion> KernelDevice::LookupIotlb(uint32_t asid,
                                                      uint64_t iova) {
  RawIotlbEntry entry = {};
  entry.start = iova;
  entry.last = iova;
  entry.asid = asid;
  // VDUSE_IOTLB_GET_FD, the older call, fills in the fields that both have, and
  // means address space 0. Every kernel has it.
  const int fd =
      ioctl(fd_.get(), asid == 0 ? VDUSE_IOTLB_GET_FD : kIotlbGetFd2, &entry);
  if (fd < 0) {
    const int error = errno;
    if (error == EINVAL) {
      return absl::NotFoundError("");  // caused by the driver: no text needed
    }
    return Failed(error, "VDUSE_IOTLB_GET_FD");
  }
  return IotlbRegion{.fd = base::UniqueFd(fd),
                     .offset = entry.offset,
                     .start = entry.start,
                     .last = entry.last,
                     .readable = (entry.perm & VDUSE_ACCESS_RO) != 0,
                     .writable = (entry.perm & VDUSE_ACCESS_WO) != 0};
}

absl::StatusOr<std::optional<vduse_dev_request>> KernelDevice::ReadRequest() {
  vduse_dev_request request = {};
  const ssize_t n = read(fd_.get(), &request, sizeof(request));
  if (n == static_cast<ssize_t>(sizeof(request))) return request;
  if (n >= 0) {
    return absl::InternalError(
        fmt::format("the kernel returned {} bytes of a request", n));
  }
  switch (errno) {
    case EAGAIN:
    case EINTR:
      return std::nullopt;
    case EPERM:
      return absl::AbortedError("the kernel has marked the device broken");
    default:
      return Failed(errno, "read of a request");
  }
}

absl::Status KernelDevice::Reply(const vduse_dev_response& response) {
  const ssize_t n = write(fd_.get(), &response, sizeof(response));
  if (n == static_cast<ssize_t>(sizeof(response))) return absl::OkStatus();
  if (n < 0) return Failed(errno, "write of a response");
  return absl::InternalError(
      fmt::format("the kernel took {} bytes of a response", n));
}

}  // namespace vduse
