#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/registry/dataset_store.h"
#include "core/registry/registry.h"
#include "core/runtime/job_runner.h"
#include "core/tuning/dataset.h"
#include "core/tuning/options.h"
#include "server/base_model.h"
#include "server/task_catalog.h"

namespace ddpt {

// What a training job does.
struct TrainingPlan {
  enum class Promote { kNever, kAlways, kIfBetter };
  std::string task;
  TuningOptions options;
  Tensor start = {};  // the prompt to start from; without elements: context_text, or as options say
  std::string context_text;
  std::string dataset_digest;
  std::string validation_digest;  // "": a share of the data set
  double validation_share = 0.1;
  Promote promote = Promote::kIfBetter;
};

// What all training jobs of a server share. All outlive the jobs.
struct TrainingResources {
  std::shared_ptr<const BaseModel> base;
  DatasetStore* datasets;
  Registry* registry;
  TaskCatalog* catalog;
  JobStore* jobs;  // that keeps the saved states
  // Where the decoder's trunks are kept: in memory, then in a file below `trunk_directory`, if any.
  uint64_t trunk_memory_bytes = 0, trunk_file_bytes = 0;
  std::string trunk_directory;
  // Told of each optimizer step and each state that was saved. May be null.
  std::function<void(const std::string& task, double loss, std::chrono::nanoseconds)> on_step;
  std::function<void()> on_saved;
};

// How the examples of a plan divide in training and validation, once they are tokenised and checked
// against the model. FieldErrors name the example and the limit, or are those of SplitDataset.
absl::StatusOr<DataSplit> CheckTrainingData(const TrainingResources& resources,
                                            const TrainingPlan& plan);

// The work of job `id`, from the state that it saved last. Events have the payload
// {"metrics": {"loss": 0.1, ...}, "message": "..."}. Blocks for reading and tokenising the data.
// LibTorch's exceptions pass through.
absl::StatusOr<std::unique_ptr<JobWork>> MakeTrainingWork(const TrainingResources& resources,
                                                          TrainingPlan plan, const Job& job);

}  // namespace ddpt
