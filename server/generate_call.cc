#include "server/generate_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/decoding/best_of.h"
#include "core/decoding/kv_need.h"
#include "server/convert.h"
#include "server/convert_code.h"
#include "server/generate_job.h"
#include "server/status.h"
#include "server/validate.h"

namespace ddpt {

using std::chrono::steady_clock;

GenerateCall::GenerateCall(Calls& calls, const Metrics::Method& method,
                           grpc::CallbackServerContext& context, const GenerateResources& resources,
                           const v1::GenerateRequest& request)
    : StreamReactor(calls, method, context),
      resources_(resources),
      request_(request),
      queue_(resources.stream_buffer_bytes) {}

GenerateCall* GenerateCall::Start(Calls& calls, const Metrics::Method& method,
                                  grpc::CallbackServerContext& context,
                                  const GenerateResources& resources,
                                  const v1::GenerateRequest& request) {
  auto call = std::make_shared<GenerateCall>(calls, method, context, resources, request);
  call->reacting_ = call;
  absl::Status status = call->call_.Begin(request.prompt().task());
  if (status.ok()) status = call->Begin();
  if (!status.ok()) call->End(std::move(status));
  return call.get();
}

absl::Status GenerateCall::Begin() {
  DDPT_RETURN_IF_ERROR(ValidateInstruction(request_));
  DDPT_RETURN_IF_ERROR(FromProto(request_.decoder_prefix()).status());
  DDPT_RETURN_IF_ERROR(FromProto(request_.decoding(), /*positions_left=*/1).status());
  DDPT_ASSIGN_OR_RETURN(ticket_, call_.Admit(Calls::Door::kGenerate));
  DDPT_ASSIGN_OR_RETURN(instruction_ids_,
                        InstructionIds(*resources_.base, InstructionOf(request_)));
  resources_.resolver->Resolve(request_.prompt(), "prompt", request_.sampling(), instruction_ids_,
                               call_.stop(), call_.trace(),
                               [self = shared_from_this()](absl::StatusOr<ResolvedPrompt> prompt) {
                                 self->Prompted(std::move(prompt));
                               });
  return absl::OkStatus();
}

void GenerateCall::Prompted(absl::StatusOr<ResolvedPrompt> prompt) {
  absl::Status status = prompt.status();
  if (status.ok()) status = Submit(*prompt);
  if (!status.ok()) End(std::move(status));
}

absl::Status GenerateCall::Submit(const ResolvedPrompt& prompt) {
  const ModelGeometry& geometry = resources_.base->model->geometry();
  DDPT_ASSIGN_OR_RETURN(const DecoderPrefix prefix, FromProto(request_.decoder_prefix()));
  auto request =
      std::make_shared<PromptedRequest>(WithPrompt(prompt, std::move(instruction_ids_), prefix));
  DDPT_ASSIGN_OR_RETURN(DecodingOptions decoding,
                        FromProto(request_.decoding(), PositionsLeft(*request, geometry)));
  DDPT_RETURN_IF_ERROR(ValidateRequest(*request, geometry, decoding.max_new_tokens));
  const absl::Status fits = CheckKvNeed(KvNeedOf(*request, decoding, geometry),
                                        *resources_.base->model, resources_.batch.kv_bytes);
  if (!fits.ok()) return WithReason(fits, kReasonTooLarge);
  input_tokens_ = static_cast<uint32_t>(InputTokens(*request, geometry));
  last_token_.resize(std::max(decoding.n, decoding.best_of));
  if (prompt.receipt) *head_.mutable_receipt() = *prompt.receipt;
  head_.set_prompt_id(prompt.prompt_id);

  GenerateJob::Options options;
  options.base = resources_.base;
  options.batch = resources_.batch;
  options.request = std::move(request);
  options.decoding = std::make_shared<const DecodingOptions>(std::move(decoding));
  options.sink = Sink(*options.decoding);
  options.stop = call_.stop();
  options.on_start = [self = shared_from_this()] { self->Started(); };
  options.done = [self = shared_from_this()](const absl::Status& status) { self->End(status); };
  options.on_kv_load = [&metrics = call_.calls().metrics(),
                        limit = resources_.batch.kv_bytes](size_t bytes) {
    metrics.KvCacheReserved(static_cast<double>(bytes) / static_cast<double>(limit));
  };
  span_ = call_.trace().Begin("queue");
  resources_.batcher->Submit(kGenerateKey, std::make_unique<GenerateJob>(std::move(options)),
                             std::move(ticket_));
  return absl::OkStatus();
}

// The encoder and the first token come in one step. Beams tell nothing before their end.
void GenerateCall::Started() {
  call_.Started();
  span_ = call_.trace().Begin(request_.decoding().num_beams() > 1 ? "decode" : "encode");
  span_.Set("ddpt.input_tokens", input_tokens_);
}

DeltaSink GenerateCall::Sink(const DecodingOptions& decoding) {
  DeltaSink tell = [self = shared_from_this()](const Delta& delta) { return self->Tell(delta); };
  if (decoding.best_of > 1) {
    tell = [best = std::make_shared<BestOf>(decoding, std::move(tell))](const Delta& delta) {
      return best->Take(delta);
    };
  }
  return [self = shared_from_this(), tell = std::move(tell)](const Delta& delta) {
    self->ObserveToken(delta);
    return tell(delta);
  };
}

bool GenerateCall::Tell(const Delta& delta) {
  v1::GenerateResponse response = ToProto(delta, input_tokens_);
  {
    std::lock_guard lock(mutex_);
    if (stalled_) return false;
    if (!head_sent_) {
      head_sent_ = true;
      response.MergeFrom(head_);
    }
    if (!queue_.Push(std::move(response))) {
      stalled_ = true;
      return false;
    }
  }
  WriteNext();
  return true;
}

void GenerateCall::ObserveToken(const Delta& delta) {
  if (delta.token_ids.empty()) return;
  Metrics& metrics = call_.calls().metrics();
  metrics.GeneratedTokens(delta.token_ids.size());
  if (output_tokens_ == 0 && request_.decoding().num_beams() <= 1) {
    span_ = call_.trace().Begin("decode");
  }
  output_tokens_ += static_cast<int64_t>(delta.token_ids.size());
  const TimePoint now = steady_clock::now();
  std::optional<TimePoint>& last = last_token_[delta.choice];
  if (last) {
    metrics.NextToken(now - *last);
  } else {
    metrics.FirstToken(call_.age());
  }
  last = now;
}

void GenerateCall::End(absl::Status status) {
  if (output_tokens_ > 0) span_.Set("ddpt.output_tokens", output_tokens_);
  span_.End();
  {
    std::lock_guard lock(mutex_);
    if (stalled_) {
      call_.calls().metrics().StreamStalled();
      status = WithReason(absl::ResourceExhaustedError(absl::StrCat(
                              "the reader is too slow: more than ", resources_.stream_buffer_bytes,
                              " bytes were waiting for it")),
                          "SLOW_READER");
      queue_.clear();
    }
    ended_ = std::move(status);
  }
  WriteNext();
}

}  // namespace ddpt
