#include "server/debug_state.h"

#include "nlohmann/json.hpp"

namespace ddpt {
namespace {

using nlohmann::json;

constexpr size_t kTasks = 64;
constexpr size_t kCalls = 64;

json PoolState(const StreamPool& pool) {
  return {{"threads", pool.threads()}, {"busy", pool.busy()}, {"waiting", pool.waiting()}};
}

json ModelState(const BaseModel& base) {
  const ModelGeometry& geometry = base.model->geometry();
  return {{"name", base.name},
          {"digest", base.model->digest()},
          {"dtype", ModelDtypeName(geometry.dtype)},
          {"device", geometry.device}};
}

json Limits(const Config& config) {
  return {{"sample_limit", config.sample_limit},
          {"sample_limit_per_task", config.sample_limit_per_task},
          {"generate_limit", config.generate_limit},
          {"generate_batch", config.generate_batch},
          {"control_limit", config.control_limit},
          {"max_requests_per_client", config.max_requests_per_client},
          {"caller_timeout_ms", config.caller_timeout.count()},
          {"max_count", config.max_count},
          {"max_message_bytes", config.max_message_bytes},
          {"stream_buffer_bytes", config.stream_buffer_bytes},
          {"engine_cache", config.engine_cache},
          {"versions_kept", config.versions_kept},
          {"train_limit", config.train_limit},
          {"max_streams", config.max_streams},
          {"drain_timeout_ms", config.drain_timeout.count()}};
}

}  // namespace

json DebugState(const DebugSources& sources) {
  json state = {{"tasks", sources.catalog.State(kTasks)},
                {"calls", sources.calls.State(kCalls)},
                {"workers", PoolState(sources.pool)},
                {"loader", PoolState(sources.loader)},
                {"sampling", {{"denoisers", sources.sampler.denoisers_in_use()}}},
                {"limits", Limits(sources.config)}};
  if (sources.base != nullptr) state["model"] = ModelState(*sources.base);
  if (sources.code != nullptr) {
    state["generating"] = {{"rows", sources.code->rows()},
                           {"capacity", sources.config.generate_batch}};
  }
  if (sources.training != nullptr) state["training"] = {{"job", sources.training->running()}};
  return state;
}

}  // namespace ddpt
