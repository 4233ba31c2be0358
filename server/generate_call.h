#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/decoding/generator.h"
#include "core/runtime/step_batcher.h"
#include "ddpt/v1/code.pb.h"
#include "server/base_model.h"
#include "server/call.h"
#include "server/prompt_resolver.h"
#include "server/response_queue.h"
#include "server/stream_reactor.h"

namespace ddpt {

// The key of all Generate calls in their batcher.
inline constexpr char kGenerateKey[] = "generate";

// What Generate calls share. All outlive the calls.
struct GenerateResources {
  std::shared_ptr<const BaseModel> base;
  PromptResolver* resolver;
  StepBatcher* batcher;
  GenerationBatch::Options batch = {};
  size_t stream_buffer_bytes = 256 << 10;  // news that may wait for a slow reader
};

// One Generate call: prompt, batch, stream. The worker that generates only appends to a bounded
// queue, from which one message at a time is written; a reader who lets it fill up is told
// RESOURCE_EXHAUSTED, and generates no further. It is not paused before: what is generated frees
// the memory of its keys and values, which are far larger than the queue. Owned by gRPC until
// OnDone and by the work until its end.
class GenerateCall final : public StreamReactor<v1::GenerateResponse>,
                           public std::enable_shared_from_this<GenerateCall> {
 public:
  // The reactor of a call, to be returned to gRPC.
  static GenerateCall* Start(Calls& calls, const Metrics::Method& method,
                             grpc::CallbackServerContext& context,
                             const GenerateResources& resources,
                             const v1::GenerateRequest& request);

  GenerateCall(Calls& calls, const Metrics::Method& method, grpc::CallbackServerContext& context,
               const GenerateResources& resources, const v1::GenerateRequest& request);

 private:
  absl::Status Begin();
  void Prompted(absl::StatusOr<ResolvedPrompt> prompt);
  absl::Status Submit(const ResolvedPrompt& prompt);
  // Where the rows' news goes.
  DeltaSink Sink(const DecodingOptions& decoding);
  void Started();
  bool Tell(const Delta& delta);
  void ObserveToken(const Delta& delta);
  void End(absl::Status status);
  std::optional<v1::GenerateResponse> Pop() override { return queue_.Pop(); }
  void Drop() override { queue_.clear(); }

  const GenerateResources& resources_;
  const v1::GenerateRequest& request_;
  Admission::Ticket ticket_;
  std::vector<uint32_t> instruction_ids_;
  uint32_t input_tokens_ = 0;
  std::vector<std::optional<TimePoint>> last_token_;  // by choice or candidate
  int64_t output_tokens_ = 0;
  Span span_;  // of what is done at present

  // Guarded by mutex_:
  ResponseQueue queue_;
  v1::GenerateResponse head_;  // what the first message has besides its news
  bool head_sent_ = false;
  bool stalled_ = false;
};

}  // namespace ddpt
