#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/session.h"
#include "core/evaluation/bootstrap.h"
#include "core/evaluation/judge.h"
#include "core/evaluation/pass_at_k.h"
#include "core/evaluation/problems.h"

namespace ddpt {

// What came of one method's completions, each run with its problem's tests.
struct JudgedMethod {
  std::vector<Verdict> verdicts;    // as many as completions, in their order
  std::vector<SampleCount> counts;  // of each problem
  double seconds = 0;               // that all the runs took together
};

// Every completion is that of a problem.
JudgedMethod CountPasses(const std::vector<Problem>& problems,
                         std::span<const Completion> completions, std::vector<Verdict> verdicts);

struct PassReport {
  JudgedMethod method;
  std::optional<JudgedMethod> against = std::nullopt;
  std::vector<uint32_t> k;  // at least one, none above the samples of any problem
  ResampleOptions options;
};

// On `session.out`: a table, or with --json one line, whose keys `ddpt evaluate --help` tells.
void PrintReport(const PassReport& report, Session& session);

}  // namespace ddpt
