#include "core/tuning/sampled_prompts.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/base/pause.h"
#include "core/base/status.h"
#include "core/diffusion/latent_batch.h"

namespace ddpt {
namespace {

constexpr size_t kRowsTogether = 64;

}  // namespace

absl::StatusOr<std::vector<Tensor>> SamplePrompts(std::shared_ptr<const Denoiser> denoiser,
                                                  const SamplingOptions& options, uint64_t seed,
                                                  size_t count,
                                                  const std::vector<std::vector<float>>& conditions,
                                                  const StopToken& stop) {
  DDPT_ASSIGN_OR_RETURN(const auto engine, LatentEngine::Create(std::move(denoiser)));
  DDPT_ASSIGN_OR_RETURN(const auto batch,
                        LatentBatch::Create(engine, std::min(count, kRowsTogether)));
  std::vector<Tensor> prompts(count);
  std::map<uint64_t, size_t> draws;  // row id -> index of the draw
  for (size_t next = 0; next < count || batch->width() > 0;) {
    for (; next < count && batch->width() < batch->capacity(); ++next) {
      SampleRow row;
      row.seed = seed;
      row.draw = next;
      row.options = options;
      if (!conditions.empty()) row.condition = conditions[next % conditions.size()];
      DDPT_ASSIGN_OR_RETURN(const uint64_t id, batch->Join(row));
      draws[id] = next;
    }
    PausePoint();
    if (stop.stopped()) return stop.status();
    for (LatentBatch::Finished& finished : batch->Step()) {
      if (!finished.result.ok()) return finished.result.status();
      prompts[draws.at(finished.id)] = *std::move(finished.result);
    }
  }
  return prompts;
}

}  // namespace ddpt
