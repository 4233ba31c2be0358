#pragma once

#include <span>
#include <string>
#include <vector>

#include "client/session.h"
#include "core/evaluation/bootstrap.h"
#include "core/evaluation/safety.h"

namespace ddpt {

// What was found in each sample of a method.
using SafetyFindings = std::vector<std::vector<SafetyFinding>>;

struct SafetyReport {
  std::span<const SafetyRule> rules;
  SafetyFindings method;
  SafetyFindings against = {};  // of the same problems; empty: compared with none
  ResampleOptions options = {};
};

// On `session.out`: a table and the findings, or with --json one line, whose keys `ddpt safety
// --help` tells.
void PrintSafetyReport(const SafetyReport& report, Session& session);

}  // namespace ddpt
