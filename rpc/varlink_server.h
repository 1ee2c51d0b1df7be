// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_RPC_VARLINK_SERVER_H_
#define VDUSE_NET_RPC_VARLINK_SERVER_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

// Varlink (https://varlink.org): JSON objects, each ended by a NUL byte, over a
// stream socket.
namespace rpc {

// A longer call ends the connection.
inline constexpr size_t kMaxMessageBytes = 256 * 1024;

// A method's answer: its parameters, or an error's qualified name and the
// error's parameters.
struct VarlinkReply {
  std::string error;  // empty if there is none
  nlohmann::json parameters = nlohmann::json::object();

  static VarlinkReply InvalidParameter(std::string_view name);
};

// An interface and the methods that it describes.
struct VarlinkInterface {
  using Method = std::function<VarlinkReply(const nlohmann::json& parameters)>;

  std::string name;         // "org.example.Thing"
  std::string description;  // in the interface definition language
  // By name without the interface.
  std::map<std::string, Method, std::less<>> methods;
};

// Serves one interface, and org.varlink.service, on a socket. Only root and one
// other user are answered; others get PermissionDenied.
//
// One thread. Never blocks: a client that does not read its answers gets no
// more answers.
class VarlinkServer {
 public:
  // With more connections, the one that has been silent longest is closed.
  static constexpr size_t kMaxConnections = 16;

  // Returns a socket that listens at `path`, a file that only its owner may
  // use. Replaces a socket that a killed process left; the caller ensures that
  // no living process uses it. The file stays until the caller removes it.
  static absl::StatusOr<base::UniqueFd> Listen(const std::string& path);

  // Serves on a socket from Listen(). Connections that were made before wait
  // there.
  static absl::StatusOr<VarlinkServer> Create(base::UniqueFd listener,
                                              VarlinkInterface interface,
                                              uid_t user);
  VarlinkServer(VarlinkServer&&) = default;
  VarlinkServer& operator=(VarlinkServer&&) = delete;
  ~VarlinkServer() = default;

  // Readable when there is something to do.
  int fd() const { return epoll_.get(); }

  // Does a bounded part of the work that is waiting.
  void Serve();

 private:
  struct Connection {
    base::UniqueFd fd;
    bool allowed = false;
    std::string in;
    std::string out;
  };
  using Connections = std::list<Connection>;  // longest silent first

  VarlinkServer(base::UniqueFd listener, base::UniqueFd epoll,
                base::UniqueFd pause_end, VarlinkInterface interface,
                uid_t user);
  void Accept();
  void PauseListening();
  void ListenAgain();
  void Drop(Connections::iterator at);
  [[nodiscard]] bool Progress(Connection& connection);
  static bool HasMessage(const Connection& connection);
  [[nodiscard]] static bool Receive(Connection& connection);
  [[nodiscard]] static bool Send(Connection& connection);
  [[nodiscard]] bool Answer(Connection& connection, std::string_view message);
  VarlinkReply Dispatch(const std::string& method,
                        const nlohmann::json& parameters) const;
  VarlinkReply ServiceMethod(std::string_view method,
                             const nlohmann::json& parameters) const;

  base::UniqueFd listener_;
  base::UniqueFd epoll_;
  base::UniqueFd pause_end_;  // a timer, while no connection can be accepted
  VarlinkInterface interface_;
  uid_t user_;
  Connections connections_;
};

}  // namespace rpc

#endif  // VDUSE_NET_RPC_VARLINK_SERVER_H_
