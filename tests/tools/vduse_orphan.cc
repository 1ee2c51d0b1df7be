// SPDX-License-Identifier: Apache-2.0
//
// A VDUSE device of any type that nobody serves, as another program leaves it:
//   vduse_orphan create NAME TYPE QUEUES
//   vduse_orphan destroy NAME
#include <fmt/format.h>
#include <linux/virtio_config.h>

#include <string>
#include <string_view>
#include <vector>

#include "vduse/kernel_device.h"

namespace {

absl::Status Create(const std::string& name, uint32_t type, uint32_t queues) {
  absl::StatusOr<vduse::ControlDevice> control = vduse::ControlDevice::Open();
  if (!control.ok()) return control.status();
  absl::Status created =
      control->Create({.name = name,
                       .device_id = type,
                       .features = (uint64_t{1} << VIRTIO_F_VERSION_1) |
                                   (uint64_t{1} << VIRTIO_F_ACCESS_PLATFORM),
                       .queue_size = 64,
                       .queue_count = queues,
                       .config_space = std::vector<uint8_t>(60)});
  if (!created.ok()) return created;
  auto device = vduse::KernelDevice::Open(name);
  absl::Status status = device.status();
  for (uint32_t i = 0; status.ok() && i < queues; ++i) {
    status = (*device)->SetupQueue(i, 64, 0);
  }
  return status;
}

absl::Status Destroy(const std::string& name) {
  absl::StatusOr<vduse::ControlDevice> control = vduse::ControlDevice::Open();
  return control.ok() ? control->Destroy(name) : control.status();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  absl::Status status = absl::InvalidArgumentError("see the source");
  if (verb == "create" && argc == 5) {
    status = Create(argv[2], static_cast<uint32_t>(std::stoul(argv[3])),
                    static_cast<uint32_t>(std::stoul(argv[4])));
  } else if (verb == "destroy" && argc == 3) {
    status = Destroy(argv[2]);
  }
  if (!status.ok()) fmt::print(stderr, "{}\n", status.ToString());
  return status.ok() ? 0 : 1;
}
