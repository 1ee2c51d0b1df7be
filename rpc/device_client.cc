// SPDX-License-Identifier: Apache-2.0
#include "rpc/device_client.h"

#include <fmt/format.h>

#include "base/privileges.h"
#include "base/status_text.h"
#include "rpc/device_service.h"
#include "rpc/varlink_client.h"
#include "rpc/varlink_message.h"
#include "vduse/device_name.h"

namespace rpc {

using nlohmann::json;

absl::StatusOr<json> AskDevice(const std::string& state_dir,
                               const std::string& name, std::string_view method,
                               const json& parameters) {
  if (absl::Status good = vduse::CheckDeviceName(name); !good.ok()) return good;
  absl::StatusOr<json> answer =
      VarlinkCall(DeviceSocket(state_dir, name),
                  fmt::format("{}.{}", kDeviceInterface, method), parameters);
  if (absl::IsNotFound(answer.status())) {
    return absl::NotFoundError(fmt::format(
        "no process serves a device '{}' here ({}): list devices with "
        "`vduse-net show`, and give the --state-dir of the device's process",
        name, base::Text(answer.status())));
  }
  if (absl::IsPermissionDenied(answer.status())) {
    return base::ExplainPermission(answer.status());
  }
  return answer;
}

uint64_t NumberIn(const json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end()) return 0;
  return WholeNumber(*member).value_or(0);
}

std::string TextIn(const json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end()) return "?";
  const auto* text = member->get_ptr<const json::string_t*>();
  return text != nullptr ? *text : "?";
}

const json& ObjectIn(const json& object, const char* name) {
  static const json kNothing = json::object();
  const auto member = object.find(name);
  return member != object.end() && member->is_object() ? *member : kNothing;
}

const json& ArrayIn(const json& object, const char* name) {
  static const json kNothing = json::array();
  const auto member = object.find(name);
  return member != object.end() && member->is_array() ? *member : kNothing;
}

}  // namespace rpc
