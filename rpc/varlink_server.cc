// SPDX-License-Identifier: Apache-2.0
#include "rpc/varlink_server.h"

#include <errno.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/eventfd.h"
#include "base/json_text.h"
#include "base/unix_socket.h"
#include "rpc/varlink_message.h"

namespace rpc {
namespace {

using nlohmann::json;

// Connections per Serve(), with one call each. The thread that serves must not
// delay a driver that spins for its control queue.
constexpr int kBudget = 4;

// How long accepting pauses when the process has run out of descriptors.
constexpr long kPauseNsecs = 100'000'000;

// Marks the event at the end of that pause.
void* PauseTag() {
  static char tag;
  return &tag;
}

constexpr char kServiceDescription[] = R"(# What every varlink service has.
interface org.varlink.service

method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
error PermissionDenied ()
error ExpectedMore ()
)";

VarlinkReply ServiceError(std::string_view name, json parameters) {
  return {.error = fmt::format("{}.{}", kVarlinkService, name),
          .parameters = std::move(parameters)};
}

}  // namespace

VarlinkReply VarlinkReply::InvalidParameter(std::string_view name) {
  return ServiceError("InvalidParameter", {{"parameter", name}});
}

VarlinkServer::VarlinkServer(base::UniqueFd listener, base::UniqueFd epoll,
                             base::UniqueFd pause_end,
                             VarlinkInterface interface, uid_t user)
    : listener_(std::move(listener)),
      epoll_(std::move(epoll)),
      pause_end_(std::move(pause_end)),
      interface_(std::move(interface)),
      user_(user) {}

absl::StatusOr<base::UniqueFd> VarlinkServer::Listen(const std::string& path) {
  return base::ListenAt(path, SOCK_STREAM, kMaxConnections);
}

absl::StatusOr<VarlinkServer> VarlinkServer::Create(base::UniqueFd listener,
                                                    VarlinkInterface interface,
                                                    uid_t user) {
  base::UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  base::UniqueFd pause_end(
      timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  epoll_event event = {.events = EPOLLIN, .data = {.ptr = nullptr}};
  epoll_event pause_event = {.events = EPOLLIN, .data = {.ptr = PauseTag()}};
  if (!epoll || !pause_end ||
      epoll_ctl(epoll.get(), EPOLL_CTL_ADD, listener.get(), &event) != 0 ||
      epoll_ctl(epoll.get(), EPOLL_CTL_ADD, pause_end.get(), &pause_event) !=
          0) {
    return absl::ErrnoToStatus(errno, "epoll and timer of a socket");
  }
  return VarlinkServer(std::move(listener), std::move(epoll),
                       std::move(pause_end), std::move(interface), user);
}

void VarlinkServer::Accept() {
  for (int i = 0; i < kBudget; ++i) {
    base::UniqueFd fd(accept4(listener_.get(), nullptr, nullptr,
                              SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      // A connection that cannot be accepted would wake this thread over and
      // over.
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
          errno == ENOMEM) {
        PauseListening();
      }
      return;
    }
    if (connections_.size() == kMaxConnections) Drop(connections_.begin());
    Connection& connection = connections_.emplace_back();
    connection.allowed = base::PeerIs(fd.get(), user_);
    epoll_event event = {.events = EPOLLIN, .data = {.ptr = &connection}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) {
      connections_.pop_back();
      continue;
    }
    connection.fd = std::move(fd);
  }
}

void VarlinkServer::PauseListening() {
  const itimerspec length = {.it_interval = {},
                             .it_value = {.tv_sec = 0, .tv_nsec = kPauseNsecs}};
  if (timerfd_settime(pause_end_.get(), 0, &length, nullptr) != 0) return;
  epoll_event none = {.events = 0, .data = {.ptr = nullptr}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), &none);
}

void VarlinkServer::ListenAgain() {
  base::ClearEventfd(pause_end_.get());  // reads a timer like an eventfd
  epoll_event event = {.events = EPOLLIN, .data = {.ptr = nullptr}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), &event);
}

void VarlinkServer::Serve() {
  std::array<epoll_event, kBudget> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kBudget, 0);
  bool accept = false;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    if (event.data.ptr == nullptr) {
      accept = true;
      continue;
    }
    if (event.data.ptr == PauseTag()) {
      ListenAgain();
      continue;
    }
    const auto at =
        std::find_if(connections_.begin(), connections_.end(),
                     [&](const Connection& c) { return &c == event.data.ptr; });
    if (at == connections_.end()) continue;
    if (!Progress(*at)) {
      Drop(at);
      continue;
    }
    connections_.splice(connections_.end(), connections_, at);
    // A call that is already here is handled once its answer can be sent.
    const bool busy = !at->out.empty() || HasMessage(*at);
    epoll_event next = {.events = busy ? EPOLLOUT : EPOLLIN,
                        .data = {.ptr = &*at}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, at->fd.get(), &next);
  }
  // Accept last: it may close a connection for which there is an event.
  if (accept) Accept();
}

