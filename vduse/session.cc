// SPDX-License-Identifier: Apache-2.0
#include "vduse/session.h"

#include <optional>

#include "base/log.h"
#include "base/status_text.h"

namespace vduse {
namespace {

using base::LogLimited;
using base::Severity;

// The driver can repeat a mistake in a loop, so its lines are limited.
thread_local base::LogLimiter refusal_log(10);

// A change that the kernel does not keep if its requester misses the answer.
using Undo = std::optional<RawGroupAsid>;

vduse_dev_response Answer(const vduse_dev_request& request,
                          RequestHandler& handler, Undo& undo) {
  vduse_dev_response response = {};
  response.request_id = request.request_id;
  response.result = VDUSE_REQ_RESULT_OK;
  switch (request.type) {
    case VDUSE_SET_STATUS: {
      const absl::Status status = handler.OnStatus(request.s.status);
      if (!status.ok()) {
        LogLimited(refusal_log, Severity::kError,
                   "device status {:#x} refused: {}", request.s.status,
                   base::Text(status));
        response.result = VDUSE_REQ_RESULT_FAILED;
      }
      break;
    }
    case VDUSE_UPDATE_IOTLB: {
      const auto range = PayloadOf<RawIovaRange>(request);
      handler.OnIotlbUpdate(range.asid, range.start, range.last);
      break;
    }
    case VDUSE_GET_VQ_STATE: {
      const absl::StatusOr<QueuePosition> position =
          handler.OnQueueState(request.vq_state.index);
      response.vq_state.index = request.vq_state.index;
      if (position.ok()) {
        response.vq_state.split.avail_index = position->avail_index;
      } else {
        response.result = VDUSE_REQ_RESULT_FAILED;
      }
      break;
    }
    case kRequestSetGroupAsid: {
      const auto change = PayloadOf<RawGroupAsid>(request);
      const absl::StatusOr<uint32_t> before =
          handler.OnGroupAsid(change.group, change.asid);
      if (before.ok()) {
        undo = {.group = change.group, .asid = *before};
      } else {
        LogLimited(refusal_log, Severity::kError, "{}",
                   base::Text(before.status()));
        response.result = VDUSE_REQ_RESULT_FAILED;
      }
      break;
    }
    case kRequestSetQueueReady: {
      const auto queue = PayloadOf<RawQueueReady>(request);
      handler.OnQueueReady(queue.index, queue.ready != 0);
      break;
    }
    case kRequestSuspend:
      handler.OnSuspend();
      break;
    default:
      LogLimited(refusal_log, Severity::kWarning,
                 "unknown request type {} from the kernel", request.type);
      response.result = VDUSE_REQ_RESULT_FAILED;
  }
  return response;
}

}  // namespace

absl::Status ServeRequests(Device& device, RequestHandler& handler) {
  for (;;) {
    absl::StatusOr<std::optional<vduse_dev_request>> request =
        device.ReadRequest();
    if (!request.ok()) return request.status();
    if (!request->has_value()) return absl::OkStatus();
    Undo undo;
    const vduse_dev_response response = Answer(**request, handler, undo);
    absl::Status sent = device.Reply(response);
    if (sent.ok()) continue;
    if (!absl::IsNotFound(sent)) return sent;
    // The process that caused the request was killed. The kernel keeps the
    // previous status, except that a reset takes effect all the same.
    if ((*request)->type == VDUSE_SET_STATUS && (*request)->s.status != 0 &&
        response.result == VDUSE_REQ_RESULT_OK) {
      handler.OnStatusLost((*request)->s.status);
    }
    if (undo) {
      const auto undone = handler.OnGroupAsid(undo->group, undo->asid);
      if (!undone.ok()) return undone.status();
    }
  }
}

}  // namespace vduse
