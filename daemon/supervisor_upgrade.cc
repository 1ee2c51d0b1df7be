// SPDX-License-Identifier: Apache-2.0
//
// The supervisor gives its device to another release of the program.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "base/log.h"
#include "base/status_text.h"
#include "daemon/sd_notify.h"
#include "daemon/supervisor.h"

namespace program {
namespace {

using base::Log;
using base::Severity;

// How long the new program may take to get ready.
constexpr net::Duration kReadyPatience = std::chrono::seconds(10);

}  // namespace

void Supervisor::BeginUpgrade() {
  if (new_program_) return;
  if (phase_ != Phase::kReady || kicks_.empty() || !hand_over_listener_) {
    Log(Severity::kError, "no upgrade now: the device is being {}",
        phase_ == Phase::kDetaching ? "detached" : "started");
    return;
  }
  absl::StatusOr<NewProgram> program = NewProgram::Start(program_path_);
  if (!program.ok()) {
    Log(Severity::kError, "no upgrade: {}", base::Text(program.status()));
    return;
  }
  Log(Severity::kInfo, "upgrade: {} starts as process {}", program_path_,
      program->pid());
  new_program_.emplace(std::move(*program));
  upgrade_by_ = net::Now() + kReadyPatience;
}

void Supervisor::OnNewProgram() {
  if (!new_program_->Ready().ok()) {
    new_program_->Disconnect();  // it ends, and then its status is known
  } else if (kicks_.empty()) {
    EndUpgrade("it came while the device was not served");
  } else {
    StepAside();
  }
}

void Supervisor::EndUpgrade(const std::string& why) {
  Log(Severity::kError,
      "the upgrade has failed, and process {} goes on. Of the new program: {}",
      getpid(), why);
  new_program_->Kill();
  new_program_.reset();
  upgrade_by_.reset();
}

// Ends this process alone. The device process goes on until the new supervisor
// takes over.
void Supervisor::StepAside() {
  Log(Severity::kInfo, "upgrade: process {} takes over", new_program_->pid());
  Order({.kind = DeviceOrder::Kind::kNewSupervisor});
  SdNotify(fmt::format("MAINPID={}", new_program_->pid()));
  _exit(base::kExitOk);
}

}  // namespace program