// Removes the descriptor from epoll first: a process that is being started may
// have a copy of it, so closing it would not end its events.
void VarlinkServer::Drop(Connections::iterator at) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, at->fd.get(), nullptr);
  connections_.erase(at);
}

// Answers one call, once the previous answer has been sent. False if the
// connection is over.
bool VarlinkServer::Progress(Connection& connection) {
  if (!Send(connection)) return false;
  if (connection.out.empty() && !HasMessage(connection) &&
      !Receive(connection)) {
    return false;
  }
  if (!connection.out.empty()) return true;
  const size_t end = connection.in.find('\0');
  if (end == std::string::npos) {
    return connection.in.size() <= kMaxMessageBytes;
  }
  const std::string message = connection.in.substr(0, end);
  connection.in.erase(0, end + 1);
  return Answer(connection, message) && Send(connection);
}

bool VarlinkServer::HasMessage(const Connection& connection) {
  return connection.in.find('\0') != std::string::npos;
}

bool VarlinkServer::Receive(Connection& connection) {
  std::array<char, kVarlinkReadBytes> buffer;
  const ssize_t n =
      recv(connection.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  connection.in.append(buffer.data(), static_cast<size_t>(n));
  return n > 0;
}

bool VarlinkServer::Send(Connection& connection) {
  if (connection.out.empty()) return true;
  const ssize_t n = send(connection.fd.get(), connection.out.data(),
                         connection.out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  connection.out.erase(0, static_cast<size_t>(n));
  return true;
}

// Answers one message. False if it is not a valid one.
bool VarlinkServer::Answer(Connection& connection, std::string_view message) {
  json call = base::ParseJson(message);
  if (!call.is_object()) return false;
  const std::string* method = TextMember(call, "method");
  if (method == nullptr) return false;
  json parameters = json::object();
  if (const auto given = call.find("parameters");
      given != call.end() && !given->is_null()) {
    if (!given->is_object()) return false;
    parameters = std::move(*given);
  }
  VarlinkReply reply = connection.allowed
                           ? Dispatch(*method, parameters)
                           : ServiceError("PermissionDenied", json::object());
  if (FlagMember(call, "oneway")) return true;
  json answer = {{"parameters", std::move(reply.parameters)}};
  if (!reply.error.empty()) answer["error"] = std::move(reply.error);
  connection.out += MessageText(answer);
  connection.out += '\0';
  return true;
}

VarlinkReply VarlinkServer::Dispatch(const std::string& method,
                                     const json& parameters) const {
  const size_t dot = method.rfind('.');
  const std::string interface = method.substr(0, dot);
  if (dot == std::string::npos ||
      (interface != kVarlinkService && interface != interface_.name)) {
    return ServiceError("InterfaceNotFound", {{"interface", interface}});
  }
  const std::string name = method.substr(dot + 1);
  if (interface == kVarlinkService) return ServiceMethod(name, parameters);
  const auto found = interface_.methods.find(name);
  if (found == interface_.methods.end()) {
    return ServiceError("MethodNotFound", {{"method", method}});
  }
  return found->second(parameters);
}

VarlinkReply VarlinkServer::ServiceMethod(std::string_view method,
                                          const json& parameters) const {
  if (method == "GetInfo") {
    return {.error = "",
            .parameters = {{"vendor", "vduse-net"},
                           {"product", "vduse-net"},
                           {"version", VDUSE_NET_VERSION},
                           {"url", ""},
                           {"interfaces", {kVarlinkService, interface_.name}}}};
  }
  if (method != "GetInterfaceDescription") {
    return ServiceError(
        "MethodNotFound",
        {{"method", fmt::format("{}.{}", kVarlinkService, method)}});
  }
  const std::string* interface = TextMember(parameters, "interface");
  if (interface == nullptr) return VarlinkReply::InvalidParameter("interface");
  if (*interface == kVarlinkService) {
    return {.error = "", .parameters = {{"description", kServiceDescription}}};
  }
  if (*interface == interface_.name) {
    return {.error = "",
            .parameters = {{"description", interface_.description}}};
  }
  return ServiceError("InterfaceNotFound", {{"interface", *interface}});
}

}  // namespace rpc
