#include "core/tuning/black_box_tuner.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/philox.h"
#include "core/model/batch.h"
#include "core/tuning/context.h"

namespace ddpt {
namespace {

constexpr uint32_t kProjectionStage = 0xAu << 28;  // apart from all other stages of training

}  // namespace

BlackBoxTuner::BlackBoxTuner(const TuningOptions& options, const LanguageModel& model,
                             const PromptNetwork& network)
    : network_(network),
      search_({.dimensions = options.subspace_width,
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
                                                     const Scores& scores) {
  const at::NoGradGuard no_grad;
  std::vector<double> values;
  for (const at::Tensor& loss : scores.losses.unbind()) values.push_back(loss.item<double>());
  search_.Update(values);
  prompt_.copy_(at::mv(projection_, search_.mean().to(projection_.device())));
  return Metrics{{"evaluations", double(steps() * proposed.size(0))},
                 {"best_loss", std::ranges::min(values)},
                 {"sigma", search_.sigma()}};
}

}  // namespace ddpt
