#include "core/evaluation/sandbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/core/evaluation/sandbox_fixture.h"

// Programs that try to get out, to take the machine with them, or to pass without doing what was
// asked.

namespace ddpt {
namespace {

using testing::AllOf;
using testing::Field;
using testing::HasSubstr;

testing::Matcher<Verdict> Is(Outcome outcome) { return Field(&Verdict::outcome, outcome); }

testing::Matcher<Verdict> FailsWith(const std::string& detail) {
  return AllOf(Is(Outcome::kFailed), Field(&Verdict::detail, HasSubstr(detail)));
}

// `f` returns the name of the exception that each of the statements raises, "" for none.
std::string Attempts(const std::vector<std::string>& statements) {
  std::string program = "import ctypes, os, signal, socket, sys\ndef f():\n    errors = []\n";
  for (const std::string& statement : statements) {
    program += "    try:\n        " + statement +
               "\n        errors.append('')\n    except Exception as error:\n"
               "        errors.append(type(error).__name__)\n";
  }
  return program + "    return errors\n";
}

// A call of the C library that returns -1 raises.
std::string Call(const std::string& call) {
  return "assert ctypes.CDLL(None, use_errno=True)." + call + " != -1";
}

TEST_F(SandboxTest, ForkBomb) {
  const Verdict verdict = RunBriefly(R"(
import os
def f():
    while True:
        try:
            os.fork()
        except OSError:
            pass
)");
  EXPECT_NE(verdict.outcome, Outcome::kPassed);
}

TEST_F(SandboxTest, ForksAreCounted) {
  const Verdict verdict = RunExpecting(R"(
import os, signal, time
def f():
    children = 0
    while children < 100:
        try:
            if os.fork() == 0:
                signal.pause()
        except OSError:
            break
        children += 1
    return children
)",
                                       "10");  // of 12: Python, and what it descends from
  EXPECT_THAT(verdict, Is(Outcome::kPassed));
}

TEST_F(SandboxTest, ThreadFlood) {
  EXPECT_THAT(RunExpecting(R"(
import threading
def f():
    started = threading.Event()
    count = 0
    try:
        while count < 100:
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            count += 1
    except RuntimeError:
        return count < 20
)",
                           "True"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxTest, MemoryFlood) {
  EXPECT_THAT(RunExpecting(R"(
def f():
    kept = []
    while True:
        kept.append(bytearray(1 << 20))
)",
                           "0"),
              Is(Outcome::kMemory));
}

TEST_F(SandboxTest, MemoryFloodOfManyProcesses) {
  if (!CgroupFolder()) GTEST_SKIP() << "control groups cannot be made here";
  EXPECT_THAT(RunExpecting(R"(
import os
def f():
    for _ in range(8):
        if os.fork() == 0:
            kept = bytearray(b"x") * (50 << 20)
            os.read(os.pipe()[0], 1)
    os.wait()
    return 1
)",
                           "0"),
              Is(Outcome::kMemory));
}

TEST_F(SandboxTest, OutputFlood) {
  const Verdict verdict = RunExpecting("def f():\n    while True: print('x' * 4000)\n", "0");
  EXPECT_THAT(verdict, Is(Outcome::kOutput));
  EXPECT_EQ(verdict.output.size(), Limits().output_bytes);
}

TEST_F(SandboxTest, EndlessLoop) {
  EXPECT_THAT(RunBriefly("def f():\n    while True: pass\n"), Is(Outcome::kTimedOut));
}

TEST_F(SandboxTest, EndlessLoopBeforeTheFunctionIsThere) {
  EXPECT_THAT(RunBriefly("while True: pass\n"), Is(Outcome::kTimedOut));
}

TEST_F(SandboxTest, SleepThatIgnoresSignals) {
  EXPECT_THAT(RunBriefly(R"(
import signal, time
def f():
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    time.sleep(1000)
)"),
              Is(Outcome::kTimedOut));
}

TEST_F(SandboxTest, ClosedDescriptors) {
  EXPECT_THAT(RunExpecting("import os\ndef f():\n    os.closerange(0, 100)\n    return 1\n", "1"),
              FailsWith("the program ended before its tests did"));
}

