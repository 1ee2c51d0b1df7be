// SPDX-License-Identifier: Apache-2.0
//
// `vduse-net profiles`.
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/json_text.h"
#include "base/output.h"
#include "cli/command.h"
#include "cli/common_options.h"
#include "net/wire/features.h"

namespace cli {
namespace {

using nlohmann::json;

base::ExitCode ListProfiles(bool as_json) {
  json all = json::array();
  for (const net::Profile& profile : net::Profiles()) {
    const std::string names = net::FeatureNames(profile.features);
    if (as_json) {
      all.push_back({{"name", profile.name},
                     {"description", profile.text},
                     {"features", profile.features},
                     {"feature_names", names}});
      continue;
    }
    base::Print("{:<14}{}\n{:<14}{}\n", profile.name, profile.text, "", names);
  }
  if (as_json) base::Write(base::FormatJson(all));
  return base::kExitOk;
}

}  // namespace

void AddProfiles(Command program) {
  const auto as_json = std::make_shared<bool>(false);
  Command profiles = program.Add("profiles", "List the named sets of features");
  AddJson(profiles, *as_json);
  profiles.Does([=] { return ListProfiles(*as_json); });
}

}  // namespace cli
