#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/evaluation/sandbox.h"
#include "tests/core/evaluation/sandbox_fixture.h"

// Programs that try to get out, or to leave something behind.

namespace ddpt {
namespace {

using SandboxEscapeTest = SandboxTest;

TEST_F(SandboxEscapeTest, Network) {
  EXPECT_THAT(RunExpecting(Attempts({"socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
                                     "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
                                     "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
                                     "socket.create_connection(('127.0.0.1', 22), 1)",
                                     "socket.getaddrinfo('example.com', 80)"}),
                           "['PermissionError'] * 4 + ['gaierror']"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxEscapeTest, AbstractSocketsOfTheHost) {
  EXPECT_THAT(
      RunExpecting(Attempts({"socket.socket(socket.AF_UNIX).connect('\\0/tmp/.X11-unix/X0')",
                             "socket.socket(socket.AF_UNIX).connect('/run/dbus/socket')"}),
                   "['ConnectionRefusedError', 'FileNotFoundError']"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxEscapeTest, WritesOutside) {
  EXPECT_THAT(
      RunExpecting(
          Attempts({"open('/left', 'w')", "open('/usr/left', 'w')", "open('/dev/left', 'w')",
                    "os.mkdir('/etc')", "os.remove('/usr/bin/python3')", "os.chmod('/usr', 0o777)",
                    "os.rename('/usr/bin', '/usr/nib')", "os.mkdir('/tmp/inside')"}),
          "['OSError'] * 7 + ['']"),
      Is(Outcome::kPassed));
  EXPECT_FALSE(std::filesystem::exists("/tmp/inside"));
}

TEST_F(SandboxEscapeTest, ReadsTheHostsFiles) {
  EXPECT_THAT(RunExpecting(R"(
import os
def f():
    return sorted(set(os.listdir('/')) - {'bin', 'lib', 'lib32', 'lib64'}), os.listdir('/tmp'), sorted(os.listdir('/dev'))
)",
                           "(['dev', 'tmp', 'usr'], [], ['null', 'random', 'urandom', 'zero'])"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxEscapeTest, EnvironmentOfTheParent) {
  setenv("DDPT_SECRET", "hidden", 1);
  // Python itself may set one variable.
  EXPECT_THAT(
      RunExpecting("import os\ndef f():\n    return set(os.environ) - {'LC_CTYPE'}\n", "set()"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxEscapeTest, DescriptorsOfTheParent) {
  EXPECT_THAT(RunExpecting(R"(
import os
def f():
    found = []
    for number in range(64):
        try:
            os.fstat(number)
            found.append(number)
        except OSError:
            pass
    return found
)",
                           "[0, 1, 2, 4, 5, 6]"),  // the sixth is /dev/null
              Is(Outcome::kPassed));
}

TEST_F(SandboxEscapeTest, SignalsToTheParent) {
  static volatile sig_atomic_t signals;
  signals = 0;
  const auto before = signal(SIGUSR1, [](int) { signals = signals + 1; });
  EXPECT_THAT(
      RunExpecting(
          "import os\ndef f():\n    found = []\n    for process in range(3, 40000):\n"
          "        try:\n            os.kill(process, 10)\n            found.append(process)\n"
          "        except OSError:\n            pass\n    return found, os.getppid(), "
          "os.getpid()\n",
          "([], 1, 2)"),
      Is(Outcome::kPassed));
  EXPECT_EQ(signals, 0);
  signal(SIGUSR1, before);
}

TEST_F(SandboxEscapeTest, ProcTricks) {
  EXPECT_THAT(RunExpecting(Attempts({"open('/proc/self/mem', 'rb')", "open('/proc/1/environ')",
                                     "os.listdir('/proc/self/fd')", "open('/dev/fd/6', 'w')",
                                     "open('/proc/sys/kernel/core_pattern', 'w')"}),
                           "['FileNotFoundError'] * 5"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxEscapeTest, MountsProc) {
  EXPECT_THAT(
      RunExpecting("import ctypes, os\ndef f():\n    os.mkdir('proc')\n"
                   "    return ctypes.CDLL(None).mount(b'proc', b'proc', b'proc', 0, None)\n",
                   "-1"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxEscapeTest, SymbolicLinks) {
  const std::string host = testing::TempDir() + "host_file";
  EXPECT_THAT(
      RunExpecting("import os\ndef f():\n    os.symlink('" + host +
                       "', 'link')\n    os.symlink('/../../..', 'up')\n    try:\n"
                       "        open('link', 'w').write('x')\n    except OSError as error:\n"
                       "        return type(error).__name__, os.path.exists('up/root'), "
                       "os.path.exists('up/home')\n"
                       "    return os.path.realpath('link'), False, False\n",
                   testing::TempDir() == "/tmp/" ? "('" + host + "', False, False)"
                                                 : "('FileNotFoundError', False, False)"),
      Is(Outcome::kPassed));
  EXPECT_FALSE(std::filesystem::exists(host));
}

TEST_F(SandboxEscapeTest, Daemonises) {
  // The answer comes although a grandchild in a session of its own goes on; TearDown sees whether
  // it did.
  EXPECT_THAT(RunExpecting(R"(
import os, time
def f():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 64)
            while True:
                time.sleep(1)
        os._exit(0)
    return 1
)",
                           "1"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxEscapeTest, NothingOutlivesAProcessThatIsKilled) {
  const SandboxOptions options = FindPrograms({.limits = Limits()}).value();
  Pipe pipe = MakePipe().value();
  const pid_t owner = fork();
  if (owner == 0) {
    const auto python = SandboxedPython::Start(options, "while True: pass", {});
    if (python.ok() && write(pipe.write.number(), "s", 1) == 1) pause();
    _exit(1);
  }
  char byte;
  ASSERT_EQ(read(pipe.read.number(), &byte, 1), 1);
  kill(owner, SIGKILL);
  // What it leaves becomes a child of this process, and must end by itself.
  int ended = 0;
  while (waitpid(-1, nullptr, 0) > 0) ++ended;
  EXPECT_EQ(ended, 2);
}

TEST_F(SandboxEscapeTest, TracesProcesses) {
  EXPECT_THAT(RunExpecting(Attempts({Call("ptrace(16, 1, 0, 0)"), Call("ptrace(0, 0, 0, 0)"),
                                     Call("process_vm_readv(1, 0, 0, 0, 0, 0)")}),
                           "['AssertionError'] * 3"),
              Is(Outcome::kPassed));
}

#ifdef __x86_64__  // numbers of system calls
TEST_F(SandboxEscapeTest, MountsAndNamespaces) {
  EXPECT_THAT(
      RunExpecting(
          Attempts({Call("mount(b'none', b'/tmp', b'tmpfs', 0, None)"), Call("umount2(b'/tmp', 2)"),
                    Call("chroot(b'/tmp')"), Call("unshare(0x10000000)"), Call("setns(0, 0)"),
                    // clone(CLONE_NEWUSER | SIGCHLD)
                    Call("syscall(56, 0x10000011, 0, 0, 0, 0)"), Call("syscall(435, 0, 0)")}),
          "['AssertionError'] * 7"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxEscapeTest, OldSystemCalls) {
  // int 0x80, the way of 32-bit programs: mov eax, 20 (getpid); int 0x80; ret.
  EXPECT_THAT(RunExpecting(R"(
import ctypes, mmap
def f():
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
)",
                           "2"),
              Is(Outcome::kKilled));
}
#endif

TEST_F(SandboxEscapeTest, BecomesRoot) {
  EXPECT_THAT(
      RunExpecting(Attempts({"os.setuid(0)", "os.setgid(0)", "os.setgroups([0])",
                             Call("prctl(38, 0, 0, 0, 0)"), "os.chown('/tmp', 0, 0)"}),
                   "['OSError', 'OSError', 'PermissionError', 'AssertionError', 'OSError']"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxEscapeTest, SetUserIdPrograms) {
  EXPECT_THAT(RunExpecting("import subprocess\ndef f():\n    try:\n        done = "
                           "subprocess.run(['/usr/bin/su', '-c', 'id'],"
                           " capture_output=True, stdin=subprocess.DEVNULL)\n    except OSError:\n "
                           "       return True\n"
                           "    return done.returncode != 0\n",
                           "True"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxEscapeTest, AFolderThatIsLeftIsGoneForTheNextProgram) {
  EXPECT_THAT(RunExpecting("def f():\n    open('mine', 'w').close()\n    return 1\n", "1"),
              Is(Outcome::kPassed));
  EXPECT_THAT(RunExpecting("import os\ndef f():\n    return os.listdir('.')\n", "[]"),
              Is(Outcome::kPassed));
}

}  // namespace
}  // namespace ddpt
