// SPDX-License-Identifier: Apache-2.0
#include "base/log_output.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "base/standard_fds.h"
#include "base/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace base {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

struct Ends {
  UniqueFd reader;
  UniqueFd writer;
};

Ends MakePipe() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const auto [reader, writer] = fds;
  fcntl(writer, F_SETPIPE_SZ, 4096);
  return {UniqueFd(reader), UniqueFd(writer)};
}

Ends MakeSockets() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const auto [reader, writer] = fds;
  return {UniqueFd(reader), UniqueFd(writer)};
}

// The reader is the terminal's other side.
Ends MakeTerminal() {
  UniqueFd reader(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  EXPECT_EQ(grantpt(reader.get()), 0);
  EXPECT_EQ(unlockpt(reader.get()), 0);
  UniqueFd writer(open(ptsname(reader.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  EXPECT_TRUE(writer);
  return {std::move(reader), std::move(writer)};
}

// All that there is to read now.
std::string ReadAll(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  pollfd ready = {.fd = fd, .events = POLLIN, .revents = 0};
  while (poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN) != 0) {
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  return text;
}

bool NonBlocking(int fd) { return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

class LogOutputTest : public testing::Test {
 protected:
  LogOutputTest() { signal(SIGPIPE, SIG_IGN); }

  // Far more lines than anything holds, then, when all was read, another one.
  // Were a write to wait, this would never end.
  static std::string FillThenRead(const Ends& ends) {
    LogOutput output(ends.writer.get());
    for (int i = 0; i < 10'000; ++i) output.WriteLine(std::string(100, 'x'));
    EXPECT_FALSE(NonBlocking(ends.writer.get()));
    ReadAll(ends.reader.get());
    output.WriteLine("works again");
    return ReadAll(ends.reader.get());
  }
};

TEST_F(LogOutputTest, LinesArriveInOrder) {
  const Ends ends = MakePipe();
  LogOutput output(ends.writer.get());
  output.WriteLine("one");
  output.WriteLine("two");
  EXPECT_EQ(ReadAll(ends.reader.get()), "one\ntwo\n");
}

TEST_F(LogOutputTest, FullPipeLosesLinesAndSaysHowMany) {
  const std::string text = FillThenRead(MakePipe());
  EXPECT_THAT(text, HasSubstr(" log lines lost\n"));
  EXPECT_THAT(text, EndsWith("works again\n"));
}

TEST_F(LogOutputTest, FullSocketLosesLinesAndSaysHowMany) {
  const std::string text = FillThenRead(MakeSockets());
  EXPECT_THAT(text, HasSubstr(" log lines lost\n"));
  EXPECT_THAT(text, EndsWith("works again\n"));
}

TEST_F(LogOutputTest, FullTerminalLosesLinesAndSaysHowMany) {
  const std::string text = FillThenRead(MakeTerminal());
  EXPECT_THAT(text, HasSubstr(" log lines lost"));
  EXPECT_THAT(text, HasSubstr("works again"));
}

TEST_F(LogOutputTest, StoppedTerminalLosesLines) {
  const Ends ends = MakeTerminal();
  LogOutput output(ends.writer.get());
  ASSERT_EQ(tcflow(ends.writer.get(), TCOOFF), 0);  // as by ^S
  output.WriteLine("not shown");
  ASSERT_EQ(tcflow(ends.writer.get(), TCOON), 0);
  output.WriteLine("shown");
  const std::string text = ReadAll(ends.reader.get());
  EXPECT_THAT(text, StartsWith("vduse-net: warning: 1 log lines lost"));
  EXPECT_THAT(text, HasSubstr("shown"));
}

TEST_F(LogOutputTest, CountsWhatIsLost) {
  const Ends ends = MakePipe();
  LogOutput output(ends.writer.get());
  const std::string full(4096, 'f');
  ASSERT_EQ(write(ends.writer.get(), full.data(), full.size()), 4096);
  for (int i = 0; i < 7; ++i) output.WriteLine("lost");
  ReadAll(ends.reader.get());
  output.WriteLine("next");
  EXPECT_EQ(ReadAll(ends.reader.get()),
            "vduse-net: warning: 7 log lines lost\nnext\n");
  output.WriteLine("and no more of it");
  EXPECT_EQ(ReadAll(ends.reader.get()), "and no more of it\n");
}

TEST_F(LogOutputTest, ReaderThatEndedIsSurvived) {
  Ends pipe = MakePipe();
  Ends sockets = MakeSockets();
  LogOutput to_pipe(pipe.writer.get());
  LogOutput to_socket(sockets.writer.get());
  pipe.reader.Reset();
  sockets.reader.Reset();
  to_pipe.WriteLine("nobody reads this");
  to_socket.WriteLine("nor this");
}

TEST_F(LogOutputTest, FullDiskIsSurvived) {
  const UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full);
  LogOutput output(full.get());
  output.WriteLine("no space left for this");
}

TEST_F(LogOutputTest, FileIsWrittenWhereItsDescriptorStands) {
  const tests::TempDir dir;
  const UniqueFd file(
      open((dir.path() + "/log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(write(file.get(), "before\n", 7), 7);
  LogOutput output(file.get());
  output.WriteLine("after");
  ASSERT_EQ(lseek(file.get(), 0, SEEK_SET), 0);
  EXPECT_EQ(ReadAll(file.get()), "before\nafter\n");
}

TEST_F(LogOutputTest, LongLineIsCut) {
  const Ends ends = MakePipe();
  LogOutput output(ends.writer.get());
  output.WriteLine(std::string(100'000, 'l'));
  const std::string text = ReadAll(ends.reader.get());
  EXPECT_EQ(text.size(), LogOutput::kMaxLineBytes + 4);
  EXPECT_THAT(text, EndsWith("l...\n"));
}

TEST_F(LogOutputTest, ThreadsDoNotWaitForAFullPipe) {
  const Ends ends = MakePipe();
  LogOutput output(ends.writer.get());
  std::vector<std::thread> threads(4);
  for (std::thread& thread : threads) {
    thread = std::thread([&output] {
      for (int n = 0; n < 1000; ++n) output.WriteLine("from a thread");
    });
  }
  for (std::thread& thread : threads) thread.join();
  ReadAll(ends.reader.get());
  output.WriteLine("next");
  EXPECT_THAT(ReadAll(ends.reader.get()), EndsWith("log lines lost\nnext\n"));
}

// What an exit status of a child says.
using testing::ExitedWithCode;

TEST(StandardFdsTest, ClosedOnesAreOpenedAndOthersLeftAlone) {
  EXPECT_EXIT(
      {
        const UniqueFd kept(open("/dev/zero", O_RDONLY));
        close(STDIN_FILENO);
        close(STDERR_FILENO);
        const int out = fcntl(STDOUT_FILENO, F_GETFD);
        const bool opened = OpenStandardFds();
        const UniqueFd next(open("/dev/zero", O_RDONLY));
        _exit(opened && out == fcntl(STDOUT_FILENO, F_GETFD) &&
                      write(STDERR_FILENO, "x", 1) == 1 &&
                      next.get() > STDERR_FILENO
                  ? 0
                  : 1);
      },
      ExitedWithCode(0), "");
}

}  // namespace
}  // namespace base
