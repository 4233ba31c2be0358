#pragma once

#include <optional>
#include <string>

#include "client/session.h"
#include "core/evaluation/bootstrap.h"
#include "core/evaluation/figures.h"

namespace ddpt {

// Of the same examples, at least one; `against` has as many resamples.
struct EvaluationReport {
  MethodFigures method;
  std::optional<MethodFigures> against = std::nullopt;
  size_t examples;
  ResampleOptions options;
  std::string language;  // of the code; "": without CodeBLEU
  bool synonyms;         // whether METEOR has WordNet's
};

// On `session.out`: a table, or with --json one line, whose keys `ddpt evaluate --help` tells.
void PrintReport(const EvaluationReport& report, Session& session);

}  // namespace ddpt
