#include "core/diffusion/schedule.h"

#include <algorithm>
#include <numbers>

#include "core/diffusion/double_math.h"

namespace ddpt {
namespace {

double CosineF(double fraction) {
  double cosine, sine;
  in_double::CosSinTurns((fraction + 0.008) / 1.008 / 4, &cosine, &sine);
  return cosine * cosine;
}

double Beta(const DenoiserSpec& spec, int64_t t) {
  const double steps = static_cast<double>(spec.train_steps);
  if (spec.schedule == ScheduleKind::kCosine) {
    return std::min(1 - CosineF((t + 1) / steps) / CosineF(t / steps), 0.999);
  }
  if (spec.train_steps == 1) return spec.beta_start;
  return spec.beta_start + (spec.beta_end - spec.beta_start) * (t / (steps - 1));
}

}  // namespace

std::vector<double> AlphaBars(const DenoiserSpec& spec) {
  std::vector<double> alpha_bars(spec.train_steps);
  double product = 1;
  for (int64_t t = 0; t < spec.train_steps; ++t) {
    product *= 1 - Beta(spec, t);
    alpha_bars[t] = product;
  }
  return alpha_bars;
}

std::vector<int64_t> TrailingTimesteps(int64_t train_steps, int64_t steps) {
  std::vector<int64_t> timesteps(steps);
  for (int64_t i = 0; i < steps; ++i) {
    timesteps[i] = (2 * train_steps * (steps - i) + steps) / (2 * steps) - 1;
  }
  return timesteps;
}

std::vector<float> TimeFeatures(int64_t train_steps, int64_t features) {
  constexpr double kLog2Of10000 = 13.287712379549449;
  const int64_t half = features / 2;
  std::vector<float> table(train_steps * features);
  for (int64_t j = 0; j < half; ++j) {
    const double radians = in_double::Exp2(-kLog2Of10000 * static_cast<double>(j) / half);
    const double turns = radians / (2 * std::numbers::pi);
    for (int64_t t = 0; t < train_steps; ++t) {
      double cosine, sine;
      in_double::CosSinTurns(t * turns, &cosine, &sine);
      table[t * features + j] = static_cast<float>(cosine);
      table[t * features + half + j] = static_cast<float>(sine);
    }
  }
  return table;
}

}  // namespace ddpt
