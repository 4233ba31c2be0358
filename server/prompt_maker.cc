#include "server/prompt_maker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/digest.h"
#include "core/base/status.h"
#include "core/diffusion/prompt_id.h"
#include "server/convert.h"

namespace ddpt {
namespace {

constexpr size_t kDigestBytes = 16;
constexpr uint64_t kMostNumbers = uint64_t{1} << 26;  // of one request's draws, kept until the last

size_t BestOf(const v1::SampleRequest& request) {
  return std::max<size_t>(request.sampling().best_of(), 1);
}

uint32_t Checksum(const Tensor& prompt) {
  return Crc32c(
      {reinterpret_cast<const char*>(prompt.data.data()), prompt.data.size() * sizeof(float)});
}

absl::Status DecodeNoise(const v1::SampleRequest& request, const DenoiserSpec& spec, Draws& draws) {
  if (!request.has_initial_noise()) return absl::OkStatus();
  std::vector<int64_t> expected = {spec.context_length, spec.width};
  if (draws.count > 1 || request.initial_noise().shape_size() == 3) {
    expected.insert(expected.begin(), static_cast<int64_t>(draws.count));
  }
  DDPT_ASSIGN_OR_RETURN(draws.initial_noise,
                        FromProto(request.initial_noise(), "initial_noise", expected));
  return absl::OkStatus();
}

// Those that say something to this version.
absl::StatusOr<Attributes> AttributesFor(
    const LoadedTask& task, const google::protobuf::Map<std::string, std::string>& given) {
  const Attributes attributes(given.begin(), given.end());
  const absl::Status status = ValidateAttributes(attributes);
  if (!status.ok()) return FieldError("attributes", std::string(status.message()));
  const auto& metadata = task.engine->spec().extra;
  const auto known = metadata.find(kAttributeNames);
  if (known == metadata.end()) return Attributes();
  const std::set<std::string> names = SplitNames(known->second);
  for (const auto& [name, value] : attributes) {
    if (names.contains(name)) continue;
    return FieldError(
        "attributes",
        absl::StrCat("\"", name, "\" is none of those that version ", task.version, " of task \"",
                     task.task, "\" was trained with: ", absl::StrJoin(names, ", ")));
  }
  return attributes;
}

absl::Status CheckBestOf(const v1::SampleRequest& request, const LoadedTask& task, size_t draws,
                         const RequestLimits& limits) {
  const auto refuse = [&](const auto&... why) {
    return FieldError("sampling.best_of", absl::StrCat(request.sampling().best_of(), why...));
  };
  if (task.engine->spec().condition_width > 0) {
    return refuse(" is above 1, but task \"", task.task,
                  "\" is conditional: its validation set has other instructions");
  }
  if (task.validation_digest.empty() && !request.sampling().has_best_of_examples()) {
    return refuse(" is above 1, which needs best_of_examples or a validation set; version ",
                  task.version, " of task \"", task.task,
                  "\" has none, since it was not trained here");
  }
  if (request.has_initial_noise()) return refuse(" is above 1, but initial_noise is given");
  if (draws <= limits.max_count) return absl::OkStatus();
  return refuse(" draws for each of the prompts are ", draws, ", above the limit of ",
                limits.max_count);
}

// What draws are chosen by.
absl::StatusOr<CandidateScorer::Examples> JudgesOf(const v1::SampleRequest& request,
                                                   const LoadedTask& task) {
  if (!request.sampling().has_best_of_examples()) return task.validation_digest;
  absl::StatusOr<Dataset> own = MakeDataset(FromProto(request.sampling().best_of_examples()));
  if (own.ok()) return *std::move(own);
  return Annotate(own.status(), "sampling.best_of_examples");
}

absl::Status Prepare(const v1::SampleRequest& request, const LoadedTask& task,
                     const RequestLimits& limits, Draws& draws) {
  const DenoiserSpec& spec = draws.engine->spec();
  const size_t count = request.has_count() ? request.count() : 1;
  DDPT_RETURN_IF_ERROR(ValidateResponseSize(count, request.omit_embedding(),
                                            request.embedding_dtype(), spec, limits));
  draws.count = count * BestOf(request);
  if (draws.count * static_cast<uint64_t>(spec.size()) > kMostNumbers) {
    return FieldError("count", absl::StrCat(draws.count, " draws of ", spec.size(),
                                            " numbers are above the limit of ", kMostNumbers));
  }
  if (BestOf(request) > 1) DDPT_RETURN_IF_ERROR(CheckBestOf(request, task, draws.count, limits));
  DDPT_ASSIGN_OR_RETURN(draws.options, FromProto(request.sampling(), spec));
  draws.full_space_noise = request.sampling().full_space_noise();
  draws.anytime = request.sampling().anytime();
  draws.seed = request.sampling().has_seed() ? request.sampling().seed() : RandomSeed();
  return DecodeNoise(request, spec, draws);
}

absl::Status Prepare(const v1::ReplayRequest& request, const PromptRecipe& recipe,
                     const RequestLimits& limits, Draws& draws) {
  DDPT_RETURN_IF_ERROR(ValidateResponseSize(1, request.omit_embedding(), request.embedding_dtype(),
                                            draws.engine->spec(), limits));
  DDPT_RETURN_IF_ERROR(
      Annotate(ValidateSampling(recipe.options, draws.engine->spec()), "prompt_id"));
  draws.options = recipe.options;
  draws.full_space_noise = recipe.full_space_noise;
  draws.seed = recipe.seed;
  draws.first_draw = recipe.draw;
  return absl::OkStatus();
}

}  // namespace

// One request on its way.
struct PromptMaker::Job {
  Caller caller;
  Done done;
  const v1::SampleRequest* sample = nullptr;  // this,
  const v1::ReplayRequest* replay = nullptr;  // or this with `recipe`
  PromptRecipe recipe;                        // becomes that of the draws
  LoadedTask task;
  Draws draws;
  CandidateScorer::Examples judges;  // of the draws, where the best are wanted
  Span span;                         // of what is done at present

