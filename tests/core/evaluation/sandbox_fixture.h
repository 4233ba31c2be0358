#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "core/evaluation/judge.h"

namespace ddpt {

// Tests that run programs. Skipped, with the system's reason, where it denies the sandbox. After
// each nothing may be left: no process, no mount, no open descriptor.
class SandboxTest : public testing::Test {
 protected:
  static void SetUpTestSuite();
  void SetUp() override;
  void TearDown() override;

  static Verdict Run(const std::string& program, const std::string& test);
  // Of a program that defines `f`: what it answers to no arguments must equal the expression.
  static Verdict RunExpecting(const std::string& program, const std::string& expression);

  // The same for a program that would not end: within one second.
  static Verdict RunBriefly(const std::string& program);

  // Of the others: ten seconds, 128 MiB, twelve processes.
  static SandboxLimits Limits();
  static const Judge& TheJudge() { return **judge_; }

 private:
  static inline std::optional<absl::StatusOr<Judge>> judge_;
  std::string mounts_;
  size_t descriptors_ = 0;
};

testing::Matcher<Verdict> Is(Outcome outcome);

// Not passed, with such words about why.
testing::Matcher<Verdict> FailsWith(const std::string& detail);

// A program whose `f` returns the name of the exception that each of the statements raises, "" for
// none.
std::string Attempts(const std::vector<std::string>& statements);

// A statement: a call of the C library, which raises where it returns -1.
std::string Call(const std::string& call);

void PrintTo(const Verdict& verdict, std::ostream* out);

}  // namespace ddpt
