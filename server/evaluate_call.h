#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/decoding/generator.h"
#include "core/registry/dataset_store.h"
#include "core/registry/evaluation_log.h"
#include "core/registry/registry.h"
#include "core/runtime/stream_pool.h"
#include "ddpt/v1/evaluation.pb.h"
#include "server/base_model.h"
#include "server/call.h"
#include "server/prompt_resolver.h"
#include "server/stream_reactor.h"

namespace ddpt {

// What Evaluate calls share. All outlive the calls.
struct EvaluateResources {
  std::shared_ptr<const BaseModel> base;
  PromptResolver* resolver;
  const Registry* registry;
  const DatasetStore* datasets;
  StreamPool* pool;                   // of models
  StreamPool* thread;                 // where evaluations wait for each other and for their pieces
  std::string directory;              // of their logs
  const std::atomic<bool>* stopping;  // no further piece begins
  size_t batch = 16;                  // examples of a piece
};

// One Evaluate call. Its examples go through the model a piece at a time as background work, which
// interactive work goes before; each piece's outcomes are logged, so that the same request goes on
// there after a cancellation or a restart. Progress that the reader has not taken is overwritten;
// outcomes wait until it takes them.
// Owned by gRPC until OnDone and by the work until its end.
class EvaluateCall final : public StreamReactor<v1::EvaluateResponse>,
                           public std::enable_shared_from_this<EvaluateCall> {
 public:
  // The reactor of a call, to be returned to gRPC.
  static EvaluateCall* Start(Calls& calls, const Metrics::Method& method,
                             grpc::CallbackServerContext& context,
                             const EvaluateResources& resources,
                             const v1::EvaluateRequest& request);

  EvaluateCall(Calls& calls, const Metrics::Method& method, grpc::CallbackServerContext& context,
               const EvaluateResources& resources, const v1::EvaluateRequest& request);

 private:
  using Outcomes = std::map<EvaluationLog::Place, EvaluationOutcome>;

  absl::Status Begin();
  // On `resources.thread`, to the end.
  absl::Status Run();
  absl::StatusOr<Dataset> ReadData() const;
  absl::StatusOr<std::string> Key(const Dataset& data);
  absl::Status RunPiece(uint32_t contender, const Dataset& data,
                        const std::vector<uint64_t>& examples, EvaluationLog& log);
  absl::StatusOr<PromptedRequest> Prompted(uint32_t contender, const TrainingExample& example);
  absl::StatusOr<ResolvedPrompt> Resolve(uint32_t contender,
                                         const std::vector<uint32_t>& instruction_ids,
                                         const Attributes& attributes);
  absl::StatusOr<Outcomes> Measure(uint32_t contender, const Dataset& data,
                                   const std::vector<uint64_t>& examples,
                                   const std::vector<PromptedRequest>& prompted) const;
  // With outcomes to be sent after it.
  void Tell(v1::EvaluateResponse response, Outcomes outcomes = {});
  void End(absl::Status status);
  std::optional<v1::EvaluateResponse> Pop() override;
  v1::EvaluateResponse NextOutcomes();
  void Drop() override;

  const EvaluateResources& resources_;
  const v1::EvaluateRequest& request_;
  Admission::Ticket ticket_;
  Span span_;                                           // of what is done at present
  std::vector<std::string> pinned_;                     // denoiser of each contender; "": none
  std::vector<std::optional<ResolvedPrompt>> prompts_;  // those that do not look at the instruction

  // Guarded by mutex_:
  std::optional<v1::EvaluateResponse> waiting_;
  Outcomes untold_;  // of a finished evaluation whose outcomes are wanted
};

}  // namespace ddpt