  void Now(std::string_view part) { span = caller.trace.Begin(part); }
  void Fail(const absl::Status& status) { done(status); }
  bool scores() const { return sample != nullptr && BestOf(*sample) > 1; }
  std::string ArithmeticClass() const {
    return draws.full_space_noise ? kFloat32Class : draws.engine->arithmetic_class();
  }
  absl::Status CheckClass() const;
  absl::StatusOr<std::string> IdOf(const Tensor& prompt, size_t index) const;
  absl::Status CheckReplay(const Tensor& prompt, MadePrompts& made) const;
  void End(absl::StatusOr<DrawnPrompts> drawn);
  MadePrompts Begun() const;
  absl::StatusOr<MadePrompts> Made(DrawnPrompts drawn) const;
  absl::StatusOr<MadePrompts> Best(DrawnPrompts drawn, const std::vector<double>& nll) const;
};

absl::StatusOr<std::string> PromptMaker::Job::IdOf(const Tensor& prompt, size_t index) const {
  if (!draws.initial_noise.data.empty()) return "";
  PromptRecipe made = recipe;
  made.task = task.task;
  made.denoiser_digest = absl::HexStringToBytes(
      absl::string_view(task.engine->denoiser().digest()).substr(0, 2 * kDigestBytes));
  made.seed = draws.seed;
  made.draw = draws.first_draw + index;
  made.options = draws.options;
  made.full_space_noise = draws.full_space_noise;
  made.arithmetic_class = ArithmeticClass();
  made.checksum = Checksum(prompt);
  return EncodePromptId(made);
}

// Told before the work is done, where only the class is in the way.
absl::Status PromptMaker::Job::CheckClass() const {
  if (replay == nullptr || !replay->require_exact()) return absl::OkStatus();
  if (recipe.arithmetic_class == ArithmeticClass()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("require_exact: the prompt was made with arithmetic ", recipe.arithmetic_class,
                   ", this server has ", ArithmeticClass()));
}

absl::Status PromptMaker::Job::CheckReplay(const Tensor& prompt, MadePrompts& made) const {
  made.exact_replay =
      recipe.arithmetic_class == ArithmeticClass() && recipe.checksum == Checksum(prompt);
  if (*made.exact_replay || !replay->require_exact()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("require_exact: the prompt was made with arithmetic ", recipe.arithmetic_class,
                   " and crc32c ", absl::Hex(recipe.checksum), "; here it is ", ArithmeticClass(),
                   " and ", absl::Hex(Checksum(prompt))));
}

MadePrompts PromptMaker::Job::Begun() const {
  MadePrompts made;
  made.task = task;
  made.seed = draws.seed;
  made.options = draws.options;
  made.arithmetic_class = ArithmeticClass();
  return made;
}

absl::StatusOr<MadePrompts> PromptMaker::Job::Made(DrawnPrompts drawn) const {
  MadePrompts made = Begun();
  if (replay != nullptr) {
    DDPT_RETURN_IF_ERROR(CheckReplay(drawn.prompts.front(), made));
    made.prompt_ids = {replay->prompt_id()};
  } else {
    for (size_t i = 0; i < drawn.prompts.size(); ++i) {
      DDPT_ASSIGN_OR_RETURN(std::string id, IdOf(drawn.prompts[i], i));
      made.prompt_ids.push_back(std::move(id));
    }
  }
  made.drawn = std::move(drawn);
  return made;
}

// Of each prompt's candidates the one with the smallest cross-entropy, the first of equals.
absl::StatusOr<MadePrompts> PromptMaker::Job::Best(DrawnPrompts drawn,
                                                   const std::vector<double>& nll) const {
  MadePrompts made = Begun();
  made.drawn.stats = drawn.stats;
  const auto candidates = static_cast<ptrdiff_t>(BestOf(*sample));
  for (auto first = nll.begin(); first != nll.end(); first += candidates) {
    const auto best = std::min_element(first, first + candidates);
    Tensor& prompt = drawn.prompts[best - nll.begin()];
    DDPT_ASSIGN_OR_RETURN(std::string id, IdOf(prompt, best - nll.begin()));
    made.prompt_ids.push_back(std::move(id));
    made.validation_nll.push_back(*best);
    made.drawn.prompts.push_back(std::move(prompt));
  }
  return made;
}

void PromptMaker::Job::End(absl::StatusOr<DrawnPrompts> drawn) {
  if (!drawn.ok()) return Fail(drawn.status());
  done(Made(*std::move(drawn)));
}

PromptMaker::PromptMaker(TaskCatalog& catalog, PromptSampler& sampler, ConditionEncoder encoder,
                         const CandidateScorer* scorer, RequestLimits limits)
    : catalog_(catalog),
      sampler_(sampler),
      encoder_(std::move(encoder)),
      scorer_(scorer),
      limits_(limits) {}

void PromptMaker::Sample(const v1::SampleRequest& request, Caller caller, Done done) {
  auto job = std::make_shared<Job>();
  job->caller = std::move(caller);
  job->done = std::move(done);
  job->sample = &request;
  const auto version = request.has_version() ? std::optional(request.version()) : std::nullopt;
  job->Now("load");
  catalog_.Load(request.task(), version, [this, job](absl::StatusOr<LoadedTask> loaded) {
    if (!loaded.ok()) return job->Fail(loaded.status());
    job->task = *std::move(loaded);
    Start(job);
  });
}

void PromptMaker::Replay(const v1::ReplayRequest& request, Caller caller, Done done) {
  absl::StatusOr<PromptRecipe> recipe = DecodePromptId(request.prompt_id());
  if (!recipe.ok()) return done(recipe.status());
  auto job = std::make_shared<Job>();
  job->caller = std::move(caller);
  job->done = std::move(done);
  job->replay = &request;
  job->recipe = *std::move(recipe);
  job->Now("load");
  catalog_.LoadByDigest(job->recipe.task, job->recipe.denoiser_digest,
                        [this, job](absl::StatusOr<LoadedTask> loaded) {
                          if (!loaded.ok()) return job->Fail(loaded.status());
                          job->task = *std::move(loaded);
                          Start(job);
                        });
}

void PromptMaker::Start(const std::shared_ptr<Job>& job) {
  job->draws.engine = job->task.engine;
  job->draws.spare = job->task.spare;
  job->draws.cost = job->task.cost;
  job->draws.finish_by = job->caller.finish_by;
  job->draws.stop = job->caller.stop;
  job->draws.on_start = [job = job.get(), started = std::move(job->caller.on_start)] {
    if (job->scores()) job->caller.ticket.Start();
    if (started) started();
    job->Now("sample");
    job->span.Set("ddpt.task", job->task.task);
    job->span.Set("ddpt.sampler", Name(job->draws.options.sampler));
    job->span.Set("ddpt.steps", job->draws.options.steps);
    job->span.Set("ddpt.count", static_cast<int64_t>(job->draws.count));
  };
  absl::Status status = job->replay != nullptr
                            ? Prepare(*job->replay, job->recipe, limits_, job->draws)
                            : Prepare(*job->sample, job->task, limits_, job->draws);
  if (job->scores() && scorer_ == nullptr) {
    status.Update(absl::FailedPreconditionError(
        "sampling.best_of needs a base model, which this server has none of"));
  }
  status.Update(job->CheckClass());
  if (status.ok() && job->scores()) {
    absl::StatusOr<CandidateScorer::Examples> judges = JudgesOf(*job->sample, job->task);
    status.Update(judges.status());
    if (judges.ok()) job->judges = *std::move(judges);
  }
  if (!status.ok()) return job->Fail(status);
  absl::StatusOr<Attributes> attributes = AttributesFor(
      job->task, job->replay != nullptr ? job->replay->attributes() : job->sample->attributes());
  if (!attributes.ok()) return job->Fail(attributes.status());
  if (job->task.engine->spec().condition_width == 0) return Draw(job);
  Instruction instruction =
      job->replay != nullptr ? InstructionOf(*job->replay) : InstructionOf(*job->sample);
  instruction.attributes = *std::move(attributes);
  Encode(job, std::move(instruction));
}

void PromptMaker::Encode(const std::shared_ptr<Job>& job, Instruction instruction) {
  if (instruction.empty()) {
    return job->Fail(FieldError("instruction", absl::StrCat("is empty, but task \"", job->task.task,
                                                            "\" is conditional and needs one")));
  }
  if (!encoder_) {
    return job->Fail(absl::FailedPreconditionError(
        absl::StrCat("task \"", job->task.task,
                     "\" is conditional and needs a base model, which this server has none of")));
  }
  job->Now("encode");
  encoder_(std::move(instruction), job->caller.stop,
           [this, job](absl::StatusOr<Condition> condition) {
             if (!condition.ok()) return job->Fail(condition.status());
             const std::string& made_with = job->recipe.condition_digest;
             if (job->replay != nullptr && made_with != condition->digest) {
               return job->Fail(
                   FieldError("instruction", absl::StrCat("its digest, attributes included, ",
                                                          absl::BytesToHexString(condition->digest),
                                                          " is not the one of the prompt_id, ",
                                                          absl::BytesToHexString(made_with))));
             }
             job->draws.condition = std::move(condition->values);
             job->recipe.condition_digest = std::move(condition->digest);
             Draw(job);
           });
}

void PromptMaker::Draw(const std::shared_ptr<Job>& job) {
  absl::Status status = ValidateRow(job->draws.Row(0), job->task.engine->spec());
  if (status.ok()) status = sampler_.FitIntoTime(job->draws);
  if (!status.ok()) return job->Fail(status);
  // While candidates are scored the request keeps its place.
  Admission::Ticket ticket;
  if (!job->scores()) ticket = std::move(job->caller.ticket);
  job->Now("queue");
  sampler_.Draw(job->draws, std::move(ticket), [this, job](absl::StatusOr<DrawnPrompts> drawn) {
    if (drawn.ok()) {
      job->span.Set("ddpt.batch_width", static_cast<int64_t>(drawn->stats.batch_width));
    }
    job->span.End();
    if (!drawn.ok() || !job->scores()) return job->End(std::move(drawn));
    ScoreCandidates(job, *std::move(drawn));
  });
}

void PromptMaker::ScoreCandidates(const std::shared_ptr<Job>& job, DrawnPrompts drawn) const {
  auto candidates = std::make_shared<DrawnPrompts>(std::move(drawn));
  job->Now("score");
  scorer_->Score(std::move(job->judges), candidates->prompts, job->caller.stop,
                 [job, candidates, start = std::chrono::steady_clock::now()](
                     absl::StatusOr<std::vector<double>> nll) {
                   // What was trained here fits the model, what callers send may not.
                   if (absl::IsInvalidArgument(nll.status())) {
                     return job->Fail(Annotate(nll.status(), "sampling.best_of_examples"));
                   }
                   if (!nll.ok()) return job->Fail(nll.status());
                   job->span.End();
                   candidates->stats.run_time += std::chrono::steady_clock::now() - start;
                   job->done(job->Best(std::move(*candidates), *nll));
                 });
}

}  // namespace ddpt
