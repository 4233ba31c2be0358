#include "server/prompt_sampler.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/diffusion/full_space.h"
#include "server/status.h"

namespace ddpt {
namespace {

using std::chrono::steady_clock;

// Of the time left, for an estimate that may be wrong, a core that others take half of, and an
// answer that must travel. Steps are cheap to do without, a late answer is none.
constexpr double kUsableShare = 0.4;
constexpr double kLargestSlowness = 100;

// One request for the reference loop, a draw each time it runs.
struct FullSpaceRun {
  Draws draws;
  Admission::Ticket ticket;
  DrawsDone done;
  TimePoint submitted = steady_clock::now();
  TimePoint started;
  std::unique_ptr<FullSpaceSampler<float>> sampler;
  DrawnPrompts drawn;

  void Start() {
    started = steady_clock::now();
    ticket.Start();
    if (draws.on_start) draws.on_start();
    sampler = std::make_unique<FullSpaceSampler<float>>(
        std::shared_ptr<const Denoiser>(draws.engine, &draws.engine->denoiser()));
  }

  Progress DrawOne() {
    if (!sampler) Start();
    auto values = sampler->Sample(draws.Row(drawn.prompts.size()), draws.stop);
    if (!values.ok()) return End(values.status());
    const DenoiserSpec& spec = draws.engine->spec();
    drawn.prompts.push_back({{spec.context_length, spec.width}, *std::move(values)});
    if (drawn.prompts.size() < draws.count) return Progress::kYield;
    drawn.stats = {started - submitted, steady_clock::now() - started, 1};
    return End(absl::OkStatus());
  }

  Progress End(const absl::Status& status) {
    if (status.ok()) {
      done(std::move(drawn));
    } else {
      done(status);
    }
    return Progress::kDone;
  }
};

}  // namespace

PromptSampler::PromptSampler(Options options, StreamPool& pool, StreamPool& reference,
                             Metrics& metrics)
    : options_(options),
      pool_(pool),
      reference_(reference),
      metrics_(metrics),
      batcher_(pool, {.on_slice = [&metrics](const StepBatcher::Slice& slice) {
                 metrics.SampleSlice(slice.steps, slice.row_steps, slice.time);
               }}) {}

absl::Status PromptSampler::FitIntoTime(Draws& draws) const {
  if (draws.finish_by == TimePoint::max() || draws.full_space_noise) return absl::OkStatus();
  const SamplingCost::Time left = draws.finish_by - steady_clock::now();
  const int64_t at_best = StepsWithin(left, draws, draws.count);
  if (at_best < (draws.anytime ? 1 : draws.options.steps)) {
    return WithReason(
        absl::DeadlineExceededError(absl::StrFormat(
            "sampling.steps: %d steps of %d prompts do not fit into the %.1f ms that the "
            "deadline leaves, %d would on an idle server",
            draws.options.steps, draws.count, 1e3 * left.count(), at_best)),
        kReasonExpired);
  }
  if (!draws.anytime) return absl::OkStatus();
  const StepBatcher::Load load = batcher_.LoadBeside(draws.engine->denoiser().digest());
  const auto workers = static_cast<double>(std::max<size_t>(pool_.threads(), 1));
  const double sharing = std::max(1.0, static_cast<double>(load.keys + 1) / workers);
  const double slowness = std::max(sharing, slowness_.load(std::memory_order_relaxed));
  const int64_t steps = StepsWithin(kUsableShare / slowness * left, draws, draws.count + load.rows);
  draws.options.steps = std::clamp<int64_t>(steps, 1, draws.options.steps);
  return absl::OkStatus();
}

PromptSampler::Rounds PromptSampler::RoundsOf(const Draws& draws, size_t rows) const {
  const size_t width = std::min(rows, options_.batch_capacity);
  const size_t branches = draws.options.guidance_scale == 1 ? 1 : 2;
  return {.rounds = static_cast<double>(rows) / static_cast<double>(width),
          .width = width * branches,
          .stochastic = draws.engine->Table(draws.options)->stochastic};
}

int64_t PromptSampler::StepsWithin(SamplingCost::Time time, const Draws& draws, size_t rows) const {
  const Rounds all = RoundsOf(draws, rows);
  return draws.cost.StepsWithin(time / all.rounds, all.width, all.stochastic);
}

SamplingCost::Time PromptSampler::TimeOnIdleWorkers(const Draws& draws) const {
  const Rounds all = RoundsOf(draws, draws.count);
  return all.rounds * draws.cost.Of(draws.options.steps, all.width, all.stochastic);
}

void PromptSampler::LearnSlowness(double seen) {
  const double before = slowness_.load(std::memory_order_relaxed);
  const double bounded = std::clamp(seen, 1.0, kLargestSlowness);
  slowness_.store(before + (bounded - before) / 2, std::memory_order_relaxed);
}

void PromptSampler::Draw(Draws draws, Admission::Ticket ticket, DrawsDone done) {
  const SamplingOptions options = draws.options;
  const SamplingCost::Time ideal =
      draws.full_space_noise ? SamplingCost::Time(0) : TimeOnIdleWorkers(draws);
  const bool anytime = draws.anytime;
  const TimePoint submitted = steady_clock::now();
  DrawsDone counted = [=, this, done = std::move(done)](absl::StatusOr<DrawnPrompts> drawn) {
    if (drawn.ok()) {
      metrics_.SampleDone(Name(options.sampler), options.steps, drawn->stats.run_time);
      if (ideal.count() > 0) LearnSlowness(drawn->stats.run_time / ideal);
    } else if (anytime && absl::IsDeadlineExceeded(drawn.status())) {
      LearnSlowness(SamplingCost::Time(steady_clock::now() - submitted) / ideal);
    }
    done(std::move(drawn));
  };
  if (draws.full_space_noise) {
    return DrawInFullSpace(std::move(draws), std::move(ticket), std::move(counted));
  }
  const std::string key = draws.engine->denoiser().digest();
  auto job =
      std::make_unique<SampleJob>(std::move(draws), options_.batch_capacity, std::move(counted));
  batcher_.Submit(key, std::move(job), std::move(ticket));
}

void PromptSampler::DrawInFullSpace(Draws draws, Admission::Ticket ticket, DrawsDone done) {
  const StopToken stop = draws.stop;
  auto run = std::make_shared<FullSpaceRun>();
  run->draws = std::move(draws);
  run->ticket = std::move(ticket);
  run->done = std::move(done);
  const absl::Status status =
      reference_.Submit({.key = run->draws.engine->denoiser().digest(),
                         .stop = stop,
                         .run = [run](Stream&) { return run->DrawOne(); },
                         .on_error = [run](const absl::Status& error) { run->End(error); }});
  if (status.ok()) return;
  run->End(absl::IsResourceExhausted(status) ? WithReason(status, kReasonQueueFull) : status);
}

}  // namespace ddpt
