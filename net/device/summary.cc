// SPDX-License-Identifier: Apache-2.0
#include "net/device/summary.h"

#include <fmt/format.h>

namespace net {
namespace {

// One line for malformed chains, if there were any.
void AddChainErrors(const std::string& queue, const vduse::ChainErrors& errors,
                    std::vector<std::string>& lines) {
  std::string text;
  for (size_t i = 0; i < errors.size(); ++i) {
    if (errors[i] == 0) continue;
    text += fmt::format(
        " {} {}", ChainErrorName(static_cast<vduse::ChainError>(i)), errors[i]);
  }
  if (!text.empty()) lines.push_back(queue + " malformed chains:" + text);
}

// One line for the reasons why the driver was, or would have been, notified.
void AddFlushes(const std::string& queue, const NotifiedQueue::Counters& c,
                std::vector<std::string>& lines) {
  if (c.flushes == 0 && c.cancelled == 0) return;
  std::string text = queue + " flushes:";
  for (size_t i = 0; i < kFlushCauses; ++i) {
    if (c.causes[i] == 0) continue;
    text += fmt::format(" {} {}", FlushCauseName(static_cast<FlushCause>(i)),
                        c.causes[i]);
  }
  if (c.cancelled > 0) text += fmt::format(" cancelled {}", c.cancelled);
  lines.push_back(std::move(text));
}

}  // namespace

void Summarize(size_t pair, const QueuePairCounters& c,
               std::vector<std::string>& lines) {
  lines.push_back(fmt::format(
      "pair {} rx: packets {} bytes {} notifications {} (suppressed {}) "
      "kicks {} csum {} gso {} ecn {} filtered {} bad-chain {} bad-packet {} "
      "refused {} over-mtu {} too-large {} overruns {} stale {}",
      pair, c.rx.packets, c.rx.bytes, c.rx.queue.notifications,
      c.rx.queue.suppressed, c.rx.kicks, c.rx.csum, c.rx.gso, c.rx.ecn,
      c.rx.filtered, c.rx.bad_chain, c.rx.bad_packet, c.rx.refused,
      c.rx.over_mtu, c.rx.too_large, c.rx.overruns, c.rx.stale));
  AddFlushes(fmt::format("pair {} rx", pair), c.rx.queue, lines);
  AddChainErrors(fmt::format("pair {} rx", pair), c.rx.chain_errors, lines);
  lines.push_back(fmt::format(
      "pair {} tx: packets {} bytes {} notifications {} (suppressed {}) "
      "kicks {} csum {} gso {} ecn {} bad-chain {} bad-header {} bad-length {} "
      "port-drops {} refused {}",
      pair, c.tx.packets, c.tx.bytes, c.tx.queue.notifications,
      c.tx.queue.suppressed, c.tx.kicks, c.tx.csum, c.tx.gso, c.tx.ecn,
      c.tx.bad_chain, c.tx.bad_header, c.tx.bad_length, c.tx.port_drops,
      c.tx.port_refused));
  AddFlushes(fmt::format("pair {} tx", pair), c.tx.queue, lines);
  AddChainErrors(fmt::format("pair {} tx", pair), c.tx.chain_errors, lines);
}

void Summarize(std::string_view queue, const NotificationHistograms& histograms,
               std::vector<std::string>& lines) {
  std::string text;
  const auto add = [&](const char* name, const coalesce::Histogram& h) {
    if (h.count() == 0) return;
    text += fmt::format(" {} p50 {} p99 {} max {}", name, h.Quantile(0.5),
                        h.Quantile(0.99), h.max());
  };
  add("packets", histograms.packets);
  add("delay-ns", histograms.delay_ns);
  add("timer-late-ns", histograms.lateness_ns);
  if (!text.empty()) {
    lines.push_back(fmt::format("{} per notification:{}", queue, text));
  }
}

void Summarize(const CtrlQueue& ctrl, std::vector<std::string>& lines) {
  const CtrlQueue::Counters& c = ctrl.counters();
  lines.push_back(
      fmt::format("control: commands {} rejected {} unanswerable {}",
                  c.commands, c.rejected, c.unanswerable));
  AddChainErrors("control", ctrl.queue().ring().chain_errors(), lines);
}

}  // namespace net
