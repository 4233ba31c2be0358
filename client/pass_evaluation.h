#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/flags.h"
#include "client/session.h"
#include "core/evaluation/bootstrap.h"
#include "core/evaluation/sandbox.h"
#include "ddpt/v1/code.pb.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace ddpt {

// `ddpt evaluate --problems`: what of a model's code passes its tests.
struct PassFlags {
  std::string problems;     // the file; "": another kind of evaluation
  std::string completions;  // the file; "": the server writes them
  std::string against;      // the file of another method's; "": none
  std::string out;          // a file for completions and what came of them; "": none
  uint32_t samples = 1;     // of each problem
  std::vector<uint32_t> k = {1};
  uint32_t programs = 0;  // run at a time; 0: as many as processors
  SandboxOptions sandbox;
  v1::GenerateRequest request;
  PromptFlags prompt;
};

// The flags above; --problems is returned. `flags` must outlive the parsing.
CLI::Option* AddPassFlags(CLI::App& command, PassFlags& flags);

// Has completions written or reads them, runs them, and prints the report on `session.out`. Blocks.
absl::Status EvaluatePasses(const PassFlags& flags, const ResampleOptions& options,
                            Session& session);

}  // namespace ddpt
