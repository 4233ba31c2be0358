#include "core/evaluation/sandbox.h"
#include "tests/core/evaluation/sandbox_fixture.h"

// Programs that try to pass without doing what was asked, or to keep a verdict from being told.

namespace ddpt {
namespace {

using SandboxVerdictTest = SandboxTest;

TEST_F(SandboxVerdictTest, ClosedDescriptors) {
  EXPECT_THAT(RunExpecting("import os\ndef f():\n    os.closerange(0, 100)\n    return 1\n", "1"),
              FailsWith("the program ended before its tests did"));
}

TEST_F(SandboxVerdictTest, ClosedOutput) {
  EXPECT_THAT(
      RunExpecting("import os\ndef f():\n    os.close(1)\n    os.close(2)\n    return 1\n", "1"),
      Is(Outcome::kPassed));
}

TEST_F(SandboxVerdictTest, StandardInputIsEmpty) {
  EXPECT_THAT(RunExpecting("def f():\n    return input()\n", "0"), FailsWith("EOFError"));
}

TEST_F(SandboxVerdictTest, BlockedDescriptors) {
  // Nobody reads the pipe: the write never ends.
  EXPECT_THAT(RunBriefly(R"(
import os
def f():
    read, write = os.pipe()
    os.write(write, bytes(1 << 20))
)"),
              Is(Outcome::kTimedOut));
}

TEST_F(SandboxVerdictTest, StolenCalls) {
  // Reads the next request away from the answering loop.
  EXPECT_THAT(RunBriefly("import os\ndef f():\n    return os.read(4, 100)\n"),
              Is(Outcome::kTimedOut));
}

TEST_F(SandboxVerdictTest, KillsEverything) {
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

TEST_F(SandboxVerdictTest, EndsWithExitCodeZero) {
  for (const char* end : {"import os\ndef f():\n    os._exit(0)\n", "import os\nos._exit(0)\n"}) {
    EXPECT_THAT(RunExpecting(end, "0"), FailsWith("the program ended before its tests did"));
  }
  EXPECT_THAT(RunExpecting("import sys\ndef f():\n    sys.exit(0)\n", "0"),
              FailsWith("SystemExit"));
  EXPECT_THAT(RunExpecting("raise SystemExit(0)\n", "0"), FailsWith("SystemExit"));
}

TEST_F(SandboxVerdictTest, NonceInFramesAndObjects) {
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

}  // namespace
}  // namespace ddpt
