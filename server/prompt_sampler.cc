#include "server/prompt_sampler.h"

#include <string>
#include <utility>

#include "core/base/status.h"
#include "core/diffusion/full_space.h"

namespace ddpt {
namespace {

using std::chrono::steady_clock;

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
      reference_(reference),
      metrics_(metrics),
      batcher_(pool, {.on_slice = [&metrics](const StepBatcher::Slice& slice) {
                 metrics.SampleSlice(slice.steps, slice.row_steps, slice.time);
               }}) {}

void PromptSampler::Draw(Draws draws, Admission::Ticket ticket, DrawsDone done) {
  const SamplingOptions options = draws.options;
  DrawsDone counted = [this, options, done = std::move(done)](absl::StatusOr<DrawnPrompts> drawn) {
    if (drawn.ok()) {
      metrics_.SampleDone(Name(options.sampler), options.steps, drawn->stats.run_time);
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
  if (!status.ok()) run->End(status);
}

}  // namespace ddpt
