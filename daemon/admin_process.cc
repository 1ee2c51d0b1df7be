// SPDX-License-Identifier: Apache-2.0
#include "daemon/admin_process.h"

#include <sys/socket.h>
#include <unistd.h>

#include <span>
#include <utility>

#include "base/exit_codes.h"
#include "daemon/admin_child.h"
#include "daemon/admin_messages.h"
#include "daemon/child_process.h"
#include "daemon/fd_message.h"

namespace program {
namespace {

// Ends the process if that fails. Compiles the filter here, because the parent
// may have a device to adopt.
void EnterSandbox(const SandboxOptions& options) {
  absl::StatusOr<Sandbox> sandbox =
      Sandbox::Prepare(Role::kAdministration, options);
  absl::Status in = sandbox.status();
  if (in.ok()) in = sandbox->Enter();
  if (in.ok()) in = sandbox->Seal();
  if (!in.ok()) _exit(base::Fail(base::kExitHost, in));
}

}  // namespace

absl::StatusOr<AdminProcess> AdminProcess::Start(
    const SandboxOptions* sandbox, const std::vector<base::UniqueFd>& tap,
    const std::string& tap_name) {
  absl::StatusOr<SocketPair> sockets = MakeSocketPair();
  if (!sockets.ok()) return sockets.status();
  std::vector<int> keep = {sockets->theirs.get()};
  for (const base::UniqueFd& queue : tap) keep.push_back(queue.get());
  const absl::StatusOr<pid_t> pid =
      StartChild({.name = "vduse-net-admin", .keep = keep}, [&] {
        if (sandbox != nullptr) EnterSandbox(*sandbox);
        std::vector<net::Tap> queues;
        for (const base::UniqueFd& queue : tap) {
          if (queue) queues.emplace_back(base::UniqueFd(queue.get()));
        }
        RunAdminChild(std::move(sockets->theirs), std::move(queues), tap_name);
      });
  if (!pid.ok()) return pid.status();
  return AdminProcess(std::move(sockets->ours));
}

void AdminProcess::OpenTap(const TapRequest& tap) {
  AdminRequest request = {};
  request.kind = Kind::kOpenTap;
  request.value = tap.mtu.value_or(0);
  request.queues = tap.queues;
  request.may_create = tap.if_absent == net::Tap::IfAbsent::kCreate ? 1 : 0;
  request.identity = tap.identity;
  CopyText(request.name, tap.name);
  // If the child is gone, Next() reports it.
  [[maybe_unused]] const ssize_t n =
      send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL);
}

void AdminProcess::Send(Kind kind, const std::string& name, uint32_t value,
                        uint32_t queues) {
  AdminRequest request = {};
  request.kind = kind;
  request.value = value;
  request.queues = queues;
  CopyText(request.name, name);
  // If the child is gone, Next() reports it.
  [[maybe_unused]] ssize_t n =
      send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL);
}

absl::StatusOr<AdminProcess::Event> AdminProcess::Next() {
  AdminAnswer answer = {};
  absl::StatusOr<std::vector<base::UniqueFd>> fds = ReceiveMessage(
      socket_.get(), std::as_writable_bytes(std::span(&answer, 1)),
      IfEmpty::kWait);
  if (absl::IsUnavailable(fds.status())) {
    return absl::UnavailableError("the administration process has ended");
  }
  answer.text[sizeof(answer.text) - 1] = 0;
  Event event{.kind = answer.kind,
              .status = absl::Status(static_cast<absl::StatusCode>(answer.code),
                                     answer.text),
              .tap = {},
              .tap_created = answer.tap_created != 0,
              .tap_knows_uso = answer.tap_knows_uso != 0,
              .tap_speed = answer.speed,
              .tap_identity = answer.identity,
              .tap_name = answer.tap_name,
              .link_up = answer.link_up != 0,
              .device_id = answer.device_id};
  if (!fds.ok()) {
    event.status = fds.status();
    return event;
  }
  for (base::UniqueFd& fd : *fds) event.tap.emplace_back(std::move(fd));
  return event;
}

}  // namespace program
