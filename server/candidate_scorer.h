#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/base/tensor.h"
#include "core/registry/dataset_store.h"
#include "core/runtime/stream_pool.h"
#include "core/tuning/dataset.h"
#include "server/base_model.h"

namespace ddpt {

// Scores prompts on examples, for best_of: those of a data set, such as the validation examples
// that a task's version was chosen by, or a caller's own. Thread-safe.
class CandidateScorer {
 public:
  // For each prompt the mean over all answer tokens, nats. Called once, on a worker or, for errors,
  // at once.
  using Done = std::function<void(absl::StatusOr<std::vector<double>>)>;

  // `datasets` and `pool` must outlive the scorer and its work.
  CandidateScorer(std::shared_ptr<const BaseModel> base, const DatasetStore& datasets,
                  StreamPool& pool);

  // By its digest, or itself.
  using Examples = std::variant<std::string, Dataset>;

  // `prompts`: [n, w] each. Does not block; an example at a time, other work between them. Errors:
  // those of DatasetStore::Get, of the model's limits, and of `stop`.
  void Score(Examples examples, const std::vector<Tensor>& prompts, StopToken stop,
             Done done) const;

 private:
  struct Work;

  const std::shared_ptr<const BaseModel> base_;
  const DatasetStore& datasets_;
  StreamPool& pool_;
};

}  // namespace ddpt
