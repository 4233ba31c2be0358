#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "client/evaluation_file.h"

namespace ddpt {

struct ExampleChoice {
  // Of whose answers the best and the worst are shown: those that have most and least chrF above
  // the answers of the first contender, where that is another. "": the last contender.
  std::string method = "";
  uint32_t count = 2;  // of the best, of the worst, and of others at random
  uint64_t seed = 1;   // of those
};

// Examples with what each contender made of them, side by side; none twice. FieldError "method"
// where there is no such contender. "" without examples.
absl::StatusOr<std::string> ExamplesSection(const EvaluationFile& evaluation,
                                            const ExampleChoice& choice);

}  // namespace ddpt
