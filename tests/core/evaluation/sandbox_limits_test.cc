#include "core/evaluation/sandbox.h"
#include "tests/core/evaluation/sandbox_fixture.h"

// Programs that try to take the machine with them.

namespace ddpt {
namespace {

using SandboxLimitsTest = SandboxTest;

TEST_F(SandboxLimitsTest, ForkBomb) {
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

TEST_F(SandboxLimitsTest, ForksAreCounted) {
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

TEST_F(SandboxLimitsTest, ThreadFlood) {
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

TEST_F(SandboxLimitsTest, MemoryFlood) {
  EXPECT_THAT(RunExpecting(R"(
def f():
    kept = []
    while True:
        kept.append(bytearray(1 << 20))
)",
                           "0"),
              Is(Outcome::kMemory));
}

TEST_F(SandboxLimitsTest, MemoryFloodOfManyProcesses) {
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

TEST_F(SandboxLimitsTest, MemoryThatNoLimitCounts) {
  EXPECT_THAT(RunExpecting(Attempts({"os.memfd_create('x')", Call("shmget(0, 1 << 20, 0o1600)")}),
                           "['PermissionError', 'AssertionError']"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxLimitsTest, OutputFlood) {
  const Verdict verdict = RunExpecting("def f():\n    while True: print('x' * 4000)\n", "0");
  EXPECT_THAT(verdict, Is(Outcome::kOutput));
  EXPECT_EQ(verdict.output.size(), Limits().output_bytes);
}

TEST_F(SandboxLimitsTest, EndlessLoop) {
  EXPECT_THAT(RunBriefly("def f():\n    while True: pass\n"), Is(Outcome::kTimedOut));
}

TEST_F(SandboxLimitsTest, EndlessLoopBeforeTheFunctionIsThere) {
  EXPECT_THAT(RunBriefly("while True: pass\n"), Is(Outcome::kTimedOut));
}

TEST_F(SandboxLimitsTest, SleepThatIgnoresSignals) {
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

TEST_F(SandboxLimitsTest, HugeFile) {
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

TEST_F(SandboxLimitsTest, ManyFiles) {
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

TEST_F(SandboxLimitsTest, ManyDescriptors) {
  EXPECT_THAT(RunExpecting("import os\ndef f():\n    try:\n        while True: os.pipe()\n"
                           "    except OSError as error:\n        return error.errno\n",
                           "24"),
              Is(Outcome::kPassed));
}

TEST_F(SandboxLimitsTest, DeepRecursion) {
  EXPECT_THAT(RunExpecting("def f():\n    return f()\n", "0"), FailsWith("RecursionError"));
}

TEST_F(SandboxLimitsTest, RecursionPastTheStack) {
  EXPECT_THAT(RunExpecting("import ctypes\ndef f():\n    ctypes.string_at(0)\n", "0"),
              Is(Outcome::kKilled));
}

}  // namespace
}  // namespace ddpt
