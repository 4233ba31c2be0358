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

absl::StatusOr<std::vector<Tensor>> SamplePrompts(const std::shared_ptr<const LatentEngine>& engine,
                                                  const SamplingOptions& options, uint64_t seed,
                                                  const std::vector<PromptDraw>& draws,
                                                  const StopToken& stop) {
  DDPT_ASSIGN_OR_RETURN(const auto batch,
                        LatentBatch::Create(engine, std::min(draws.size(), kRowsTogether)));
  std::vector<Tensor> prompts(draws.size());
  std::map<uint64_t, size_t> places;  // of row ids among the draws
  for (size_t next = 0; next < draws.size() || batch->width() > 0;) {
    for (; next < draws.size() && batch->width() < batch->capacity(); ++next) {
      SampleRow row;
      row.seed = seed;
      row.draw = draws[next].number;
      row.options = options;
      row.condition = draws[next].condition;
      DDPT_ASSIGN_OR_RETURN(const uint64_t id, batch->Join(row));
      places[id] = next;
    }
    PausePoint();
    if (stop.stopped()) return stop.status();
    for (LatentBatch::Finished& finished : batch->Step()) {
      if (!finished.result.ok()) return finished.result.status();
      prompts[places.at(finished.id)] = *std::move(finished.result);
    }
  }
  return prompts;
}

}  // namespace ddpt
