#include "tests/core/evaluation/sandbox_fixture.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>

namespace ddpt {
namespace {

std::string Mounts() {
  std::ifstream file("/proc/self/mountinfo");
  return {std::istreambuf_iterator<char>(file), {}};
}

size_t OpenDescriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

}  // namespace

SandboxLimits SandboxTest::Limits() {
  return {.seconds = 10, .memory_bytes = 128 << 20, .processes = 12};
}

void SandboxTest::SetUpTestSuite() {
  // Whatever outlived its sandbox would become a child of this process.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (!judge_) judge_.emplace(Judge::Create({.limits = Limits()}));
}

void SandboxTest::SetUp() {
  if (!judge_->ok()) GTEST_SKIP() << judge_->status();
  mounts_ = Mounts();
  descriptors_ = OpenDescriptors();
}

void SandboxTest::TearDown() {
  if (!judge_->ok()) return;
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a process is left";
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(Mounts(), mounts_);
  EXPECT_EQ(OpenDescriptors(), descriptors_);
}

Verdict SandboxTest::Run(const std::string& program, const std::string& test) {
  return TheJudge().Run({.program = program, .entry_point = "f", .test = test});
}

Verdict SandboxTest::RunBriefly(const std::string& program) {
  SandboxLimits limits = Limits();
  limits.seconds = 1;
  static const Judge judge = Judge::Create({.limits = limits}).value();
  return judge.Run(
      {.program = program, .entry_point = "f", .test = "def check(candidate):\n    candidate()\n"});
}

Verdict SandboxTest::RunExpecting(const std::string& program, const std::string& expression) {
  return Run(program, "def check(candidate):\n    value = candidate()\n    assert value == " +
                          expression + ", value\n");
}

testing::Matcher<Verdict> Is(Outcome outcome) { return testing::Field(&Verdict::outcome, outcome); }

testing::Matcher<Verdict> FailsWith(const std::string& detail) {
  return testing::AllOf(Is(Outcome::kFailed),
                        testing::Field(&Verdict::detail, testing::HasSubstr(detail)));
}

std::string Attempts(const std::vector<std::string>& statements) {
  std::string program = "import ctypes, os, signal, socket, sys\ndef f():\n    errors = []\n";
  for (const std::string& statement : statements) {
    program += "    try:\n        " + statement +
               "\n        errors.append('')\n    except Exception as error:\n"
               "        errors.append(type(error).__name__)\n";
  }
  return program + "    return errors\n";
}

std::string Call(const std::string& call) {
  return "assert ctypes.CDLL(None, use_errno=True)." + call + " != -1";
}

void PrintTo(const Verdict& verdict, std::ostream* out) {
  *out << OutcomeName(verdict.outcome) << ": " << verdict.detail << "\n" << verdict.output;
}

}  // namespace ddpt
