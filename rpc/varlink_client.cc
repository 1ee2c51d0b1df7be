// SPDX-License-Identifier: Apache-2.0
#include "rpc/varlink_client.h"

#include <errno.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <utility>

#include "base/json_text.h"
#include "base/unix_socket.h"
#include "rpc/varlink_message.h"

namespace rpc {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Far more than the report of the largest device takes.
constexpr size_t kMaxAnswerBytes = size_t{64} << 20;

absl::Status StatusOf(const std::string& error, const json& parameters) {
  if (error == fmt::format("{}.PermissionDenied", kVarlinkService)) {
    return absl::PermissionDeniedError(
        "only root and the user who started the process are answered");
  }
  const std::string* reason = TextMember(parameters, "reason");
  return absl::FailedPreconditionError(
      reason != nullptr ? *reason
                        : fmt::format("{} {}", error, MessageText(parameters)));
}

// Waits until `fd` is ready for `events`. False if the deadline has passed.
bool WaitFor(int fd, int16_t events, steady_clock::time_point deadline) {
  const auto rest =
      std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
  pollfd wait = {.fd = fd, .events = events, .revents = 0};
  return rest.count() > 0 &&
         poll(&wait, 1, static_cast<int>(rest.count())) != 0;
}

// Sends `out` and returns the answer, without the NUL byte that ends it.
absl::StatusOr<std::string> Exchange(const std::string& path, int fd,
                                     std::string out, int timeout_ms) {
  const auto deadline = steady_clock::now() + milliseconds(timeout_ms);
  std::string in;
  while (WaitFor(fd, out.empty() ? POLLIN : POLLOUT, deadline)) {
    if (!out.empty()) {
      const ssize_t n = send(fd, out.data(), out.size(), MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN && errno != EINTR) {
        return absl::ErrnoToStatus(errno, "send to " + path);
      }
      if (n > 0) out.erase(0, static_cast<size_t>(n));
      continue;
    }
    std::array<char, kVarlinkReadBytes> buffer;
    const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) {
      return absl::UnavailableError(
          fmt::format("{} was closed without an answer", path));
    }
    in.append(buffer.data(), static_cast<size_t>(n));
    if (in.back() == '\0') {
      in.pop_back();
      return in;
    }
    if (in.size() > kMaxAnswerBytes) {
      return absl::InternalError(fmt::format(
          "the answer from {} has more than {} bytes", path, kMaxAnswerBytes));
    }
  }
  return absl::DeadlineExceededError(
      fmt::format("no answer from {} within {} ms", path, timeout_ms));
}

}  // namespace

absl::StatusOr<json> VarlinkCall(const std::string& path,
                                 std::string_view method,
                                 const json& parameters, int timeout_ms) {
  const absl::StatusOr<base::UniqueFd> fd = base::ConnectTo(path, SOCK_STREAM);
  if (!fd.ok()) return fd.status();
  std::string message =
      MessageText({{"method", method}, {"parameters", parameters}});
  message += '\0';
  const absl::StatusOr<std::string> text =
      Exchange(path, fd->get(), std::move(message), timeout_ms);
  if (!text.ok()) return text.status();
  const json answer = base::ParseJson(*text);
  if (!answer.is_object()) {
    return absl::InternalError(
        fmt::format("the answer from {} is not a varlink message", path));
  }
  json result = answer.value("parameters", json::object());
  if (const std::string* error = TextMember(answer, "error")) {
    return StatusOf(*error, result);
  }
  return result;
}

}  // namespace rpc
