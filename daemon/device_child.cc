// SPDX-License-Identifier: Apache-2.0
#include "daemon/device_child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/exit_codes.h"
#include "base/log.h"
#include "base/status_text.h"
#include "daemon/device_messages.h"
#include "daemon/device_operations.h"
#include "daemon/fd_message.h"
#include "daemon/hand_over.h"
#include "daemon/journal_memory.h"
#include "net/wire/features.h"
#include "rpc/device_service.h"
#include "rpc/varlink_server.h"
#include "vduse/kernel_device.h"
#include "vduse/sigbus_guard.h"

namespace program {
namespace {

using base::Log;
using base::Severity;

class DeviceChild {
 public:
  DeviceChild(const DeviceSetup& setup, base::UniqueFd socket,
              PulseBoard& pulses)
      : setup_(setup),
        socket_(std::move(socket)),
        pulses_(pulses),
        sandbox_(*setup.sandbox),
        saved_(setup.saved) {}

  [[noreturn]] void Run() {
    Prepare();
    for (;;) {
      if (serves_) ServeDevice();
      Wait();
    }
  }

 private:
  void Wait();
  void ServeDevice();
  void TakeOrder();
  void Serve(const DeviceOrder& order, base::UniqueFd device);
  void Prepare();
  absl::Status Build();
  absl::Status Begin(ServeMode mode);
  void ReportServing();
  void ListenToOperator();
  void UseTap(const DeviceOrder& order, std::vector<base::UniqueFd> fds);
  void ReportWants();
  bool Report(const DeviceReport& report, std::span<const int> fds = {});
  void OnBroken(const std::string& why);
  void OnOrphaned();
  void End();
  void LogSummary() const;
  void Keep(const TapRecord& tap);
  void Save() { setup_.state->Write(saved_); }

