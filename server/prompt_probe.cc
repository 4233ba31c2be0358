#include "server/prompt_probe.h"

#include <utility>

#include "core/base/status.h"
#include "core/decoding/request.h"
#include "core/decoding/scorer.h"
#include "server/convert_code.h"

namespace ddpt {
namespace {

constexpr char kInstruction[] = "add two numbers";
constexpr char kAnswer[] = "def add(a, b):\n    return a + b\n";

}  // namespace

PromptProbe::PromptProbe(std::shared_ptr<const BaseModel> base, PromptMaker& maker,
                         StreamPool& pool, Metrics& metrics, const Log& log)
    : base_(std::move(base)), resolver_(base_, maker), pool_(pool), metrics_(metrics), log_(log) {}

absl::StatusOr<std::unique_ptr<PromptProbe>> PromptProbe::Create(
    std::shared_ptr<const BaseModel> base, PromptMaker& maker, StreamPool& pool, Metrics& metrics,
    const Log& log) {
  const BaseModel& model = *base;
  std::unique_ptr<PromptProbe> probe(new PromptProbe(std::move(base), maker, pool, metrics, log));
  DDPT_ASSIGN_OR_RETURN(
      probe->instruction_ids_,
      EncodeInstruction(*model.tokenizer, model.model->geometry().habits, kInstruction));
  DDPT_ASSIGN_OR_RETURN(probe->answer_ids_, model.tokenizer->Encode(kAnswer, {.field = "code"}));
  return probe;
}

PromptProbe::~PromptProbe() {
  stop_.Cancel();
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return running_ == 0; });
}

void PromptProbe::Measure(const std::string& task) {
  {
    std::lock_guard lock(mutex_);
    ++running_;
  }
  v1::PromptSource source;
  source.set_task(task);
  v1::SamplingOptions sampling;
  sampling.set_seed(0);
  resolver_.Resolve(source, "task", sampling, instruction_ids_, stop_.token(), {},
                    [this, task](const absl::StatusOr<ResolvedPrompt>& prompt) {
                      if (!prompt.ok()) return End(task, prompt.status());
                      MeasureUnder(task, *prompt);
                    });
}

void PromptProbe::MeasureUnder(const std::string& task, const ResolvedPrompt& prompt) {
  const PromptedRequest request = WithPrompt(prompt, instruction_ids_, DecoderPrefix::kHabit);
  const absl::Status status =
      pool_.Submit({.key = "probe",
                    .priority = Priority::kBackground,
                    .stop = stop_.token(),
                    .run =
                        [this, task, request](Stream&) {
                          End(task, PromptEffect(*base_->model, request, answer_ids_));
                          return Progress::kDone;
                        },
                    .on_error = [this, task](const absl::Status& error) { End(task, error); }});
  if (!status.ok()) End(task, status);
}

void PromptProbe::End(const std::string& task, const absl::StatusOr<double>& effect) {
  if (effect.ok()) {
    metrics_.PromptEffect(task, *effect);
  } else if (!absl::IsCancelled(effect.status())) {
    log_.Warn("prompt effect not measured",
              {{"task", task}, {"message", std::string(effect.status().message())}});
  }
  std::lock_guard lock(mutex_);
  if (--running_ == 0) idle_.notify_all();
}

}  // namespace ddpt
