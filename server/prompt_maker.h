#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/runtime/admission.h"
#include "ddpt/v1/prompt.pb.h"
#include "server/candidate_scorer.h"
#include "server/condition.h"
#include "server/prompt_sampler.h"
#include "server/task_catalog.h"
#include "server/trace.h"
#include "server/validate.h"

namespace ddpt {

// Prompts, how they were drawn and how to draw them again.
struct MadePrompts {
  LoadedTask task;
  uint64_t seed = 0;
  SamplingOptions options;
  std::string arithmetic_class;
  DrawnPrompts drawn;
  std::vector<std::string> prompt_ids;  // "" where the noise was given
  std::vector<double> validation_nll;   // of each prompt, nats per token; with best_of only
  std::optional<bool> exact_replay;     // of a replay
};

// From a request to prompts: the task's engine, the condition, the draws, the best of them, the
// prompt ids.
// Thread-safe.
class PromptMaker {
 public:
  struct Caller {
    StopToken stop;
    std::function<void()> on_start;  // service begins; may be null
    TimePoint finish_by;             // when the prompts should be there, TimePoint::max(): whenever
    Admission::Ticket ticket;        // held until after the answer
    Trace trace = {};                // of the call
  };
  using Done = std::function<void(absl::StatusOr<MadePrompts>)>;

  // `encoder` may be null: conditional tasks are FAILED_PRECONDITION then; so may `scorer`, and
  // best_of is. The references and the scorer must outlive the PromptMaker.
  PromptMaker(TaskCatalog& catalog, PromptSampler& sampler, ConditionEncoder encoder,
              const CandidateScorer* scorer, RequestLimits limits);

  const RequestLimits& limits() const { return limits_; }

  // The request has passed ValidateSample and lives until `done`, which is called once, on a worker
  // or, for errors, at once. Does not block.
  void Sample(const v1::SampleRequest& request, Caller caller, Done done);
  // The same for ValidateReplay.
  void Replay(const v1::ReplayRequest& request, Caller caller, Done done);

 private:
  struct Job;

  void Start(const std::shared_ptr<Job>& job);
  void Encode(const std::shared_ptr<Job>& job, Instruction instruction);
  void Draw(const std::shared_ptr<Job>& job);
  void ScoreCandidates(const std::shared_ptr<Job>& job, DrawnPrompts drawn) const;

  TaskCatalog& catalog_;
  PromptSampler& sampler_;
  const ConditionEncoder encoder_;
  const CandidateScorer* const scorer_;
  const RequestLimits limits_;
};

}  // namespace ddpt
