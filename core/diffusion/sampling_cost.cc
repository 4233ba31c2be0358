#include "core/diffusion/sampling_cost.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/base/team.h"
#include "core/diffusion/draw_batch.h"

namespace ddpt {
namespace {

using std::chrono::steady_clock;

constexpr size_t kWidth = 8;
constexpr size_t kCalls = 12;
// The first of them warms up; whatever else uses the machine seldom slows all of them.
constexpr int kRepeats = 3;

using Time = SamplingCost::Time;

struct Measured {
  Time ends;  // what the first call and the last take beyond their steps
  Time step;  // of the shortest call between
};

absl::StatusOr<Measured> MeasureRows(DrawBatch& batch, size_t rows,
                                     const SamplingOptions& options) {
  for (size_t i = 0; i < rows; ++i) {
    SampleRow row;
    row.draw = i;
    row.options = options;
    DDPT_RETURN_IF_ERROR(batch.Join(row).status());
  }
  std::vector<Time> times;
  while (batch.width() > 0) {
    const auto start = steady_clock::now();
    for (const DrawBatch::Finished& finished : batch.Step()) {
      DDPT_RETURN_IF_ERROR(finished.result.status());
    }
    times.push_back(steady_clock::now() - start);
  }
  const Time ends = times.front() + (times.size() > 1 ? times.back() : Time(0));
  if (times.size() < 3) return Measured{Time(0), ends / options.steps};
  const Time call = *std::min_element(times.begin() + 1, times.end() - 1);
  return Measured{std::max(ends - 2 * call, Time(0)),
                  call / static_cast<double>(batch.steps_of_call())};
}

absl::StatusOr<SamplingCost> MeasureOnce(DrawBatch& batch) {
  const DenoiserSpec& spec = batch.engine().spec();
  const auto steps = static_cast<int64_t>(kCalls * batch.steps_of_call());
  SamplingOptions options = {.sampler = DefaultSampler(spec.reading),
                             .steps = std::min(steps, spec.train_steps)};
  DDPT_ASSIGN_OR_RETURN(const Measured one, MeasureRows(batch, 1, options));
  DDPT_ASSIGN_OR_RETURN(const Measured many, MeasureRows(batch, kWidth, options));
  SamplingCost cost;
  cost.ends = one.ends;
  cost.step = one.step;
  cost.row = std::max((many.step - one.step) / (kWidth - 1), Time(0));
  if (options.sampler == Sampler::kResidual) return cost;
  options.sampler = Sampler::kAncestral;
  DDPT_ASSIGN_OR_RETURN(const Measured noisy, MeasureRows(batch, 1, options));
  cost.noise = std::max(noisy.step - one.step, Time(0));
  return cost;
}

SamplingCost Shorter(const SamplingCost& a, const SamplingCost& b) {
  return {.ends = std::min(a.ends, b.ends),
          .step = std::min(a.step, b.step),
          .row = std::min(a.row, b.row),
          .noise = std::min(a.noise, b.noise)};
}

absl::StatusOr<SamplingCost> MeasureBatch(DrawBatch& batch) {
  DDPT_ASSIGN_OR_RETURN(SamplingCost cost, MeasureOnce(batch));
  for (int i = 1; i < kRepeats; ++i) {
    DDPT_ASSIGN_OR_RETURN(const SamplingCost again, MeasureOnce(batch));
    cost = Shorter(cost, again);
  }
  return cost;
}

}  // namespace

Time SamplingCost::Step(size_t width, bool stochastic) const {
  const auto rows = static_cast<double>(width);
  return step + (rows - 1) * row + (stochastic ? rows * noise : Time(0));
}

Time SamplingCost::Of(int64_t steps, size_t width, bool stochastic) const {
  return static_cast<double>(width) * ends + static_cast<double>(steps) * Step(width, stochastic);
}

int64_t SamplingCost::StepsWithin(Time time, size_t width, bool stochastic) const {
  const Time left = time - static_cast<double>(width) * ends;
  if (left <= Time(0)) return 0;
  const double steps = left / std::max(Step(width, stochastic), Time(1e-9));
  return static_cast<int64_t>(std::min(steps, 1e9));
}

absl::StatusOr<SamplingCost> MeasureSamplingCost(std::shared_ptr<const LatentEngine> engine,
                                                 size_t helpers) {
  DDPT_ASSIGN_OR_RETURN(const auto batch, DrawBatch::Create(std::move(engine), kWidth));
  DDPT_ASSIGN_OR_RETURN(const SamplingCost alone, MeasureBatch(*batch));
  const size_t threads = std::min(helpers, batch->useful_helpers());
  if (threads == 0) return alone;
  const HelperThreads helping(threads,
                              [&batch](HelperThreads::Leave leave) { batch->Help(leave); });
  DDPT_ASSIGN_OR_RETURN(const SamplingCost helped, MeasureBatch(*batch));
  // On a busy machine help may take longer than none.
  return Shorter(alone, helped);
}

}  // namespace ddpt
