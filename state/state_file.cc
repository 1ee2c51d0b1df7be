// SPDX-License-Identifier: Apache-2.0
#include "state/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <thread>
#include <utility>

#include "base/parse_number.h"

namespace state {
namespace {

// A killed process may still hold the lock.
constexpr std::chrono::milliseconds kLockPause(10);
constexpr int kLockTries = 200;

// No state is larger.
constexpr size_t kMaxBytes = 1 << 16;

constexpr int kOpenFlags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;

absl::Status Failed(int error, const std::string& what) {
  return absl::ErrnoToStatus(error, what);
}

std::string ReadAll(int fd) {
  std::string bytes(kMaxBytes, 0);
  size_t size = 0;
  for (;;) {
    const ssize_t n = pread(fd, bytes.data() + size, bytes.size() - size,
                            static_cast<off_t>(size));
    if (n <= 0) break;
    size += static_cast<size_t>(n);
  }
  bytes.resize(size);
  return bytes;
}

std::string ReadAll(const std::string& path) {
  const base::UniqueFd fd(
      open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  return fd ? ReadAll(fd.get()) : "";
}

bool IsFile(int fd, const std::string& path) {
  struct stat open_one = {};
  struct stat named = {};
  return fstat(fd, &open_one) == 0 && lstat(path.c_str(), &named) == 0 &&
         open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev;
}

// Allocates the whole file, so that no write to its mapping can lack space.
absl::Status TakeSpace(int fd, const std::string& path) {
  const int error = posix_fallocate(fd, 0, static_cast<off_t>(StateBytes()));
  if (error == 0) return absl::OkStatus();
  if (error != ENOSPC && error != EDQUOT) {
    return Failed(error, "posix_fallocate of " + path);
  }
  return absl::ResourceExhaustedError(
      fmt::format("no space for the {} bytes of {}: make room there, or choose "
                  "another --state-dir",
                  StateBytes(), path));
}

absl::Status CheckLayout(const std::string& path, const std::string& bytes) {
  const std::optional<int> layout = LayoutOf(bytes);
  if (!layout || *layout <= kStateLayout || DecodeState(bytes)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      fmt::format("{} was written by a newer release (layout {}; this release "
                  "reads up to {}): run that release, or end the device with "
                  "it first",
                  path, *layout, kStateLayout));
}

}  // namespace

absl::Status StateFile::CheckReadable(const std::string& dir,
                                      const std::string& name) {
  const StateFile file(dir, name);
  return CheckLayout(file.path_, ReadAll(file.path_));
}

std::optional<SavedState> StateFile::Peek(const std::string& dir,
                                          const std::string& name) {
  return StateFile(dir, name).Read();
}

std::optional<pid_t> StateFile::Owner(const std::string& dir,
                                      const std::string& name) {
  const StateFile file(dir, name);
  const base::UniqueFd fd(
      open(file.lock_path_.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd || flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return std::nullopt;
  return base::ParseNumber<pid_t>(ReadAll(fd.get()));
}

StateFile::StateFile(StateFile&& other) noexcept
    : path_(std::move(other.path_)),
      new_path_(std::move(other.new_path_)),
      lock_path_(std::move(other.lock_path_)),
      lock_(std::move(other.lock_)),
      map_(std::exchange(other.map_, nullptr)),
      renamed_(other.renamed_),
      kept_(other.kept_) {}

// A failed start leaves no files.
StateFile::~StateFile() {
  if (map_ != nullptr) munmap(map_, StateBytes());
  if (!lock_) return;
  if (!renamed_) unlink(new_path_.c_str());
  if (access(path_.c_str(), F_OK) != 0) unlink(lock_path_.c_str());
}

absl::StatusOr<StateFile> StateFile::Open(const std::string& dir,
                                          const std::string& name,
                                          IfFull if_full) {
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return Failed(errno,
                  fmt::format("mkdir {} (choose another --state-dir)", dir));
  }
  StateFile file(dir, name);
  if (absl::Status locked = file.Lock(name); !locked.ok()) return locked;
  absl::Status loaded = file.Load();
  if (absl::IsResourceExhausted(loaded) && if_full == IfFull::kGoOn) {
    file.MapMemory();
    loaded = absl::OkStatus();
  }
  if (!loaded.ok()) return loaded;
  return file;
}

absl::Status StateFile::Lock(const std::string& name) {
  std::string owner;
  for (int i = 0; i < kLockTries; ++i) {
    if (i > 0) std::this_thread::sleep_for(kLockPause);
    base::UniqueFd fd(open(lock_path_.c_str(), kOpenFlags | O_CREAT, 0600));
    if (!fd) return Failed(errno, "open " + lock_path_);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return Failed(errno, "flock " + lock_path_);
      owner = ReadAll(fd.get());
      continue;
    }
    // The previous owner may have removed the file.
    if (!IsFile(fd.get(), lock_path_)) continue;
    lock_ = std::move(fd);
    // Tells other processes who has the lock. A failed write is harmless.
    std::array<char, 16> text{};
    const int length = std::snprintf(text.data(), text.size(), "%d", getpid());
    [[maybe_unused]] const int cut = ftruncate(lock_.get(), 0);
    [[maybe_unused]] const ssize_t n =
        pwrite(lock_.get(), text.data(), static_cast<size_t>(length), 0);
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(fmt::format(
      "another process{} serves the device '{}': end that one, or choose "
      "another --name",
      owner.empty() ? "" : fmt::format(", {},", owner), name));
}

// Maps the existing file, or a new one.
absl::Status StateFile::Load() {
  const base::UniqueFd fd(open(path_.c_str(), kOpenFlags | O_NONBLOCK));
  if (!fd && errno != ENOENT) return Failed(errno, "open " + path_);
  if (!fd) return MapNew();
  const std::string old = ReadAll(fd.get());
  if (absl::Status known = CheckLayout(path_, old); !known.ok()) return known;
  const std::optional<int> layout = LayoutOf(old);
  // A file of an older layout is not replaced until this process has the
  // device.
  if (layout != kStateLayout || old.size() != StateBytes()) return MapNew();
  if (absl::Status space = TakeSpace(fd.get(), path_); !space.ok()) {
    return space;
  }
  renamed_ = true;
  return Map(fd.get());
}

absl::Status StateFile::MapNew() {
  const base::UniqueFd fd(
      open(new_path_.c_str(), kOpenFlags | O_CREAT | O_TRUNC, 0600));
  if (!fd) return Failed(errno, "open " + new_path_);
  absl::Status status = TakeSpace(fd.get(), new_path_);
  if (status.ok()) status = Map(fd.get());
  return status;
}

absl::Status StateFile::Map(int fd) {
  void* map =
      mmap(nullptr, StateBytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return Failed(errno, "mmap of " + path_);
  map_ = static_cast<char*>(map);
  return absl::OkStatus();
}

void StateFile::MapMemory() {
  unlink(new_path_.c_str());
  void* map = mmap(nullptr, StateBytes(), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (map != MAP_FAILED) map_ = static_cast<char*>(map);
  kept_ = false;
}

std::optional<SavedState> StateFile::Read() const {
  if (map_ != nullptr) {
    if (auto state = DecodeState(bytes())) return state;
  }
  // A file of an older layout, or one that could not be mapped for lack of
  // space.
  return renamed_ ? std::nullopt : DecodeState(ReadAll(path_));
}

void StateFile::Write(const SavedState& state) {
  if (map_ == nullptr) return;
  EncodeState(state, bytes());
  std::atomic_signal_fence(std::memory_order_seq_cst);
  Appear();
}

void StateFile::Appear() {
  if (kept_ && !renamed_ && rename(new_path_.c_str(), path_.c_str()) == 0) {
    renamed_ = true;
  }
}

void StateFile::Remove() {
  if (!renamed_) unlink(new_path_.c_str());
  unlink(path_.c_str());
  renamed_ = true;
  unlink(lock_path_.c_str());
  lock_ = base::UniqueFd();
}

}  // namespace state
