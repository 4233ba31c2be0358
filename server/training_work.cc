#include "server/training_work.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/tuning/trainer.h"
#include "core/tuning/trunk_file.h"

namespace ddpt {
namespace {

using std::chrono::steady_clock;

constexpr int64_t kProgressEvents = 200;  // of a job, at most
constexpr double kLossMemory = 0.9;
// Of a prompt on the next token's distribution, nats; rounding alone is far below.
constexpr double kLeastEffect = 1e-6;
constexpr size_t kCandidateExamples = 64;

struct Texts {
  Dataset train;
  std::optional<Dataset> validation;  // of the caller's own
  DataSplit split;
};

absl::StatusOr<Texts> LoadTexts(const TrainingResources& resources, const TrainingPlan& plan) {
  Texts texts;
  DDPT_ASSIGN_OR_RETURN(texts.train, resources.datasets->Get(plan.dataset_digest));
  if (plan.validation_digest.empty()) {
    DDPT_ASSIGN_OR_RETURN(texts.split, SplitDataset(texts.train, plan.validation_share));
    return texts;
  }
  DDPT_ASSIGN_OR_RETURN(texts.validation, resources.datasets->Get(plan.validation_digest));
  DDPT_ASSIGN_OR_RETURN(texts.split, SplitDataset(texts.train, *texts.validation));
  return texts;
}

template <typename Example>
std::vector<Example> Chosen(const std::vector<Example>& examples,
                            std::span<const uint64_t> indices) {
  std::vector<Example> chosen;
  chosen.reserve(indices.size());
  for (const uint64_t index : indices) chosen.push_back(examples[index]);
  return chosen;
}

absl::StatusOr<Trainer::Data> Encode(const TrainingResources& resources, const TrainingPlan& plan,
                                     const Texts& texts) {
  const LanguageModel& model = *resources.base->model;
  const Tokenizer& tokenizer = *resources.base->tokenizer;
  Trainer::Data data;
  DDPT_RETURN_IF_ERROR(FitTuning(plan.options, model.geometry()));
  const int64_t context = EncoderPositions(model.geometry(), plan.options.context_length,
                                           PromptWidth(plan.options, model.geometry()));
  // Whole data sets, so that errors have the numbers that the caller knows the examples by.
  DDPT_ASSIGN_OR_RETURN(std::vector<EncodedExample> encoded,
                        EncodeExamples(model, tokenizer, texts.train, context));
  data.train = Chosen(encoded, texts.split.train);
  for (const uint64_t index : texts.split.train) {
    for (const auto& [name, value] : texts.train.examples[index].attributes) {
      data.attribute_names.insert(name);
    }
  }
  if (plan.options.conditional && data.attribute_names.size() > kMaxAttributes) {
    return FieldError("data", absl::StrCat("has attributes of ", data.attribute_names.size(),
                                           " names, above the limit of ", kMaxAttributes));
  }
  if (texts.validation) {
    DDPT_ASSIGN_OR_RETURN(encoded, EncodeExamples(model, tokenizer, *texts.validation, context));
  }
  data.validation = Chosen(encoded, texts.split.validation);
  DDPT_ASSIGN_OR_RETURN(data.context_ids,
                        tokenizer.Encode(plan.context_text, {.field = "options.context_text"}));
  if (data.context_ids.empty()) return FieldError("options.context_text", "holds no tokens");
  data.start = plan.start;
  const int64_t width = PromptWidth(plan.options, model.geometry());
  if (!data.start.shape.empty() && data.start.shape[1] != width) {
    return FieldError("start_prompt", absl::StrCat("is ", data.start.shape[1],
                                                   " wide, but the method's prompts are ", width));
  }
  return data;
}

JobWork::Piece Finishing(const nlohmann::json& metrics, const std::string& message) {
  return {.next = JobWork::Next::kFinish,
          .event = nlohmann::json({{"metrics", metrics}, {"message", message}}).dump()};
}

// Without the file a job computes more, and gives the same.
std::unique_ptr<TrunkFile> OpenTrunks(const TrainingResources& resources) {
  if (resources.trunk_file_bytes == 0) return nullptr;
  auto file = TrunkFile::Open(resources.trunk_directory, TrunkIdentity(*resources.base->model),
                              resources.trunk_file_bytes);
  return file.ok() ? *std::move(file) : nullptr;
}

class TrainingWork final : public JobWork {
 public:
  TrainingWork(const TrainingResources& resources, TrainingPlan plan, std::string id,
               std::unique_ptr<TrunkFile> trunks, std::unique_ptr<Trainer> trainer)
      : resources_(resources),
        plan_(std::move(plan)),
        id_(std::move(id)),
        trunks_(std::move(trunks)),
        trainer_(std::move(trainer)),
        start_(trainer_->SaveState()) {}

