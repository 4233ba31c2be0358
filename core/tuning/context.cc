#include "core/tuning/context.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/philox.h"
#include "core/model/batch.h"
#include "core/model/language_model.h"
#include "core/model/prefixes.h"

namespace ddpt {
namespace {

constexpr uint32_t kContextStage = 0xCu << 28;  // apart from all other stages of training
constexpr int64_t kTokensAtATime = 4096;

std::vector<uint32_t> Repeated(std::span<const uint32_t> ids, int64_t count) {
  std::vector<uint32_t> repeated(count);
  for (size_t i = 0; i < repeated.size(); ++i) repeated[i] = ids[i % ids.size()];
  return repeated;
}

std::vector<uint32_t> Drawn(const std::vector<EncodedExample>& examples, uint64_t seed,
                            int64_t count) {
  std::set<uint32_t> used;
  for (const EncodedExample& example : examples) {
    used.insert(example.instruction_ids.begin(), example.instruction_ids.end());
    used.insert(example.answer_ids.begin(), example.answer_ids.end() - 1);  // but the end token
  }
  const std::vector<uint32_t> tokens(used.begin(), used.end());
  std::vector<uint32_t> drawn;
  for (int64_t i = 0; i < count; ++i) {
    const auto words =
        PhiloxBlock({.seed = seed, .sample = static_cast<uint64_t>(i), .stage = kContextStage}, 0);
    drawn.push_back(tokens[uint64_t{words[0]} * tokens.size() >> 32]);
  }
  return drawn;
}

Tensor OfTokens(const LanguageModel& model, const TuningOptions& options,
                const std::vector<uint32_t>& ids) {
  const at::Tensor row = PadIds({&ids, 1}, model.geometry().device).ids;
  if (options.method == Method::kPrefixTuning) {
    return FromTorch(PackPrefix(model.KeysAndValues(row), options.prefix_place));
  }
  return FromTorch(model.EmbedEncoderTokens(row).squeeze(0));
}

}  // namespace

double EmbeddingDeviation(const LanguageModel& model) {
  const int64_t vocabulary = model.geometry().vocabulary_size;
  double sum = 0, squares = 0;
  for (int64_t first = 0; first < vocabulary; first += kTokensAtATime) {
    const at::Tensor ids =
        at::arange(first, std::min(first + kTokensAtATime, vocabulary), at::kLong);
    const at::Tensor rows =
        model.EmbedEncoderTokens(ids.unsqueeze(0).to(model.geometry().device)).to(at::kDouble);
    sum += rows.sum().item<double>();
    squares += rows.square().sum().item<double>();
  }
  const double count = double(vocabulary) * model.geometry().encoder.width;
  return std::sqrt(squares / count - sum / count * (sum / count));
}

Tensor StartingContext(const LanguageModel& model, const TuningOptions& options,
                       std::span<const uint32_t> text_ids,
                       const std::vector<EncodedExample>& examples) {
  const at::NoGradGuard no_grad;
  const int64_t length = options.context_length, width = model.geometry().encoder.width;
  switch (options.context_start) {
    case ContextStart::kText:
      return OfTokens(model, options, Repeated(text_ids, length));
    case ContextStart::kVocabulary:
      return OfTokens(model, options, Drawn(examples, options.seed, length));
    case ContextStart::kRandom:
      break;
  }
  Tensor context{{length, width}, std::vector<float>(length * width)};
  FillNormal({.seed = options.seed, .sample = 0, .stage = kContextStage}, context.data);
  const double deviation = EmbeddingDeviation(model);
  for (float& value : context.data) value = static_cast<float>(value * deviation);
  return context;
}

}  // namespace ddpt
