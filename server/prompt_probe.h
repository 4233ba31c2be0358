#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/runtime/stream_pool.h"
#include "server/base_model.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/prompt_resolver.h"

namespace ddpt {

// Watches that prompts do something: draws one of a task, asks the model for a built-in example
// with and without it, and tells ddpt_prompt_effect_divergence. Background work. Thread-safe.
class PromptProbe {
 public:
  // The references must outlive the probe.
  static absl::StatusOr<std::unique_ptr<PromptProbe>> Create(std::shared_ptr<const BaseModel> base,
                                                             PromptMaker& maker, StreamPool& pool,
                                                             Metrics& metrics, const Log& log);
  // Stops what runs, and blocks until it has.
  ~PromptProbe();

  // Looks at the active version of a task. Does not block. A task that this model cannot be
  // prompted with gets no figure, which the log tells.
  void Measure(const std::string& task);

 private:
  PromptProbe(std::shared_ptr<const BaseModel> base, PromptMaker& maker, StreamPool& pool,
              Metrics& metrics, const Log& log);
  void MeasureUnder(const std::string& task, const ResolvedPrompt& prompt);
  void End(const std::string& task, const absl::StatusOr<double>& effect);

  const std::shared_ptr<const BaseModel> base_;
  PromptResolver resolver_;
  StreamPool& pool_;
  Metrics& metrics_;
  const Log& log_;
  std::vector<uint32_t> instruction_ids_, answer_ids_;
  StopSource stop_;

  std::mutex mutex_;
  std::condition_variable idle_;
  size_t running_ = 0;  // guarded by mutex_
};

}  // namespace ddpt
