#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/diffusion/latent_engine.h"
#include "core/diffusion/sampling_cost.h"
#include "core/diffusion/spare_batch.h"
#include "core/registry/registry.h"
#include "core/runtime/stream_pool.h"
#include "nlohmann/json_fwd.hpp"

namespace ddpt {

// An engine, what its draws cost on this machine, and a batch for them.
struct TimedEngine {
  std::shared_ptr<const LatentEngine> engine;
  SamplingCost cost;
  std::shared_ptr<SpareBatch> spare;
};

// A version of a task, ready to sample from. Requests hold it for as long as they need it, whatever
// becomes of the task meanwhile.
struct LoadedTask : TimedEngine {
  std::string task;
  uint64_t version = 0;
  std::string validation_digest;  // data set that the version was chosen by; "": none
};

// The registry's tasks in memory: which versions there are, which one is active, and the engines of
// those that are in use, loaded when first asked for and dropped when not used for long. All
// changes of tasks by this server go through here, and Refresh follows those by others, so memory
// and registry agree. While the registry is out of reach, memory stays as it is. Thread-safe.
class TaskCatalog {
 public:
  // A task's active version.
  struct Active {
    uint64_t version = 0;  // 0: none
    std::string digest;
    bool damaged = false;  // its file was not what was stored (DATA_LOSS), when last looked at
  };
  struct Options {
    size_t engines = 64;                            // kept, besides those that requests hold
    WeightType weight_type = WeightType::kFloat32;  // of the engines
    int device = kCpu;                              // or the number of a GPU
    size_t helpers = 0;                             // threads that may help the one that draws
    // Told of a task's active version whenever that may have changed. Calls do not overlap. Must
    // not change tasks. May be null.
    std::function<void(const std::string& task, const Active& active)> on_change;
  };
  using Ready = std::function<void(absl::StatusOr<LoadedTask>)>;

  // Reads the registry; blocks. `registry` and `loader`, where engines are built (up to seconds
  // each), must outlive the catalog and all loads.
  static absl::StatusOr<std::unique_ptr<TaskCatalog>> Create(Registry& registry, StreamPool& loader,
                                                             Options options);

  // Does not block. Calls `ready` once: at once where the engine is in memory or the task or
  // version is unknown (NOT_FOUND), else on a thread of the loader. Without `version`: the active
  // one.
  void Load(const std::string& task, std::optional<uint64_t> version, Ready ready);
  // The version of the task whose denoiser's SHA-256 begins with these raw bytes.
  void LoadByDigest(const std::string& task, std::string_view digest_prefix, Ready ready);

  // Loads the engines of active versions, as many as are kept, and tells of each; blocks until that
  // is done or `deadline` has passed, which is told of what is not there yet (DEADLINE_EXCEEDED).
  void LoadActive(TimePoint deadline,
                  const std::function<void(const std::string& task, const absl::Status&)>& tell);

  // The rest blocks on the registry. Errors are the registry's.
  // Checks a denoiser file and stores it as a version of the task.
  // `validation_digest` names the data set that it was chosen by, "" for none.
  absl::StatusOr<TaskVersion> Import(const std::string& task, std::string_view file,
                                     Promotion promotion,
                                     const std::string& validation_digest = "");
  absl::StatusOr<TaskRecord> Promote(const std::string& task, uint64_t version,
                                     std::optional<uint64_t> expected_version);
  absl::StatusOr<TaskRecord> Rollback(const std::string& task,
                                      std::optional<uint64_t> expected_version);
  absl::Status Delete(const std::string& task, std::optional<uint64_t> expected_version);
  // The validation sets of all versions.
  std::set<std::string> ValidationDigests() const;
  // Active version and count of versions of the first `most` tasks, and whether the active one's
  // engine is in memory. Does not block.
  nlohmann::json State(size_t most) const;
  // Reads a task, or for "" all of them, again, after someone else changed it in the registry.
  absl::Status Refresh(const std::string& task);

 private:
  struct Version {
    std::string digest;  // hexadecimal
    std::string validation_digest;
  };
  struct Task {
    uint64_t active = 0;
    std::map<uint64_t, Version> versions;
  };
  // An engine, or those who wait for one.
  struct Entry {
    TimedEngine built;
    std::vector<std::function<void(const absl::StatusOr<TimedEngine>&)>> waiting;
    std::list<std::string>::iterator recency;
  };
  struct Found {
    uint64_t number = 0;
    Version version;
  };

  TaskCatalog(Registry& registry, StreamPool& loader, Options options);
  absl::Status RefreshAll();
  absl::StatusOr<TimedEngine> BuildEngine(const std::string& digest) const;
  // After a look at a denoiser's file. Waits for the registry only where this is news.
  void NoteDamage(const std::string& digest, bool damaged);
  void TellActive(const std::string& task) const;  // under refresh_mutex_
  absl::StatusOr<Found> FindActive(const std::string& task, std::optional<uint64_t> version) const;
  absl::StatusOr<Found> FindByDigest(const std::string& task, std::string_view digest) const;
  void LoadFound(const std::string& task, absl::StatusOr<Found> found, Ready ready);
  void Build(const Version& version);
  void Finish(const std::string& digest, const absl::StatusOr<TimedEngine>& engine);
  void Touch(const std::string& digest, Entry& entry);

  Registry& registry_;
  StreamPool& loader_;
  const Options options_;
  // Held while the registry is read and while on_change is called; before mutex_.
  std::mutex refresh_mutex_;

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::map<std::string, Task> tasks_;
  std::map<std::string, Entry> engines_;  // by digest
  std::list<std::string> recent_;         // digests of built engines, last used first
  std::set<std::string> damaged_;         // digests
};

}  // namespace ddpt
