#include "server/evaluate_call.h"

#include <algorithm>
#include <future>
#include <limits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/pause.h"
#include "core/base/status.h"
#include "core/decoding/scorer.h"
#include "server/convert.h"
#include "server/convert_code.h"
#include "server/evaluation_plan.h"
#include "server/status.h"
#include "server/training_plan.h"

namespace ddpt {
namespace {

constexpr uint64_t kMaxOutcomes = 200'000;
constexpr size_t kMessageBytes = 256 << 10;  // about, of outcomes

std::string Numbered(uint64_t example) { return absl::StrCat("example ", example + 1); }

}  // namespace

EvaluateCall::EvaluateCall(Calls& calls, const Metrics::Method& method,
                           grpc::CallbackServerContext& context, const EvaluateResources& resources,
                           const v1::EvaluateRequest& request)
    : StreamReactor(calls, method, context), resources_(resources), request_(request) {}

EvaluateCall* EvaluateCall::Start(Calls& calls, const Metrics::Method& method,
                                  grpc::CallbackServerContext& context,
                                  const EvaluateResources& resources,
                                  const v1::EvaluateRequest& request) {
  auto call = std::make_shared<EvaluateCall>(calls, method, context, resources, request);
  call->reacting_ = call;
  absl::Status status = call->call_.Begin("");
  if (status.ok()) status = call->Begin();
  if (!status.ok()) call->End(std::move(status));
  return call.get();
}

absl::Status EvaluateCall::Begin() {
  DDPT_RETURN_IF_ERROR(ValidateEvaluation(request_));
  DDPT_ASSIGN_OR_RETURN(ticket_, call_.Admit(Calls::Door::kGenerate));
  span_ = call_.trace().Begin("queue");
  const absl::Status queued = resources_.thread->Submit(
      {.key = "evaluate",
       .stop = call_.stop(),
       .run =
           [self = shared_from_this()](Stream&) {
             self->ticket_.Start();
             self->call_.Started();
             self->span_ = self->call_.trace().Begin("evaluate");
             self->End(self->Run());
             return Progress::kDone;
           },
       .on_error = [self = shared_from_this()](const absl::Status& error) { self->End(error); }});
  return absl::IsResourceExhausted(queued) ? WithReason(queued, kReasonQueueFull) : queued;
}

absl::Status EvaluateCall::Run() {
  DDPT_ASSIGN_OR_RETURN(const Dataset data, ReadData());
  const auto contenders = static_cast<uint32_t>(request_.contenders_size());
  const uint64_t total = contenders * data.examples.size();
  if (total > kMaxOutcomes) {
    return FieldError("data", absl::StrCat(data.examples.size(), " examples under ", contenders,
                                           " contenders are more than ", kMaxOutcomes));
  }
  DDPT_ASSIGN_OR_RETURN(const std::string key, Key(data));
  DDPT_ASSIGN_OR_RETURN(const auto log, EvaluationLog::Open(resources_.directory, key));
  prompts_.resize(contenders);
  v1::EvaluateResponse response;
  response.set_examples_total(total);
  for (uint32_t contender = 0; contender < contenders; ++contender) {
    for (uint64_t first = 0; first < data.examples.size(); first += resources_.batch) {
      std::vector<uint64_t> missing;
      const uint64_t end = std::min<uint64_t>(first + resources_.batch, data.examples.size());
      for (uint64_t example = first; example < end; ++example) {
        if (!log->outcomes().contains({contender, example})) missing.push_back(example);
      }
      if (missing.empty()) continue;
      if (*resources_.stopping) {
        return WithReason(absl::UnavailableError("draining: asked again, it goes on from here"),
                          kReasonDraining);
      }
      DDPT_RETURN_IF_ERROR(RunPiece(contender, data, missing, *log));
      response.set_examples_done(log->outcomes().size());
      Tell(response);
    }
  }
  response.set_examples_done(total);
  DDPT_ASSIGN_OR_RETURN(const auto table, TableOf(request_, data, log->outcomes(), call_.stop()));
  response.mutable_table()->Assign(table.begin(), table.end());
  Tell(std::move(response), request_.outcomes() ? log->outcomes() : Outcomes());
  return absl::OkStatus();
}

absl::StatusOr<Dataset> EvaluateCall::ReadData() const {
  if (request_.data_case() == v1::EvaluateRequest::kDatasetDigest) {
    return resources_.datasets->Get(request_.dataset_digest());
  }
  return MakeDataset(FromProto(request_.examples()));
}

// Changes with whatever the outcomes depend on.
absl::StatusOr<std::string> EvaluateCall::Key(const Dataset& data) {
  v1::EvaluateRequest measured;
  measured.set_dataset_digest(data.digest);
  *measured.mutable_decoding() = request_.decoding();
  measured.set_seed(request_.seed());
  Sha256 key;
  key.Update(resources_.base->model->digest());
  for (const auto& contender : request_.contenders()) {
    auto& measured_contender = *measured.add_contenders();
    *measured_contender.mutable_prompt() = contender.prompt();
    if (contender.has_sampling()) *measured_contender.mutable_sampling() = contender.sampling();
    pinned_.emplace_back();
    if (contender.prompt().source_case() != v1::PromptSource::kTask) continue;
    DDPT_ASSIGN_OR_RETURN(const TaskVersion version,
                          resources_.registry->GetVersion(contender.prompt().task(), 0));
    key.Update(pinned_.back() = version.digest);
  }
  key.Update(measured.SerializeAsString());
  return absl::BytesToHexString(key.Finish());
}

absl::Status EvaluateCall::RunPiece(uint32_t contender, const Dataset& data,
                                    const std::vector<uint64_t>& examples, EvaluationLog& log) {
  std::vector<PromptedRequest> prompted;
  for (const uint64_t example : examples) {
    auto request = Prompted(contender, data.examples[example]);
    if (!request.ok()) return Annotate(request.status(), Numbered(example));
    prompted.push_back(*std::move(request));
  }
  std::promise<absl::StatusOr<Outcomes>> measured;
  StreamPool& pool = *resources_.pool;
  DDPT_RETURN_IF_ERROR(
      pool.Submit({.key = "evaluate",
                   .priority = Priority::kBackground,
                   .stop = call_.stop(),
                   .run =
                       [&](Stream&) {
                         const PauseScope scope([&] { pool.GiveWay(); });
                         measured.set_value(Measure(contender, data, examples, prompted));
                         return Progress::kDone;
                       },
                   .on_error = [&](const absl::Status& error) { measured.set_value(error); }}));
  DDPT_ASSIGN_OR_RETURN(const Outcomes outcomes, measured.get_future().get());
  return log.Add(outcomes);
}

absl::StatusOr<PromptedRequest> EvaluateCall::Prompted(uint32_t contender,
                                                       const TrainingExample& example) {
  DDPT_ASSIGN_OR_RETURN(
      std::vector<uint32_t> ids,
      EncodeInstruction(*resources_.base->tokenizer, resources_.base->model->geometry().habits,
                        example.instruction));
  if (prompts_[contender]) {
    return WithPrompt(*prompts_[contender], std::move(ids), DecoderPrefix::kHabit);
  }
  DDPT_ASSIGN_OR_RETURN(const ResolvedPrompt prompt, Resolve(contender, ids, example.attributes));
  // A prompt by its id tells its version itself.
  const std::string& pinned = pinned_[contender];
  if (prompt.receipt && !pinned.empty() && prompt.receipt->denoiser_digest() != pinned) {
    return absl::AbortedError(absl::StrCat("task \"", prompt.task, "\" has another active version ",
                                           "than when the evaluation began"));
  }
  if (!prompt.conditional) prompts_[contender] = prompt;
  return WithPrompt(prompt, std::move(ids), DecoderPrefix::kHabit);
}

absl::StatusOr<ResolvedPrompt> EvaluateCall::Resolve(uint32_t contender,
                                                     const std::vector<uint32_t>& instruction_ids,
                                                     const Attributes& attributes) {
  const auto& resolving = request_.contenders(static_cast<int>(contender));
  v1::SamplingOptions sampling = resolving.sampling();
  if (!sampling.has_seed()) sampling.set_seed(request_.seed());
  v1::PromptSource source = resolving.prompt();
  if (!attributes.empty() && (source.has_task() || source.has_prompt_id())) {
    *source.mutable_attributes() = {attributes.begin(), attributes.end()};
  }
  auto resolved = std::make_shared<std::promise<absl::StatusOr<ResolvedPrompt>>>();
  resources_.resolver->Resolve(source, "contenders.prompt", sampling, instruction_ids, call_.stop(),
                               {}, [resolved](absl::StatusOr<ResolvedPrompt> prompt) {
                                 resolved->set_value(std::move(prompt));
                               });
  return resolved->get_future().get();
}

absl::StatusOr<EvaluateCall::Outcomes> EvaluateCall::Measure(
    uint32_t contender, const Dataset& data, const std::vector<uint64_t>& examples,
    const std::vector<PromptedRequest>& prompted) const {
  const BaseModel& base = *resources_.base;
  const ModelGeometry& geometry = base.model->geometry();
  std::vector<std::vector<uint32_t>> answers;
  uint64_t positions = std::numeric_limits<uint64_t>::max();
  for (size_t i = 0; i < examples.size(); ++i) {
    auto ids = base.tokenizer->Encode(data.examples[examples[i]].code, {.field = "code"});
    if (!ids.ok()) return Annotate(ids.status(), Numbered(examples[i]));
    ids->push_back(geometry.end_token);
    answers.push_back(*std::move(ids));
    positions = std::min(positions, PositionsLeft(prompted[i], geometry));
  }
  DDPT_ASSIGN_OR_RETURN(const DecodingOptions decoding, FromProto(request_.decoding(), positions));
  DDPT_ASSIGN_OR_RETURN(const auto scores,
                        ScoreAll(*base.model, prompted, answers, resources_.batch, call_.stop()));
  DDPT_ASSIGN_OR_RETURN(
      const auto generations,
      GenerateAll(base.model, base.tokenizer, prompted, decoding, resources_.batch, call_.stop()));
  Outcomes outcomes;
  for (size_t i = 0; i < examples.size(); ++i) {
    outcomes[{contender, examples[i]}] = {generations[i].text, scores[i].nll_sum,
                                          answers[i].size()};
  }
  return outcomes;
}

void EvaluateCall::Tell(v1::EvaluateResponse response, Outcomes outcomes) {
  {
    std::lock_guard lock(mutex_);
    waiting_ = std::move(response);
    untold_ = std::move(outcomes);
  }
  WriteNext();
}

std::optional<v1::EvaluateResponse> EvaluateCall::Pop() {
  if (waiting_) return std::exchange(waiting_, std::nullopt);
  if (untold_.empty()) return std::nullopt;
  return NextOutcomes();
}

v1::EvaluateResponse EvaluateCall::NextOutcomes() {
  v1::EvaluateResponse response;
  for (size_t bytes = 0; bytes < kMessageBytes && !untold_.empty();) {
    const auto node = untold_.extract(untold_.begin());
    const auto& [contender, example] = node.key();
    const EvaluationOutcome& from = node.mapped();
    auto& outcome = *response.add_outcomes();
    outcome.set_contender(request_.contenders(static_cast<int>(contender)).name());
    outcome.set_example(example);
    outcome.set_code(from.code);
    outcome.set_nll(from.nll / static_cast<double>(from.tokens));
    bytes += outcome.ByteSizeLong();
  }
  return response;
}

void EvaluateCall::Drop() {
  waiting_.reset();
  untold_.clear();
}

void EvaluateCall::End(absl::Status status) {
  ticket_ = Admission::Ticket();
  span_.End();
  {
    std::lock_guard lock(mutex_);
    ended_ = std::move(status);
  }
  WriteNext();
}

}  // namespace ddpt