  absl::StatusOr<Piece> Run(Job& job, const StopToken& stop) override;
  absl::Status Save(const Job& job) override;
  absl::Status Finish(Job& job) override;

 private:
  absl::StatusOr<Piece> Step(Job& job);
  absl::StatusOr<Piece> GoBack(Job& job, const absl::Status& why);
  absl::StatusOr<Piece> Validate(Job& job, const StopToken& stop);
  absl::StatusOr<Piece> Judge(const StopToken& stop);
  absl::StatusOr<std::string> KeepValidationSet() const;

  const TrainingResources& resources_;
  const TrainingPlan plan_;
  const std::string id_;
  const std::unique_ptr<TrunkFile> trunks_;  // of trainer_; may be null
  const std::unique_ptr<Trainer> trainer_;
  const std::string start_;   // the trainer's state where nothing is saved yet
  bool unvalidated_ = false;  // a validation is due: what Save kept would miss it
  bool promote_ = false;
};

absl::StatusOr<JobWork::Piece> TrainingWork::Run(Job& job, const StopToken& stop) {
  if (unvalidated_) return Validate(job, stop);
  if (trainer_->done()) return Judge(stop);
  return Step(job);
}

absl::StatusOr<JobWork::Piece> TrainingWork::Step(Job& job) {
  const TimePoint start = steady_clock::now();
  const absl::StatusOr<StepReport> stepped = trainer_->Step();
  if (!stepped.ok()) return GoBack(job, stepped.status());
  const StepReport& report = *stepped;
  const std::chrono::nanoseconds time = steady_clock::now() - start;
  if (resources_.on_step) resources_.on_step(plan_.task, report.loss, time);
  unvalidated_ = trainer_->validation_due();
  job.step = trainer_->step();
  job.train_loss = job.train_loss == 0
                       ? report.loss
                       : kLossMemory * job.train_loss + (1 - kLossMemory) * report.loss;
  const int64_t every = (plan_.options.steps + kProgressEvents - 1) / kProgressEvents;
  if (trainer_->step() % every != 0) return Piece{};
  nlohmann::json metrics = report.tuner;
  metrics["loss"] = report.loss;
  metrics["prompt_rms"] = report.prompt_rms;
  metrics["prompt_variance"] = report.prompt_variance;
  metrics["step_seconds"] = std::chrono::duration<double>(time).count();
  const nlohmann::json event = {{"metrics", std::move(metrics)}};
  return Piece{.next = Next::kRun, .event = event.dump()};
}

// To what was saved last, or the start, after a step that could not be taken.
absl::StatusOr<JobWork::Piece> TrainingWork::GoBack(Job& job, const absl::Status& why) {
  DDPT_ASSIGN_OR_RETURN(const std::string saved, resources_.jobs->ReadCheckpoint(id_));
  if (!trainer_->CalmDown(saved.empty() ? start_ : saved).ok()) return why;
  job.step = trainer_->step();
  const std::string message = absl::StrCat(why.message(), ". Back to step ", job.step,
                                           ", with half the learning rate or step size");
  return Piece{.next = Next::kSave, .event = nlohmann::json({{"message", message}}).dump()};
}

absl::StatusOr<JobWork::Piece> TrainingWork::Validate(Job& job, const StopToken& stop) {
  DDPT_ASSIGN_OR_RETURN(const ValidationReport report, trainer_->Validate(stop));
  unvalidated_ = false;
  job.validation_nll = trainer_->best_nll();
  job.validation_nll_none = report.nll_none;
  const nlohmann::json event = {
      {"metrics",
       {{"validation_nll", report.nll},
        {"validation_nll_none", report.nll_none},
        {"served_prompt_rms", report.prompt_rms},
        {"prompt_effect", report.prompt_effect}}},
      {"message", absl::StrFormat("validation %.4f%s, without a prompt %.4f", report.nll,
                                  report.best ? " (best)" : "", report.nll_none)}};
  return Piece{.next = Next::kSave, .event = event.dump()};
}

// Whether the new version is to be the active one.
absl::StatusOr<JobWork::Piece> TrainingWork::Judge(const StopToken& stop) {
  const Piece finish{.next = Next::kFinish, .event = ""};
  if (plan_.promote == TrainingPlan::Promote::kNever) return finish;
  DDPT_ASSIGN_OR_RETURN(const std::string file, trainer_->BestDenoiser());
  DDPT_ASSIGN_OR_RETURN(const std::shared_ptr<const Denoiser> trained,
                        Denoiser::Parse(file, "trained denoiser"));
  DDPT_ASSIGN_OR_RETURN(const ValidationReport own,
                        trainer_->Measure(trained, plan_.options.validation, stop));
  promote_ = own.prompt_effect > kLeastEffect;
  if (!promote_)
    return Finishing(
        {{"prompt_effect", own.prompt_effect}},
        "the prompts do not change what the model says: kept beside the active version");
  if (plan_.promote != TrainingPlan::Promote::kIfBetter) return finish;
  const absl::StatusOr<TaskVersion> active = resources_.registry->GetVersion(plan_.task, 0);
  if (absl::IsUnavailable(active.status())) return active.status();
  if (!active.ok()) return finish;
  DDPT_ASSIGN_OR_RETURN(const std::string path, resources_.registry->FetchDenoiser(active->digest));
  DDPT_ASSIGN_OR_RETURN(const std::shared_ptr<const Denoiser> denoiser, Denoiser::Load(path));
  const DenoiserSpec& spec = denoiser->spec();
  if (spec.base_model_digest != resources_.base->model->digest()) return finish;
  const SamplingOptions sampling{
      .sampler = DefaultSampler(spec.reading),
      .steps = std::min(plan_.options.validation.steps, spec.train_steps)};
  DDPT_ASSIGN_OR_RETURN(const ValidationReport report, trainer_->Measure(denoiser, sampling, stop));
  promote_ = trainer_->best_nll() < report.nll;
  return Finishing(
      {{"active_validation_nll", report.nll}},
      absl::StrFormat("validation %.4f, of the active version %.4f: %s", trainer_->best_nll(),
                      report.nll, promote_ ? "becomes the active one" : "is kept beside it"));
}

// What best_of scores candidates on: the first validation examples. Returns their digest.
absl::StatusOr<std::string> TrainingWork::KeepValidationSet() const {
  DDPT_ASSIGN_OR_RETURN(const Texts texts, LoadTexts(resources_, plan_));
  const Dataset& from = texts.validation ? *texts.validation : texts.train;
  std::span<const uint64_t> indices = texts.split.validation;
  indices = indices.first(std::min(indices.size(), kCandidateExamples));
  DDPT_ASSIGN_OR_RETURN(const Dataset kept, MakeDataset(Chosen(from.examples, indices)));
  DDPT_ASSIGN_OR_RETURN(const StoredDataset stored, resources_.datasets->Put(kept));
  return stored.digest;
}

absl::Status TrainingWork::Save(const Job& job) {
  if (unvalidated_) return absl::OkStatus();
  DDPT_RETURN_IF_ERROR(
      Annotate(resources_.jobs->SaveCheckpoint(job, trainer_->SaveState()), "checkpoint"));
  if (resources_.on_saved) resources_.on_saved();
  return absl::OkStatus();
}

absl::Status TrainingWork::Finish(Job& job) {
  DDPT_ASSIGN_OR_RETURN(const std::string file, trainer_->BestDenoiser());
  DDPT_ASSIGN_OR_RETURN(const std::string validation, KeepValidationSet());
  DDPT_ASSIGN_OR_RETURN(
      const TaskVersion version,
      resources_.catalog->Import(plan_.task, file,
                                 promote_ ? Promotion::kAlways : Promotion::kNever, validation));
  job.version = version.version;
  job.denoiser_digest = version.digest;
  return absl::OkStatus();
}

// Where the checkpoint is damaged the job begins anew, and comes to the same, only later.
absl::Status Restore(JobStore& jobs, const Job& job, Trainer& trainer) {
  const absl::StatusOr<std::string> state = jobs.ReadCheckpoint(job.id);
  if (state.ok() && state->empty()) return absl::OkStatus();
  const absl::Status restored = state.ok() ? trainer.RestoreState(*state) : state.status();
  return absl::IsDataLoss(restored) ? jobs.SaveCheckpoint(job, trainer.SaveState()) : restored;
}

}  // namespace

absl::StatusOr<DataSplit> CheckTrainingData(const TrainingResources& resources,
                                            const TrainingPlan& plan) {
  DDPT_ASSIGN_OR_RETURN(Texts texts, LoadTexts(resources, plan));
  DDPT_RETURN_IF_ERROR(Encode(resources, plan, texts).status());
  return std::move(texts.split);
}

absl::StatusOr<std::unique_ptr<JobWork>> MakeTrainingWork(const TrainingResources& resources,
                                                          TrainingPlan plan, const Job& job) {
  DDPT_ASSIGN_OR_RETURN(const Texts texts, LoadTexts(resources, plan));
  DDPT_ASSIGN_OR_RETURN(Trainer::Data data, Encode(resources, plan, texts));
  std::unique_ptr<TrunkFile> trunks = OpenTrunks(resources);
  DDPT_ASSIGN_OR_RETURN(auto trainer,
                        Trainer::Create(resources.base->model, plan.options, std::move(data),
                                        {resources.trunk_memory_bytes, trunks.get()}));
  DDPT_RETURN_IF_ERROR(Annotate(Restore(*resources.jobs, job, *trainer), "checkpoint"));
  return std::make_unique<TrainingWork>(resources, std::move(plan), job.id, std::move(trunks),
                                        std::move(trainer));
}

}  // namespace ddpt
