#pragma once

#include "nlohmann/json_fwd.hpp"
#include "server/base_model.h"
#include "server/call.h"
#include "server/code_service.h"
#include "server/config.h"
#include "server/prompt_sampler.h"
#include "server/task_catalog.h"
#include "server/training_service.h"

namespace ddpt {

// The parts of a server that /debug/state asks. None is owned.
struct DebugSources {
  const Config& config;
  const Calls& calls;
  const TaskCatalog& catalog;
  const PromptSampler& sampler;
  const StreamPool& pool;
  const StreamPool& loader;
  const BaseModel* base;            // null: prompts only
  const CodeService* code;          // likewise
  const TrainingService* training;  // likewise
};

// What a server that is ready does now: model, tasks (64 at most), calls (the 64 oldest at most),
// queues, workers, job and limits. Neither secrets nor anything that callers have sent or got but
// for names of tasks and ids of requests. Thread-safe; blocks on short locks only.
nlohmann::json DebugState(const DebugSources& sources);

}  // namespace ddpt