  const DeviceSetup& setup_;
  base::UniqueFd socket_;
  PulseBoard& pulses_;
  Sandbox sandbox_;
  state::SavedState saved_;
  std::unique_ptr<vduse::KernelDevice> device_;
  std::unique_ptr<net::NetDevice> net_;
  std::optional<rpc::VarlinkServer> operator_socket_;
  bool serves_ = false;  // the device; before, this is the standby
  bool broken_ = false;
  bool upgraded_ = false;  // the supervisor ends for another one
  bool caretaker_ = false;
  bool had_driver_ = false;               // the caretaker
  std::optional<DeviceReport> reported_;  // what the TAP has to be set to
  Estate estate_;                         // copies, for a new supervisor
  std::optional<HandOver> hand_over_;     // while there is no supervisor
};

// The process's only wait.
void DeviceChild::Wait() {
  enum Source { kOrders, kDevice, kCtrlKick, kAttention, kOperator, kHandOver };
  const bool serves = serves_ && !broken_;
  const auto if_serves = [&](auto fd) { return serves ? fd() : -1; };
  std::array<pollfd, 6> fds = {
      pollfd{socket_.get(), POLLIN, 0},
      pollfd{if_serves([&] { return device_->poll_fd(); }), POLLIN, 0},
      pollfd{if_serves([&] { return net_->ctrl_kick_fd(); }), POLLIN, 0},
      pollfd{if_serves([&] { return net_->attention_fd(); }), POLLIN, 0},
      pollfd{serves_ && operator_socket_ ? operator_socket_->fd() : -1, POLLIN,
             0},
      pollfd{hand_over_ ? hand_over_->fd() : -1, POLLIN, 0}};
  const std::optional<net::Instant> deadline =
      serves ? net_->deadline() : std::nullopt;
  timespec timeout = {};
  if (deadline) {
    const net::Duration rest =
        std::max(*deadline - net::Now(), net::Duration::zero());
    timeout.tv_sec = rest.count() / 1'000'000'000;
    timeout.tv_nsec = rest.count() % 1'000'000'000;
  }
  pulses_.control().BeginWait(deadline, false);
  const int ready =
      ppoll(fds.data(), fds.size(), deadline ? &timeout : nullptr, nullptr);
  pulses_.control().BeginWork();
  if (ready < 0) return;  // EINTR; any other error would be a bug here
  if ((fds[kDevice].revents & (POLLERR | POLLNVAL)) != 0) {
    OnBroken("the kernel has marked the device broken");
  }
  if (fds[kOperator].revents != 0) operator_socket_->Serve();
  if (fds[kOrders].revents != 0) TakeOrder();
  if (fds[kHandOver].revents != 0 && hand_over_->Serve(estate_)) End();
}

// Does what is due by now.
void DeviceChild::ServeDevice() {
  if (broken_) return;
  const absl::Status served = net_->Serve(net::Now());
  if (!served.ok()) {
    OnBroken(base::Text(served));
    return;
  }
  ReportWants();
  if (!caretaker_) return;
  if (had_driver_ && !net_->has_driver()) {
    Report({.kind = DeviceReport::Kind::kNoDriver});
  }
  had_driver_ = net_->has_driver();
}

void DeviceChild::OnBroken(const std::string& why) {
  Log(Severity::kError, "{}", why);
  broken_ = true;
  Report({.kind = DeviceReport::Kind::kBroken});
}

bool DeviceChild::Report(const DeviceReport& report, std::span<const int> fds) {
  return SendMessage(socket_.get(), std::as_bytes(std::span(&report, 1)), fds,
                     IfFull::kFail);
}

// The supervisor has the TAP set; until then, packets that the driver does not
// accept are dropped.
void DeviceChild::ReportWants() {
  const DeviceReport wants = {.kind = DeviceReport::Kind::kWants,
                              .active_pairs = net_->active_pairs(),
                              .offloads = net_->port_offloads()};
  if (!socket_) return;  // nobody sets the TAP
  if (reported_ && reported_->active_pairs == wants.active_pairs &&
      reported_->offloads == wants.offloads) {
    return;
  }
  if (Report(wants)) reported_ = wants;
}

void DeviceChild::TakeOrder() {
  DeviceOrder order;
  absl::StatusOr<std::vector<base::UniqueFd>> fds = ReceiveMessage(
      socket_.get(), std::as_writable_bytes(std::span(&order, 1)),
      IfEmpty::kFail);
  if (absl::IsNotFound(fds.status())) return;
  if (absl::IsUnavailable(fds.status())) {
    OnOrphaned();
    return;
  }
  if (!fds.ok()) {
    Log(Severity::kError, "{}", base::Text(fds.status()));
    fds = std::vector<base::UniqueFd>();
  }
  if (order.kind == DeviceOrder::Kind::kServe) {
    if (!fds->empty()) Serve(order, std::move(fds->front()));
    return;
  }
  if (!serves_) return;
  Keep(order.tap);
  switch (order.kind) {
    case DeviceOrder::Kind::kServe:
      return;
    case DeviceOrder::Kind::kTap:
      UseTap(order, std::move(*fds));
      return;
    case DeviceOrder::Kind::kLink:
      estate_.tap.link_up = order.link_up != 0;
      if (!caretaker_) net_->SetLink(order.link_up != 0);
      return;
    case DeviceOrder::Kind::kReport:
      LogSummary();
      return;
    case DeviceOrder::Kind::kNewSupervisor:
      upgraded_ = true;
      return;
    case DeviceOrder::Kind::kEnd:
      LogSummary();
      End();
      return;
  }
}

// Ends between two packets.
void DeviceChild::End() {
  // The workers close their io_uring instances. At the end of a process the
  // kernel would do that some time later, and hold the TAP until then.
  net_.reset();
  _exit(base::kExitOk);
}

// The supervisor has ended.
void DeviceChild::OnOrphaned() {
  if (!serves_ || setup_.hand_over_listener < 0) _exit(base::kExitFailure);
  socket_.Reset();
  if (sandbox_.board() != nullptr) sandbox_.board()->RemoveOthers();
  hand_over_.emplace(base::UniqueFd(setup_.hand_over_listener),
                     setup_.operator_user);
  if (std::exchange(upgraded_, false)) return;
  Log(Severity::kError,
      "the supervisor has ended; process {} goes on serving the device, and "
      "nobody watches it: start `vduse-net run` again with the same options",
      getpid());
}

void DeviceChild::LogSummary() const {
  for (const auto& line : net_->Summary()) Log(Severity::kInfo, "{}", line);
}

void DeviceChild::Keep(const TapRecord& tap) {
  if (saved_.tap_index == tap.index && saved_.tap_namespace == tap.name_space &&
      saved_.tap_created == (tap.created != 0)) {
    return;
  }
  saved_.tap_index = tap.index;
  saved_.tap_namespace = tap.name_space;
  saved_.tap_created = tap.created != 0;
  Save();
}

// Does all that can be done without the device, so that a standby takes over in
// a short time; and gives up the rights that this took.
void DeviceChild::Prepare() {
  if (const absl::Status in = sandbox_.Enter(); !in.ok()) {
    _exit(base::Fail(base::kExitHost, in));
  }
  if (const absl::Status built = Build(); !built.ok()) {
    _exit(base::Fail(base::kExitFailure, built));
  }
  ListenToOperator();
  if (const absl::Status sealed = sandbox_.Seal(); !sealed.ok()) {
    _exit(base::Fail(base::kExitHost, sealed));
  }
}

// Starts the workers.
absl::Status DeviceChild::Build() {
  net::NetDevice::Options options = setup_.options;
  if (setup_.journal >= 0) {
    estate_.journal = base::UniqueFd(setup_.journal);
    const absl::StatusOr<std::span<uint8_t>> journal = MapJournal(
        setup_.journal, net::NetDevice::JournalBytes(options.queue_pairs));
    if (!journal.ok()) return journal.status();
    options.journal = *journal;
  }
  options.pulses = pulses_.workers();
  options.persist = [this](const net::DeviceState& state) {
    saved_.device = state;
    Save();
  };
  const bool control = net::Has(options.features, net::kFeatureCtrlVq);
  device_ = vduse::KernelDevice::Unopened(2 * options.queue_pairs +
                                          (control ? 1 : 0));
  auto net = net::NetDevice::Create(*device_, std::move(options));
  if (!net.ok()) return net.status();
  net_ = std::move(*net);
  return absl::OkStatus();
}

void DeviceChild::Serve(const DeviceOrder& order, base::UniqueFd device) {
  prctl(PR_SET_NAME, "vduse-net-dev");
  if (const absl::Status taken = device_->Take(std::move(device));
      !taken.ok()) {
    _exit(base::Fail(base::kExitFailure, taken));
  }
  serves_ = true;
  sandbox_.ShowAs(SandboxBoard::Place::kDevice);
  caretaker_ = order.mode == ServeMode::kCaretaker;
  if (caretaker_) net_->BecomeCaretaker();
  if (const absl::Status begun = Begin(order.mode); !begun.ok()) {
    _exit(base::Fail(base::kExitFailure, begun));
  }
  Keep(order.tap);
  const absl::Status served = net_->Serve(net::Now());
  ReportServing();
  if (!served.ok()) OnBroken(base::Text(served));
  if (order.mode == ServeMode::kNew) {
    Log(Severity::kInfo, "{}", Describe(sandbox_.report()));
  }
}

// Takes up what is known of the device and its driver.
absl::Status DeviceChild::Begin(ServeMode mode) {
  std::optional<state::SavedState> state;
  if (mode != ServeMode::kNew) state = setup_.state->Read();
  if (state) {
    saved_.operator_rx = state->operator_rx;
    saved_.operator_tx = state->operator_tx;
    saved_.device = state->device;
  }
  // A setting that the operator made at run time is newer than the command
  // line.
  if (saved_.operator_rx) {
    net_->SetOperatorCoalescing(coalesce::Direction::kRx, *saved_.operator_rx);
  }
  if (saved_.operator_tx) {
    net_->SetOperatorCoalescing(coalesce::Direction::kTx, *saved_.operator_tx);
  }
  if (mode != ServeMode::kNew) {
    net_->Resume(state ? std::optional(state->device) : std::nullopt);
    if (caretaker_) net_->SetLink(false);
    had_driver_ = net_->has_driver();
    return absl::OkStatus();
  }
  if (!setup_.restored) return absl::OkStatus();
  absl::Status fits = net_->Restore(*setup_.restored);
  if (fits.ok()) return fits;
  return absl::InvalidArgumentError(
      fmt::format("--restore {}: {}", setup_.restored_from, base::Text(fits)));
}

void DeviceChild::ReportServing() {
  std::vector<int> kicks = {net_->ctrl_kick_fd()};
  for (uint32_t queue = 0; queue < 2 * setup_.options.queue_pairs; ++queue) {
    kicks.push_back(net_->kick_fd(queue));
  }
  Report({.kind = DeviceReport::Kind::kServing}, kicks);
}

void DeviceChild::UseTap(const DeviceOrder& order,
                         std::vector<base::UniqueFd> fds) {
  base::UniqueFd drops;
  if (order.has_drops_file != 0 && !fds.empty()) {
    drops = std::move(fds.back());
    fds.pop_back();
  }
  HeldTap& held = estate_.tap = {};
  std::vector<net::Tap> queues;
  for (base::UniqueFd& fd : fds) {
    held.queues.emplace_back(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    queues.emplace_back(std::move(fd));
  }
  if (drops) {
    held.drops = base::UniqueFd(fcntl(drops.get(), F_DUPFD_CLOEXEC, 0));
  }
  held.link_up = order.link_up != 0;
  if (caretaker_) return;  // it only keeps the TAP
  const absl::Status set = net_->SetTap(std::move(queues), std::move(drops));
  if (!set.ok()) Log(Severity::kError, "{}", base::Text(set));
  net_->SetLink(order.link_up != 0);
}

// The device also works without the operator's socket.
void DeviceChild::ListenToOperator() {
  if (setup_.operator_listener < 0) return;
  absl::StatusOr<rpc::VarlinkServer> server = rpc::VarlinkServer::Create(
      base::UniqueFd(setup_.operator_listener),
      rpc::DeviceService(OperationsOf(
          setup_.name, *net_, saved_, [this] { Save(); }, sandbox_.board())),
      setup_.operator_user);
  if (server.ok()) {
    operator_socket_.emplace(std::move(*server));
  } else {
    Log(Severity::kWarning,
        "no operator's socket: `coalesce`, `tune` and `state` will not reach "
        "this process: {}",
        base::Text(server.status()));
  }
}

}  // namespace

void RunDeviceChild(const DeviceSetup& setup, base::UniqueFd socket,
                    PulseBoard& pulses) {
  pulses.control().SetThread(gettid());
  vduse::SigbusGuard::Install();
  DeviceChild(setup, std::move(socket), pulses).Run();
}

}  // namespace program
