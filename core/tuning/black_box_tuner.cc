#include "core/tuning/black_box_tuner.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/philox.h"
#include "core/model/batch.h"

namespace ddpt {
namespace {

constexpr uint32_t kProjectionStage = 0xAu << 28;  // apart from all other stages of training
constexpr int64_t kTokensAtATime = 4096;

// Standard deviation of all elements of the encoder's embedding.
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

}  // namespace

BlackBoxTuner::BlackBoxTuner(const TuningOptions& options, const LanguageModel& model,
                             const PromptNetwork& network)
    : search_({.dimensions = options.subspace_width,
               .population = options.population,
               .sigma = options.sigma,
               .seed = options.seed}),
      prompt_(network.trained().at("up.bias")),
      reference_(at::zeros_like(network.context())) {
  const at::NoGradGuard no_grad;
  Tensor normals{{prompt_.numel(), options.subspace_width},
                 std::vector<float>(prompt_.numel() * options.subspace_width)};
  FillNormal({.seed = options.seed, .sample = 0, .stage = kProjectionStage}, normals.data);
  projection_ = ToTorch(normals, model.geometry().device) *
                (EmbeddingDeviation(model) / std::sqrt(double(options.subspace_width)));
}

at::Tensor BlackBoxTuner::Propose(const std::vector<uint64_t>&) {
  return at::matmul(search_.Candidates().to(projection_.device()), projection_.t()).unsqueeze(1);
}

absl::StatusOr<Tuner::Metrics> BlackBoxTuner::Update(const at::Tensor& proposed,
                                                     const at::Tensor& losses) {
  const at::NoGradGuard no_grad;
  std::vector<double> values;
  for (int64_t i = 0; i < losses.numel(); ++i) values.push_back(losses[i].item<double>());
  search_.Update(values);
  prompt_.copy_(at::mv(projection_, search_.mean().to(projection_.device())));
  return Metrics{{"evaluations", double(steps() * proposed.size(0))},
                 {"best_loss", std::ranges::min(values)},
                 {"sigma", search_.sigma()}};
}

}  // namespace ddpt
