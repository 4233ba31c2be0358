#include "core/diffusion/sampling.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/diffusion/double_math.h"
#include "core/diffusion/schedule.h"

namespace ddpt {
namespace {

constexpr double kMaxGuidance = 20;
constexpr size_t kMaxTables = 16;
constexpr std::array<std::string_view, 4> kSamplers = {"ancestral", "ddim", "dpm_solver_pp_2m",
                                                       "residual"};

// The noise levels between which a step goes: x_t = a x0 + s eps.
struct Level {
  explicit Level(double alpha_bar)
      : alpha_bar(alpha_bar), a(std::sqrt(alpha_bar)), s(std::sqrt(1 - alpha_bar)) {}
  double LogSnr() const { return in_double::Log(a / s); }
  double alpha_bar, a, s;
};

SamplerStep DdimStep(const Level& from, const Level& to, double eta) {
  SamplerStep step;
  step.sigma = eta * std::sqrt((1 - to.alpha_bar) / (1 - from.alpha_bar)) *
               std::sqrt(1 - from.alpha_bar / to.alpha_bar);
  step.p = std::sqrt(std::max(0.0, 1 - to.alpha_bar - step.sigma * step.sigma)) / from.s;
  step.q = to.a - from.a * step.p;
  return step;
}

SamplerStep AncestralStep(const Level& from, const Level& to) {
  const double alpha = from.alpha_bar / to.alpha_bar;
  const double beta = 1 - alpha;
  SamplerStep step;
  step.p = std::sqrt(alpha) * (1 - to.alpha_bar) / (1 - from.alpha_bar);
  step.q = to.a * beta / (1 - from.alpha_bar);
  step.sigma = std::sqrt(beta * (1 - to.alpha_bar) / (1 - from.alpha_bar));
  return step;
}

SamplerStep SecondOrderStep(const Level& before, const Level& from, const Level& to) {
  SamplerStep step = DdimStep(from, to, 0);
  const double ratio = (from.LogSnr() - before.LogSnr()) / (to.LogSnr() - from.LogSnr());
  step.r = -step.q / (2 * ratio);
  step.q -= step.r;
  return step;
}

SamplerStep LastStep() {
  SamplerStep step;
  step.q = 1;
  return step;
}

SamplerStep ResidualStep(int64_t t, int64_t next, int64_t train_steps) {
  SamplerStep step;
  step.p = 1;
  step.q = static_cast<double>(t - next) / static_cast<double>(train_steps);
  return step;
}

SamplerStep DiffusionStep(const SamplingOptions& options, const std::vector<double>& alpha_bars,
                          const std::vector<int64_t>& timesteps, size_t i) {
  if (i + 1 == timesteps.size()) return LastStep();
  const Level from(alpha_bars[timesteps[i]]), to(alpha_bars[timesteps[i + 1]]);
  if (options.sampler == Sampler::kAncestral) return AncestralStep(from, to);
  if (options.sampler == Sampler::kDpmSolverPp2M && i > 0) {
    return SecondOrderStep(Level(alpha_bars[timesteps[i - 1]]), from, to);
  }
  return DdimStep(from, to, options.eta);
}

// Runs the recurrence backwards: weight[i] is the derivative of the final x by x_i, the state
// before step i, where d_i = g_i (+ x_i for X0_RESIDUAL).
void AddFinalWeights(Reading reading, SamplerTable* table) {
  const size_t count = table->steps.size();
  std::vector<double> weight(count + 2, 0.0);
  weight[count] = 1;
  double noise_variance = 0;
  for (size_t i = count; i-- > 0;) {
    SamplerStep& step = table->steps[i];
    const double r_after = i + 1 < count ? table->steps[i + 1].r : 0.0;
    step.direction_weight = weight[i + 1] * step.q + weight[i + 2] * r_after;
    step.noise_weight = weight[i + 1] * step.sigma;
    weight[i] = weight[i + 1] * step.p;
    if (reading == Reading::kX0Residual) weight[i] += step.direction_weight;
    table->direction_sum += step.direction_weight;
    noise_variance += step.noise_weight * step.noise_weight;
  }
  table->initial_weight = weight[0];
  table->noise_scale = std::sqrt(noise_variance);
}

}  // namespace

std::string_view Name(Sampler sampler) { return kSamplers[static_cast<size_t>(sampler)]; }

std::optional<Sampler> ParseSampler(std::string_view name) {
  const auto found = std::ranges::find(kSamplers, name);
  if (found == kSamplers.end()) return std::nullopt;
  return static_cast<Sampler>(found - kSamplers.begin());
}

Sampler DefaultSampler(Reading reading) {
  return reading == Reading::kResidual ? Sampler::kResidual : Sampler::kDdim;
}

absl::Status ValidateSampling(const SamplingOptions& options, const DenoiserSpec& spec) {
  if (options.steps < 1 || options.steps > spec.train_steps) {
    return FieldError("sampling.steps",
                      absl::StrCat(options.steps, " is outside 1..", spec.train_steps));
  }
  if ((options.sampler == Sampler::kResidual) != (spec.reading == Reading::kResidual)) {
    return FieldError("sampling.sampler", absl::StrCat(Piece(Name(options.sampler)),
                                                       " does not fit the denoiser's reading ",
                                                       Piece(Name(spec.reading))));
  }
  if (!(options.eta >= 0 && options.eta <= 1)) {
    return FieldError("sampling.eta", absl::StrCat(options.eta, " is outside 0..1"));
  }
  if (options.eta != 0 && options.sampler != Sampler::kDdim) {
    return FieldError("sampling.eta",
                      absl::StrCat(options.eta, " with sampler ", Piece(Name(options.sampler)),
                                   ", only ddim has it"));
  }
  if (!(options.guidance_scale >= 0 && options.guidance_scale <= kMaxGuidance)) {
    return FieldError("sampling.guidance_scale",
                      absl::StrCat(options.guidance_scale, " is outside 0..", kMaxGuidance));
  }
  if (options.guidance_scale != 1 && spec.condition_width == 0) {
    return FieldError(
        "sampling.guidance_scale",
        absl::StrCat(options.guidance_scale, " is not 1, but the denoiser takes no ", "condition"));
  }
  return absl::OkStatus();
}

SamplerTable MakeSamplerTable(const SamplingOptions& options, const DenoiserSpec& spec,
                              const std::vector<double>& alpha_bars) {
  const std::vector<int64_t> timesteps = TrailingTimesteps(spec.train_steps, options.steps);
  SamplerTable table;
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const int64_t next = i + 1 < timesteps.size() ? timesteps[i + 1] : -1;
    table.steps.push_back(options.sampler == Sampler::kResidual
                              ? ResidualStep(timesteps[i], next, spec.train_steps)
                              : DiffusionStep(options, alpha_bars, timesteps, i));
    table.steps.back().t = timesteps[i];
    table.stochastic |= table.steps.back().sigma > 0;
  }
  if (spec.reading != Reading::kX0) AddFinalWeights(spec.reading, &table);
  return table;
}

SamplerTables::SamplerTables(const DenoiserSpec& spec)
    : spec_(spec), alpha_bars_(AlphaBars(spec)) {}

std::shared_ptr<const SamplerTable> SamplerTables::Get(const SamplingOptions& options) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) {
    return entry.options.sampler == options.sampler && entry.options.steps == options.steps &&
           entry.options.eta == options.eta;
  });
  if (found != entries_.end()) {
    std::rotate(entries_.begin(), found, found + 1);
    return entries_.front().table;
  }
  if (entries_.size() == kMaxTables) entries_.pop_back();
  auto table = std::make_shared<const SamplerTable>(MakeSamplerTable(options, spec_, alpha_bars_));
  entries_.insert(entries_.begin(), {options, table});
  return table;
}

}  // namespace ddpt
