// SPDX-License-Identifier: Apache-2.0
#include "daemon/hand_over.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <span>

#include "base/unix_socket.h"
#include "daemon/fd_message.h"

namespace program {
namespace {

using std::chrono::milliseconds;

// The first member of both messages in every release. The descriptors of an
// offer: the queues, the file of drops, the journal.
constexpr uint32_t kVersion = 1;

struct OfferMessage {
  uint32_t version = kVersion;
  uint32_t queues = 0;
  uint32_t has_drops = 0;
  uint32_t has_journal = 0;
  uint32_t link_up = 0;

  size_t descriptors() const {
    return queues + (has_drops != 0 ? 1U : 0U) + (has_journal != 0 ? 1U : 0U);
  }
};

struct Acceptance {
  uint32_t version = kVersion;
};

constexpr milliseconds kOfferPatience(1000);
constexpr milliseconds kHandOverPatience(2000);

bool ReadableWithin(int fd, milliseconds length) {
  pollfd ready = {.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&ready, 1, static_cast<int>(length.count())) > 0;
}

}  // namespace

std::string HandOverSocket(const std::string& state_dir,
                           const std::string& name) {
  return fmt::format("{}/{}.hand", state_dir, name);
}

absl::StatusOr<Estate> TakeOver(const std::string& path,
                                const std::function<absl::Status()>& kill) {
  const absl::StatusOr<base::UniqueFd> peer =
      base::ConnectTo(path, SOCK_SEQPACKET);
  if (!peer.ok()) return peer.status();
  if (!ReadableWithin(peer->get(), kOfferPatience)) {
    if (absl::Status killed = kill(); !killed.ok()) return killed;
    return Estate();
  }
  OfferMessage offer;
  absl::StatusOr<std::vector<base::UniqueFd>> fds =
      ReceiveMessage(peer->get(), std::as_writable_bytes(std::span(&offer, 1)),
                     IfEmpty::kFail);
  if (!fds.ok()) return fds.status();
  if (offer.version != kVersion || fds->size() != offer.descriptors()) {
    return absl::FailedPreconditionError(
        "the process that serves the device is of another release");
  }
  Estate estate;
  const auto take_last = [&](uint32_t present, base::UniqueFd& to) {
    if (present == 0) return;
    to = std::move(fds->back());
    fds->pop_back();
  };
  take_last(offer.has_journal, estate.journal);
  take_last(offer.has_drops, estate.tap.drops);
  estate.tap.queues = std::move(*fds);
  estate.tap.link_up = offer.link_up != 0;
  const Acceptance acceptance;
  SendMessage(peer->get(), std::as_bytes(std::span(&acceptance, 1)), {},
              IfFull::kFail);
  // Its end closes the connection.
  if (!ReadableWithin(peer->get(), kHandOverPatience)) {
    if (absl::Status killed = kill(); !killed.ok()) return killed;
  }
  return estate;
}

bool HandOver::Offer(const Estate& estate) const {
  std::vector<int> fds;
  for (const base::UniqueFd& queue : estate.tap.queues) {
    fds.push_back(queue.get());
  }
  for (const base::UniqueFd* other : {&estate.tap.drops, &estate.journal}) {
    if (*other) fds.push_back(other->get());
  }
  const OfferMessage offer = {
      .queues = static_cast<uint32_t>(estate.tap.queues.size()),
      .has_drops = estate.tap.drops ? 1U : 0U,
      .has_journal = estate.journal ? 1U : 0U,
      .link_up = estate.tap.link_up ? 1U : 0U};
  return SendMessage(peer_.get(), std::as_bytes(std::span(&offer, 1)), fds,
                     IfFull::kFail);
}

bool HandOver::Serve(const Estate& estate) {
  if (!peer_) {
    peer_ = base::UniqueFd(accept4(listener_.get(), nullptr, nullptr,
                                   SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (peer_ && !(base::PeerIs(peer_.get(), owner_) && Offer(estate))) {
      peer_.Reset();
    }
    return false;
  }
  Acceptance acceptance;
  const auto received = ReceiveMessage(
      peer_.get(), std::as_writable_bytes(std::span(&acceptance, 1)),
      IfEmpty::kFail);
  if (absl::IsNotFound(received.status())) return false;
  if (received.ok() && acceptance.version == kVersion) return true;
  peer_.Reset();
  return false;
}

}  // namespace program
