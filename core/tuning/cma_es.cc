#include "core/tuning/cma_es.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/base/philox.h"
#include "core/model/batch.h"

namespace ddpt {
namespace {

constexpr uint32_t kSearchStage = 0x9u << 28;  // apart from the stages of weights, noise and order
constexpr double kLeastVariance = 1e-14;       // of a direction, relative to the largest

}  // namespace

CmaEs::CmaEs(const Options& options) : options_(options) {
  const double d = options.dimensions;
  const int64_t parents = options.population / 2;
  std::vector<float> weights(parents);
  for (int64_t i = 0; i < parents; ++i) {
    weights[i] = std::log((options.population + 1) / 2.0) - std::log(i + 1.0);
  }
  const at::Tensor raw = ToTorch({{parents}, weights}, "cpu");
  weights_ = raw / raw.sum();
  selected_ = 1 / weights_.square().sum().item<double>();
  sigma_rate_ = (selected_ + 2) / (d + selected_ + 5);
  sigma_damping_ = 1 + 2 * std::max(0.0, std::sqrt((selected_ - 1) / (d + 1)) - 1) + sigma_rate_;
  path_rate_ = (4 + selected_ / d) / (d + 4 + 2 * selected_ / d);
  rank_one_rate_ = 2 / ((d + 1.3) * (d + 1.3) + selected_);
  rank_mu_rate_ = std::min(1 - rank_one_rate_,
                           2 * (selected_ - 2 + 1 / selected_) / ((d + 2) * (d + 2) + selected_));
  length_ = std::sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d * d));
  decompose_every_ = std::max(1.0, 1 / (10 * d * (rank_one_rate_ + rank_mu_rate_)));
  mean_ = at::zeros({options.dimensions});
  sigma_ = at::full({1}, options.sigma);
  sigma_path_ = at::zeros_like(mean_);
  covariance_path_ = at::zeros_like(mean_);
  covariance_ = at::eye(options.dimensions);
  basis_ = at::eye(options.dimensions);
  scales_ = at::ones_like(mean_);
}

double CmaEs::sigma() const { return sigma_.item<double>(); }

at::Tensor CmaEs::Normals() const {
  Tensor normals{{options_.population, options_.dimensions},
                 std::vector<float>(options_.population * options_.dimensions)};
  FillNormal({.seed = options_.seed, .sample = generation_, .stage = kSearchStage}, normals.data);
  return ToTorch(normals, "cpu");
}

at::Tensor CmaEs::Candidates() const {
  return mean_ + sigma_ * at::matmul(Normals() * scales_, basis_.t());
}

void CmaEs::Update(std::span<const double> values) {
  const at::NoGradGuard no_grad;
  std::vector<int64_t> ranked(values.size());
  std::iota(ranked.begin(), ranked.end(), int64_t{0});
  std::ranges::stable_sort(ranked, {}, [values](int64_t i) { return values[i]; });
  ranked.resize(weights_.numel());
  const at::Tensor z = Normals().index_select(0, at::tensor(ranked));  // [mu, d]
  const at::Tensor y = at::matmul(z * scales_, basis_.t());
  const at::Tensor step = at::mv(y.t(), weights_);
  ++generation_;
  mean_.add_(sigma_ * step);

  // C^(-1/2) step = B z.
  sigma_path_.mul_(1 - sigma_rate_)
      .add_(at::mv(basis_, at::mv(z.t(), weights_)),
            std::sqrt(sigma_rate_ * (2 - sigma_rate_) * selected_));
  const double relative = sigma_path_.norm().item<double>() / length_;
  // A path that is long because sigma is still far too small says nothing about C.
  const double settled = std::sqrt(1 - std::pow(1 - sigma_rate_, 2.0 * generation_));
  const bool stalled = relative / settled >= 1.4 + 2.0 / (options_.dimensions + 1);
  const double gain = path_rate_ * (2 - path_rate_);
  covariance_path_.mul_(1 - path_rate_);
  if (!stalled) covariance_path_.add_(step, std::sqrt(gain * selected_));
  covariance_.mul_(1 - rank_one_rate_ - rank_mu_rate_ + (stalled ? rank_one_rate_ * gain : 0))
      .add_(at::outer(covariance_path_, covariance_path_), rank_one_rate_)
      .add_(at::matmul(y.t() * weights_, y), rank_mu_rate_);
  sigma_.mul_(std::exp(sigma_rate_ / sigma_damping_ * (relative - 1)));
  if (generation_ % decompose_every_ == 0) Decompose();
}

void CmaEs::Decompose() {
  const auto [variances, directions] = at::linalg_eigh(covariance_.to(at::kDouble));
  basis_.copy_(directions);
  scales_.copy_(variances.clamp_min(kLeastVariance * variances.max().item<double>()).sqrt());
}

std::map<std::string, at::Tensor> CmaEs::State() const {
  return {{"mean", mean_},
          {"sigma", sigma_},
          {"sigma_path", sigma_path_},
          {"covariance_path", covariance_path_},
          {"covariance", covariance_},
          {"basis", basis_},
          {"scales", scales_}};
}

}  // namespace ddpt
