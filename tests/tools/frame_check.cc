// SPDX-License-Identifier: Apache-2.0
//
// Sends Ethernet frames of random sizes from one interface and checks that
// they come out of another unchanged, each once and in order.
//   frame_check --from IF[@NETNS] --to IF[@NETNS] --count N [--seed S]
//               [--window W] [--min 60] [--max 1514] [--idle-ms M]
// With the same IF twice it is a loop: what leaves by it has to come back.
// One process holds both ends, so at most --window frames are under way: no
// queue in between can overflow. Every byte behind the addresses follows from
// the seed and the frame's number, and all of them are compared.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <string>

#include "tests/tools/flags.h"
#include "tests/tools/raw_socket.h"

namespace tools {
namespace {

constexpr size_t kHeaderBytes = ETH_HLEN + sizeof(uint64_t);
using Frame = std::array<uint8_t, 16384>;

int64_t NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

// SplitMix64.
uint64_t Mix(uint64_t x) {
  x += 0x9e37'79b9'7f4a'7c15;
  x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
  x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
  return x ^ (x >> 31);
}

class FrameSource {
 public:
  FrameSource(const RawSocket& from, const RawSocket& to, const Flags& flags)
      : from_(from.mac),
        to_(to.mac),
        seed_(flags.Number("--seed", 1)),
        min_(flags.Number("--min", 60)),
        max_(flags.Number("--max", 1514)) {
    if (min_ < kHeaderBytes || min_ > max_ || max_ > Frame().size() - 8) {
      Die("--min {} and --max {} must be {} <= min <= max <= {}", min_, max_,
          kHeaderBytes, Frame().size() - 8);
    }
  }

  // Writes frame number `seq` and returns its size.
  size_t Make(uint64_t seq, Frame& frame) const {
    uint64_t state = Mix(seed_ ^ Mix(seq));
    const size_t size = min_ + state % (max_ - min_ + 1);
    std::memcpy(frame.data(), to_.data(), ETH_ALEN);
    std::memcpy(frame.data() + ETH_ALEN, from_.data(), ETH_ALEN);
    const uint16_t type = htons(kEtherType);
    std::memcpy(frame.data() + 2 * ETH_ALEN, &type, sizeof(type));
    std::memcpy(frame.data() + ETH_HLEN, &seq, sizeof(seq));
    for (size_t i = kHeaderBytes; i < size; i += sizeof(state)) {
      state = Mix(state);
      std::memcpy(frame.data() + i, &state, sizeof(state));
    }
    return size;
  }

 private:
  std::array<uint8_t, ETH_ALEN> from_;
  std::array<uint8_t, ETH_ALEN> to_;
  uint64_t seed_;
  uint64_t min_;
  uint64_t max_;
};

struct Figures {
  uint64_t sent = 0;
  uint64_t good = 0;
  uint64_t out_of_order = 0;  // Also duplicates, and what follows a loss.
  uint64_t corrupt = 0;
  uint64_t bytes = 0;
};

// Takes what has arrived; `next` is the number that is due.
void Drain(const RawSocket& to, const FrameSource& source, Figures& figures,
           uint64_t& next) {
  static Frame got;
  static Frame expected;
  for (;;) {
    const ssize_t result = recv(to.fd, got.data(), got.size(), MSG_TRUNC);
    if (result < 0) {
      if (errno == EAGAIN || errno == EINTR || errno == ENETDOWN) return;
      DieErrno("recv");
    }
    const auto size = static_cast<size_t>(result);
    uint64_t seq = 0;
    if (size >= kHeaderBytes) {
      std::memcpy(&seq, got.data() + ETH_HLEN, sizeof(seq));
    }
    if (size < kHeaderBytes || seq >= figures.sent ||
        size != source.Make(seq, expected) ||
        std::memcmp(got.data(), expected.data(), size) != 0) {
      ++figures.corrupt;
    } else if (seq != next) {
      ++figures.out_of_order;
      next = std::max(next, seq + 1);
    } else {
      ++figures.good;
      ++next;
      figures.bytes += size;
    }
  }
}

int Main(int argc, char** argv) {
  const Flags flags(argc, argv, 1,
                    " --from --to --count --seed --window --min --max "
                    "--idle-ms ");
  const uint64_t count = flags.Number("--count");
  const uint64_t window = flags.Number("--window", 128);
  const auto idle_ms = static_cast<int64_t>(flags.Number("--idle-ms", 3000));
  const RawSocket from =
      RawSocket::Open(flags.String("--from"), RawSocket::Use::kSend);
  const RawSocket to =
      RawSocket::Open(flags.String("--to"), RawSocket::Use::kReceive);
  const FrameSource source(from, to, flags);

  Figures figures;
  Frame frame;
  uint64_t next = 0;
  const int64_t start = NowMs();
  int64_t progress = start;
  while (next < count) {
    bool busy = false;
    while (figures.sent < count && figures.sent - next < window) {
      const size_t size = source.Make(figures.sent, frame);
      if (send(from.fd, frame.data(), size, 0) < 0) {
        if (errno != EAGAIN && errno != ENOBUFS) DieErrno("send");
        busy = true;
        break;
      }
      ++figures.sent;
    }
    pollfd wait{.fd = to.fd, .events = POLLIN, .revents = 0};
    poll(&wait, 1, busy ? 1 : 100);
    const uint64_t before = next;
    Drain(to, source, figures, next);
    const int64_t now = NowMs();
    if (next != before) progress = now;
    if (now - progress > idle_ms) break;
  }
  // Anything that comes twice would come now.
  pollfd wait{.fd = to.fd, .events = POLLIN, .revents = 0};
  poll(&wait, 1, 50);
  Drain(to, source, figures, next);

  const int64_t elapsed = std::max<int64_t>(NowMs() - start, 1);
  fmt::print(
      "sent={} unchanged_in_order={} missing={} out_of_order={} corrupt={} "
      "bytes={} elapsed_ms={} rate_pps={}\n",
      figures.sent, figures.good,
      count - std::min(count, figures.good + figures.out_of_order),
      figures.out_of_order, figures.corrupt, figures.bytes, elapsed,
      figures.good * 1000 / static_cast<uint64_t>(elapsed));
  const bool perfect = figures.good == count && figures.out_of_order == 0 &&
                       figures.corrupt == 0;
  return perfect ? 0 : 1;
}

}  // namespace
}  // namespace tools

int main(int argc, char** argv) { return tools::Main(argc, argv); }
