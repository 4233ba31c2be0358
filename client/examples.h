#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/session.h"
#include "core/tuning/dataset.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace ddpt {

// A file of examples, all of which a command answers.
struct ExamplesFlags {
  std::string path;           // JSON Lines with instruction and code; "": none
  uint32_t concurrency = 32;  // answered at a time, 1..256
};

// --examples, which is returned, and --concurrency.
CLI::Option* AddExamplesFlags(CLI::App& command, ExamplesFlags& flags);

// Calls `answer` for each example, for up to `concurrency` of them at a time on threads of their
// own, and writes what it returns as JSON Lines in the order of the file. Blocks; the first error,
// in that order, ends it. Errors of the file name line and field.
absl::Status AnswerExamples(
    const ExamplesFlags& flags, Session& session,
    const std::function<absl::StatusOr<nlohmann::ordered_json>(const TrainingExample&)>& answer);

}  // namespace ddpt
