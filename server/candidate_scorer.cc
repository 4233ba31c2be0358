#include "server/candidate_scorer.h"

#include <utility>

#include "core/base/status.h"
#include "core/decoding/scorer.h"
#include "core/tuning/prepared_examples.h"

namespace ddpt {

struct CandidateScorer::Work {
  std::shared_ptr<const BaseModel> base;
  const DatasetStore& datasets;
  const Examples judges;
  const StopToken stop;
  const Done done;
  std::vector<std::shared_ptr<const Tensor>> prompts;
  std::vector<EncodedExample> examples;
  size_t next = 0;
  std::vector<double> sums;  // by prompt, nats
  double tokens = 0;

  absl::Status Load() {
    absl::StatusOr<Dataset> dataset = std::holds_alternative<Dataset>(judges)
                                          ? std::get<Dataset>(judges)
                                          : datasets.Get(std::get<std::string>(judges));
    DDPT_RETURN_IF_ERROR(dataset.status());
    const std::vector<int64_t>& shape = prompts.front()->shape;
    DDPT_ASSIGN_OR_RETURN(
        examples, EncodeExamples(*base->model, *base->tokenizer, *dataset,
                                 EncoderPositions(base->model->geometry(), shape[0], shape[1])));
    return absl::OkStatus();
  }

  absl::Status ScoreNext() {
    const EncodedExample& example = examples[next++];
    std::vector<PromptedRequest> requests;
    for (const auto& prompt : prompts) {
      requests.push_back(
          {.instruction_ids = example.instruction_ids, .soft_prompt = prompt, .manual_ids = {}});
    }
    DDPT_ASSIGN_OR_RETURN(const auto scores,
                          ScoreAnswer(*base->model, requests, example.answer_ids, stop));
    for (size_t i = 0; i < scores.size(); ++i) sums[i] += scores[i].nll_sum;
    tokens += static_cast<double>(example.answer_ids.size());
    return absl::OkStatus();
  }

  Progress Run() {
    const absl::Status status = examples.empty() ? Load() : ScoreNext();
    if (!status.ok()) {
      done(status);
    } else if (next < examples.size()) {
      return Progress::kYield;
    } else {
      for (double& sum : sums) sum /= tokens;
      done(std::move(sums));
    }
    return Progress::kDone;
  }
};

CandidateScorer::CandidateScorer(std::shared_ptr<const BaseModel> base,
                                 const DatasetStore& datasets, StreamPool& pool)
    : base_(std::move(base)), datasets_(datasets), pool_(pool) {}

void CandidateScorer::Score(Examples examples, const std::vector<Tensor>& prompts, StopToken stop,
                            Done done) const {
  std::shared_ptr<Work> work(new Work{.base = base_,
                                      .datasets = datasets_,
                                      .judges = std::move(examples),
                                      .stop = stop,
                                      .done = std::move(done),
                                      .prompts = {},
                                      .examples = {},
                                      .sums = std::vector<double>(prompts.size())});
  for (const Tensor& prompt : prompts) work->prompts.push_back(std::make_shared<Tensor>(prompt));
  const absl::Status status =
      pool_.Submit({.key = "candidates",
                    .stop = std::move(stop),
                    .run = [work](Stream&) { return work->Run(); },
                    .on_error = [work](const absl::Status& error) { work->done(error); }});
  if (!status.ok()) work->done(status);
}

}  // namespace ddpt