TEST_F(SandboxTest, ClosedOutput) {
  EXPECT_THAT(
      RunExpecting("import os\ndef f():\n    os.close(1)\n    os.close(2)\n    return 1\n", "1"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxTest, StandardInputIsEmpty) {
  EXPECT_THAT(RunExpecting("def f():\n    return input()\n", "0"), FailsWith("EOFError"));
}

TEST_F(SandboxTest, BlockedDescriptors) {
  // Nobody reads the pipe: the write never ends.
  EXPECT_THAT(RunBriefly(R"(
import os
def f():
    read, write = os.pipe()
    os.write(write, bytes(1 << 20))
)"),
              Is(Outcome::kTimedOut));
}

TEST_F(SandboxTest, StolenCalls) {
  // Reads the next request away from the answering loop.
  EXPECT_THAT(RunBriefly("import os\ndef f():\n    return os.read(4, 100)\n"),
              Is(Outcome::kTimedOut));
}

TEST_F(SandboxTest, Network) {
  EXPECT_THAT(RunExpecting(Attempts({"socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
                                     "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
                                     "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
                                     "socket.create_connection(('127.0.0.1', 22), 1)",
                                     "socket.getaddrinfo('example.com', 80)"}),
                           "['PermissionError'] * 4 + ['gaierror']"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxTest, AbstractSocketsOfTheHost) {
  EXPECT_THAT(
      RunExpecting(Attempts({"socket.socket(socket.AF_UNIX).connect('\\0/tmp/.X11-unix/X0')",
                             "socket.socket(socket.AF_UNIX).connect('/run/dbus/socket')"}),
                   "['ConnectionRefusedError', 'FileNotFoundError']"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxTest, WritesOutside) {
  EXPECT_THAT(
      RunExpecting(
          Attempts({"open('/left', 'w')", "open('/usr/left', 'w')", "open('/dev/left', 'w')",
                    "os.mkdir('/etc')", "os.remove('/usr/bin/python3')", "os.chmod('/usr', 0o777)",
                    "os.rename('/usr/bin', '/usr/nib')", "os.mkdir('/tmp/inside')"}),
          "['OSError'] * 7 + ['']"),
      Is(Outcome::kPassed));
  EXPECT_FALSE(std::filesystem::exists("/tmp/inside"));
}

TEST_F(SandboxTest, ReadsTheHostsFiles) {
  EXPECT_THAT(RunExpecting(R"(
import os
def f():
    return sorted(set(os.listdir('/')) - {'bin', 'lib', 'lib32', 'lib64'}), os.listdir('/tmp'), sorted(os.listdir('/dev'))
)",
                           "(['dev', 'tmp', 'usr'], [], ['null', 'random', 'urandom', 'zero'])"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxTest, EnvironmentOfTheParent) {
  setenv("DDPT_SECRET", "hidden", 1);
  // Python itself may set one variable.
  EXPECT_THAT(
      RunExpecting("import os\ndef f():\n    return set(os.environ) - {'LC_CTYPE'}\n", "set()"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxTest, DescriptorsOfTheParent) {
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

TEST_F(SandboxTest, SignalsToTheParent) {
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

TEST_F(SandboxTest, KillsEverything) {
  EXPECT_THAT(Run(R"(
import os
def f():
    for process in (-1, 1, 0):
        try:
            os.kill(process, 9)
        except OSError:
            pass
)",
                  "def check(candidate):\n    candidate()\n"),
              Is(Outcome::kKilled));
}

TEST_F(SandboxTest, EndsWithExitCodeZero) {
  for (const char* end : {"import os\ndef f():\n    os._exit(0)\n", "import os\nos._exit(0)\n"}) {
    EXPECT_THAT(RunExpecting(end, "0"), FailsWith("the program ended before its tests did"));
  }
  EXPECT_THAT(RunExpecting("import sys\ndef f():\n    sys.exit(0)\n", "0"),
              FailsWith("SystemExit"));
  EXPECT_THAT(RunExpecting("raise SystemExit(0)\n", "0"), FailsWith("SystemExit"));
}

TEST_F(SandboxTest, NonceInFramesAndObjects) {
  // Looks for 64 hexadecimal digits, or the text of the test.
  EXPECT_THAT(
      Run(R"(
import gc, re, sys
mark = '_'.join(['marker', 'of', 'the', 'test'])
def texts(values):
    for value in values:
        text = value.decode('latin-1') if isinstance(value, bytes) else value
        if isinstance(text, str) and text != mark and (re.search('(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])', text) or mark in text):
            yield text[:80]
def f():
    found = []
    for thing in gc.get_objects():
        found.extend(texts(gc.get_referents(thing)))
    frame = sys._getframe()
    while frame:
        found.extend(texts([*frame.f_locals.values(), *frame.f_globals.values()]))
        frame = frame.f_back
    return found
)",
          "def check(candidate):\n    found = candidate()  # marker_of_the_test\n    assert "
          "found == [], found\n"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxTest, ProcTricks) {
  EXPECT_THAT(RunExpecting(Attempts({"open('/proc/self/mem', 'rb')", "open('/proc/1/environ')",
                                     "os.listdir('/proc/self/fd')", "open('/dev/fd/6', 'w')",
                                     "open('/proc/sys/kernel/core_pattern', 'w')"}),
                           "['FileNotFoundError'] * 5"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxTest, MountsProc) {
  EXPECT_THAT(
      RunExpecting("import ctypes, os\ndef f():\n    os.mkdir('proc')\n"
                   "    return ctypes.CDLL(None).mount(b'proc', b'proc', b'proc', 0, None)\n",
                   "-1"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxTest, SymbolicLinks) {
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

TEST_F(SandboxTest, Daemonises) {
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

TEST_F(SandboxTest, NothingOutlivesAProcessThatIsKilled) {
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

TEST_F(SandboxTest, TracesProcesses) {
  EXPECT_THAT(RunExpecting(Attempts({Call("ptrace(16, 1, 0, 0)"), Call("ptrace(0, 0, 0, 0)"),
                                     Call("process_vm_readv(1, 0, 0, 0, 0, 0)")}),
                           "['AssertionError'] * 3"),
              Is(Outcome::kPassed));
}

#ifdef __x86_64__  // numbers of system calls
TEST_F(SandboxTest, MountsAndNamespaces) {
  EXPECT_THAT(
      RunExpecting(
          Attempts({Call("mount(b'none', b'/tmp', b'tmpfs', 0, None)"), Call("umount2(b'/tmp', 2)"),
                    Call("chroot(b'/tmp')"), Call("unshare(0x10000000)"), Call("setns(0, 0)"),
                    // clone(CLONE_NEWUSER | SIGCHLD)
                    Call("syscall(56, 0x10000011, 0, 0, 0, 0)"), Call("syscall(435, 0, 0)")}),
          "['AssertionError'] * 7"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxTest, OldSystemCalls) {
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

TEST_F(SandboxTest, BecomesRoot) {
  EXPECT_THAT(
      RunExpecting(Attempts({"os.setuid(0)", "os.setgid(0)", "os.setgroups([0])",
                             Call("prctl(38, 0, 0, 0, 0)"), "os.chown('/tmp', 0, 0)"}),
                   "['OSError', 'OSError', 'PermissionError', 'AssertionError', 'OSError']"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxTest, SetUserIdPrograms) {
  EXPECT_THAT(RunExpecting("import subprocess\ndef f():\n    try:\n        done = "
                           "subprocess.run(['/usr/bin/su', '-c', 'id'],"
                           " capture_output=True, stdin=subprocess.DEVNULL)\n    except OSError:\n "
                           "       return True\n"
                           "    return done.returncode != 0\n",
                           "True"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxTest, HugeFile) {
  EXPECT_THAT(RunExpecting(R"(
def f():
    try:
        with open('huge', 'wb') as file:
            while True:
                file.write(bytes(1 << 20))
    except OSError as error:
        return error.errno in (27, 28)
)",
                           "True"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxTest, ManyFiles) {
  EXPECT_THAT(RunExpecting(R"(
def f():
    count = 0
    try:
        while count < 100000:
            open(str(count), 'w').close()
            count += 1
    except OSError as error:
        return error.errno == 28 and count <= 256
)",
                           "True"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxTest, ManyDescriptors) {
  EXPECT_THAT(RunExpecting("import os\ndef f():\n    try:\n        while True: os.pipe()\n"
                           "    except OSError as error:\n        return error.errno\n",
                           "24"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxTest, DeepRecursion) {
  EXPECT_THAT(RunExpecting("def f():\n    return f()\n", "0"), FailsWith("RecursionError"));
}

TEST_F(SandboxTest, RecursionPastTheStack) {
  EXPECT_THAT(RunExpecting("import ctypes\ndef f():\n    ctypes.string_at(0)\n", "0"),
              Is(Outcome::kKilled));
}

TEST_F(SandboxTest, MemoryThatNoLimitCounts) {
  EXPECT_THAT(RunExpecting(Attempts({"os.memfd_create('x')", Call("shmget(0, 1 << 20, 0o1600)")}),
                           "['PermissionError', 'AssertionError']"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxTest, AFolderThatIsLeftIsGoneForTheNextProgram) {
  EXPECT_THAT(RunExpecting("def f():\n    open('mine', 'w').close()\n    return 1\n", "1"),
              Is(Outcome::kPassed));
  EXPECT_THAT(RunExpecting("import os\ndef f():\n    return os.listdir('.')\n", "[]"),
              Is(Outcome::kPassed));
}

}  // namespace
}  // namespace ddpt
