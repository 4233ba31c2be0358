#include "core/decoding/scorer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/batch.h"
#include "core/model/decoder_trunk.h"

namespace ddpt {
namespace {

using Ids = std::vector<uint32_t>;

constexpr size_t kWidth = 16;

absl::Status CheckAnswer(const Ids& answer, const PromptedRequest& request,
                         const ModelGeometry& geometry) {
  if (answer.empty()) return FieldError("code", "is empty");
  for (const uint32_t id : answer) {
    if (id >= geometry.vocabulary_size) {
      return FieldError("code", absl::StrCat("token id ", id, " is outside the vocabulary, 0..",
                                             geometry.vocabulary_size - 1));
    }
  }
  const absl::Status status = ValidateRequest(request, geometry, answer.size());
  if (FieldOf(status) != "decoding.max_new_tokens") return status;
  return FieldError("code", absl::StrCat(answer.size(), " tokens with the instruction exceed the ",
                                         geometry.max_positions, " positions of the decoder"));
}

Score MakeScore(const at::Tensor& log_probs, size_t count) {
  Score score;
  const auto* data = log_probs.const_data_ptr<float>();
  score.token_logprobs.assign(data, data + count);
  score.nll_sum = -std::accumulate(data, data + count, 0.0);
  score.nll_mean = score.nll_sum / static_cast<double>(count);
  return score;
}

// Logits [rows, P, vocabulary] at the positions of `target` (of as many rows, or of one). `trunk`
// is the target's where no prefix is in the decoder; without parts until it is needed.
at::Tensor LogitsUnderPrompts(const LanguageModel& model, const TargetBatch& target,
                              const std::vector<const PromptedRequest*>& requests,
                              DecoderTrunk* trunk) {
  std::vector<const Tensor*> prompts;
  std::vector<Ids> inputs;
  for (const PromptedRequest* request : requests) {
    prompts.push_back(request->soft_prompt.get());
    inputs.push_back(EncoderIds(*request));
  }
  const EncoderBatch batch = WithPrompts(model, prompts, inputs);
  const auto rows = static_cast<int64_t>(requests.size());
  DecoderTrunk own;
  if (!batch.prefixes.decoder.empty()) {
    own = model.Trunk(target.decoder_ids.expand({rows, -1}), target.positions.expand({rows, -1}),
                      batch.prefixes);
    trunk = &own;
  } else if (trunk->parts.empty()) {
    *trunk = model.Trunk(target.decoder_ids, target.positions);
  }
  const at::Tensor states = model.Encode(batch.embeddings, batch.mask, batch.prefixes);
  return model.Head(*trunk, states, batch.mask, batch.prefixes);
}

// Log-probabilities [rows, P] of the target.
at::Tensor UnderPrompts(const LanguageModel& model, const TargetBatch& target,
                        const std::vector<const PromptedRequest*>& requests, DecoderTrunk* trunk) {
  const at::Tensor logits = LogitsUnderPrompts(model, target, requests, trunk);
  const auto rows = static_cast<int64_t>(requests.size());
  return TargetLogProbs(logits, target.targets.expand({rows, -1})).to(at::kCPU).contiguous();
}

// Scores the requests of `members`, which have the same decoder prefix.
absl::Status ScoreGroup(const LanguageModel& model, const std::vector<PromptedRequest>& prompted,
                        const std::vector<size_t>& members, const Ids& prefix, const Ids& answer,
                        const StopToken& stop, std::vector<Score>* scores) {
  const TargetBatch target =
      BuildTargets(std::vector<Ids>{prefix}, std::vector<Ids>{answer}, model.geometry().device);
  DecoderTrunk trunk;
  for (size_t first = 0; first < members.size(); first += kWidth) {
    DDPT_RETURN_IF_ERROR(stop.status());
    const size_t last = std::min(first + kWidth, members.size());
    std::vector<const PromptedRequest*> requests;
    for (size_t i = first; i < last; ++i) requests.push_back(&prompted[members[i]]);
    const at::Tensor log_probs = UnderPrompts(model, target, requests, &trunk);
    for (size_t i = first; i < last; ++i) {
      (*scores)[members[i]] = MakeScore(log_probs[static_cast<int64_t>(i - first)], answer.size());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Score>> ScoreAnswer(const LanguageModel& model,
                                               const std::vector<PromptedRequest>& prompted,
                                               const Ids& answer_ids, const StopToken& stop) {
  const c10::NoGradGuard no_grad;
  std::map<Ids, std::vector<size_t>> by_prefix;
  for (size_t i = 0; i < prompted.size(); ++i) {
    DDPT_RETURN_IF_ERROR(CheckAnswer(answer_ids, prompted[i], model.geometry()));
    by_prefix[DecoderIds(prompted[i], model.geometry())].push_back(i);
  }
  std::vector<Score> scores(prompted.size());
  for (const auto& [prefix, members] : by_prefix) {
    DDPT_RETURN_IF_ERROR(ScoreGroup(model, prompted, members, prefix, answer_ids, stop, &scores));
  }
  return scores;
}

absl::StatusOr<double> PromptEffect(const LanguageModel& model, const PromptedRequest& prompted,
                                    const Ids& answer_ids) {
  const c10::NoGradGuard no_grad;
  DDPT_RETURN_IF_ERROR(CheckAnswer(answer_ids, prompted, model.geometry()));
  PromptedRequest plain = prompted;
  plain.soft_prompt = nullptr;
  const TargetBatch target = BuildTargets(std::vector<Ids>{DecoderIds(prompted, model.geometry())},
                                          std::vector<Ids>{answer_ids}, model.geometry().device);
  DecoderTrunk trunk;
  const at::Tensor logs =
      LogitsUnderPrompts(model, target, {&prompted, &plain}, &trunk).log_softmax(-1);
  const at::Tensor with = logs[0], without = logs[1];
  return (with.exp() * (with - without)).sum(-1).mean().item<double>();
}

absl::StatusOr<std::vector<Score>> ScoreAll(const LanguageModel& model,
                                            const std::vector<PromptedRequest>& requests,
                                            const std::vector<Ids>& answers, size_t width,
                                            const StopToken& stop) {
  const c10::NoGradGuard no_grad;
  std::vector<Score> scores;
  for (size_t first = 0; first < requests.size(); first += width) {
    DDPT_RETURN_IF_ERROR(stop.status());
    std::vector<const PromptedRequest*> rows;
    std::vector<Ids> prefixes, targets;
    for (size_t i = first; i < std::min(first + width, requests.size()); ++i) {
      DDPT_RETURN_IF_ERROR(CheckAnswer(answers[i], requests[i], model.geometry()));
      rows.push_back(&requests[i]);
      prefixes.push_back(DecoderIds(requests[i], model.geometry()));
      targets.push_back(answers[i]);
    }
    const TargetBatch batch = BuildTargets(prefixes, targets, model.geometry().device);
    DecoderTrunk trunk;
    const at::Tensor log_probs = UnderPrompts(model, batch, rows, &trunk);
    for (size_t i = 0; i < rows.size(); ++i) {
      scores.push_back(MakeScore(log_probs[static_cast<int64_t>(i)], targets[i].size()));
    }
  }
  return scores;
}

}  // namespace ddpt
