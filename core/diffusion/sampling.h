#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/diffusion/denoiser_spec.h"

namespace ddpt {

enum class Sampler { kAncestral, kDdim, kDpmSolverPp2M, kResidual };

// "ancestral", "ddim", "dpm_solver_pp_2m", "residual".
std::string_view Name(Sampler sampler);
std::optional<Sampler> ParseSampler(std::string_view name);
// kDdim for the x0 readings, kResidual for the residual one.
Sampler DefaultSampler(Reading reading);

struct SamplingOptions {
  Sampler sampler = Sampler::kDdim;
  int64_t steps = 2000;       // 1..train_steps, "trailing" spacing
  double eta = 0;             // 0..1, DDIM only: 0 deterministic, 1 the ancestral variance
  double guidance_scale = 1;  // 0..20; other than 1 only where there is a condition
};

// FieldError on "sampling.steps", "sampling.sampler" (does not fit the reading), "sampling.eta" or
// "sampling.guidance_scale".
absl::Status ValidateSampling(const SamplingOptions& options, const DenoiserSpec& spec);

// One step of a sampler, from timestep t to the next one visited (or to alpha-bar = 1 at the end):
//   x' = p x + q d + r d_before + sigma xi,   xi ~ N(0, I),
// where d is x0_hat(t) (for RESIDUAL the direction g itself) and d_before that of the step before.
// In double precision; rounded to float32 once, where it is used.
struct SamplerStep {
  int64_t t = 0;
  double p = 0, q = 0, r = 0, sigma = 0;
  // Residual readings only: the weight of this step's g and of its xi in the final x.
  double direction_weight = 0, noise_weight = 0;
};

// All steps of a sampler. Immutable, thread-safe.
struct SamplerTable {
  std::vector<SamplerStep> steps;
  bool stochastic = false;
  // Residual readings: x = initial_weight x_T + U (sum of direction_weight phi)
  // + direction_sum u + noise, and noise_scale^2 = sum of noise_weight^2.
  double initial_weight = 0, direction_sum = 0, noise_scale = 0;
};

// FORMAT.md has the formulas. `alpha_bars` as of AlphaBars(spec); options must be valid.
SamplerTable MakeSamplerTable(const SamplingOptions& options, const DenoiserSpec& spec,
                              const std::vector<double>& alpha_bars);

// The tables of one denoiser by (sampler, steps, eta), the 16 last used of them. Thread-safe;
// blocks only while another thread makes a table (about 0.1 ms).
class SamplerTables {
 public:
  explicit SamplerTables(const DenoiserSpec& spec);
  // Options must be valid.
  std::shared_ptr<const SamplerTable> Get(const SamplingOptions& options);

 private:
  struct Entry {
    SamplingOptions options;
    std::shared_ptr<const SamplerTable> table;
  };
  const DenoiserSpec spec_;
  const std::vector<double> alpha_bars_;
  std::mutex mutex_;
  std::vector<Entry> entries_;  // the last used first
};

}  // namespace ddpt
