#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace ddpt {

// What the server counts and times, in the names of go-grpc-prometheus (grpc_server_*) and its own
// (ddpt_*). Labels come from closed sets: methods are added once, tasks by SetTask and removed with
// them, everything else is an enumeration; so the number of series is bounded. Seconds are those of
// the monotonic clock. Nothing here blocks but on a short lock. Thread-safe.
class Metrics {
 public:
  // How a request ended; "rejected" means refused before any work.
  enum class Outcome { kOk, kError, kCancelled, kDeadline, kRejected };
  static Outcome OutcomeOf(const absl::Status& status);

  // The series of one method. Made by AddMethod, lives as long as the Metrics.
  struct Method {
    std::string service;  // "ddpt.v1.PromptService"
    std::string name;     // "Sample"
    std::string type;     // "unary", "client_stream", "server_stream"
    prometheus::Counter* started;
    prometheus::Histogram* handling_seconds;
    prometheus::Histogram* duration_seconds;
    prometheus::Histogram* queue_seconds;  // null where nothing queues
    prometheus::Gauge* waiting;
    prometheus::Gauge* running;
    // By status code and by outcome; each is added when it first happens.
    mutable std::array<std::atomic<prometheus::Counter*>, 17> handled = {};
    mutable std::array<std::atomic<prometheus::Counter*>, 5> requests = {};
  };

  // Series are added to `registry`.
  explicit Metrics(std::shared_ptr<prometheus::Registry> registry);

  const Method& AddMethod(std::string_view service, std::string_view name, std::string_view type,
                          bool queues);
  // The end of a call, whatever became of it. `task` may be any string: an unknown one is "other",
  // an empty one is not counted by task.
  void Handled(const Method& method, const std::string& task, const absl::Status& status,
               std::chrono::nanoseconds duration);
  // From the wish to stop to the end of the call.
  void CancelLatency(std::chrono::nanoseconds latency);

  // The active version of a task; beyond 256 tasks they are counted as "other".
  void SetTask(const std::string& task, uint64_t version, const std::string& digest);
  // What the prompts of a known task's active version change, nats a token.
  void PromptEffect(const std::string& task, double divergence);
  // Removes all series of the task.
  void RemoveTask(const std::string& task);

  void SampleDone(std::string_view sampler, int64_t steps, std::chrono::nanoseconds duration);
  // A run of steps; `row_steps` is the sum of the rows that each advanced.
  void SampleSlice(size_t steps, size_t row_steps, std::chrono::nanoseconds time);
  void Ready(bool ready);
  void StreamPoolWait(std::chrono::nanoseconds wait);
  void StreamPoolThreads(size_t busy, size_t all);
  // Of the server's GPU, with what other processes on it hold. Bytes.
  void GpuMemory(uint64_t used, uint64_t total);

  void FirstToken(std::chrono::nanoseconds since_arrival);
  void NextToken(std::chrono::nanoseconds since_last);
  void GeneratedTokens(size_t count);
  // Of the memory for keys and values (kv-cache-bytes): what is held, and what the running rows may
  // come to need. 0..1.
  void KvCacheUsage(double share);
  void KvCacheReserved(double share);
  // Whether keys and values of an instruction were there already.
  void PrefixLookup(bool hit);
  // A stream whose reader was too slow was ended.
  void StreamStalled();
  // A call whose caller neither sent nor took a message in time was ended.
  void CallerCutOff();

  // A training job has come to a state ("queued", "running", ...; from "" when it is new here, to
  // "" when another server has it).
  void TrainJob(std::string_view from, std::string_view to);
  // A job that another process began goes on here.
  void TrainResumed();
  void TrainStep(const std::string& task, double loss, std::chrono::nanoseconds time);
  // The job of `task` has ended: its loss is shown no longer.
  void TrainEnded(const std::string& task);
  void TrainSaved();
  void TrainNotStored();
  // Shown from the first call on.
  void DatabaseReachable(bool reachable);
  void SpansExported(size_t count);
  void SpansDropped(size_t count);
  // To be called before the series are read: how old the last checkpoint is.
  void TrainCheckpointAge();

 private:
  template <typename T>
  using Family = prometheus::Family<T>;

  struct TaskSeries {
    prometheus::Gauge* info = nullptr;
    prometheus::Gauge* effect = nullptr;
    std::map<std::string, prometheus::Counter*> requests;  // by outcome
  };

  void CountTask(const std::string& task, const std::string& outcome);

  std::shared_ptr<prometheus::Registry> registry_;
  Family<prometheus::Counter>& started_;
  Family<prometheus::Counter>& handled_;
  Family<prometheus::Histogram>& handling_seconds_;
  Family<prometheus::Gauge>& waiting_;
  Family<prometheus::Gauge>& running_;
  Family<prometheus::Counter>& requests_;
  Family<prometheus::Counter>& task_requests_;
  Family<prometheus::Counter>& rejected_;
  Family<prometheus::Histogram>& duration_seconds_;
  Family<prometheus::Histogram>& queue_seconds_;
  Family<prometheus::Histogram>& sample_seconds_;
  Family<prometheus::Gauge>& task_info_;
  Family<prometheus::Gauge>& prompt_effect_;
  Family<prometheus::Gauge>& pool_streams_;
  Family<prometheus::Gauge>& gpu_memory_used_;
  Family<prometheus::Gauge>& gpu_memory_total_;
  prometheus::Gauge& ready_;
  prometheus::Counter& spans_exported_;
  prometheus::Counter& spans_dropped_;
  prometheus::Histogram& sample_step_seconds_;
  prometheus::Histogram& sample_steps_;
  prometheus::Histogram& sample_batch_size_;
  prometheus::Histogram& pool_wait_seconds_;
  prometheus::Histogram& cancel_seconds_;
  prometheus::Histogram& first_token_seconds_;
  prometheus::Histogram& inter_token_seconds_;
  prometheus::Counter& generated_tokens_;
  prometheus::Counter& stalled_;
  prometheus::Counter& cut_off_;
  prometheus::Gauge& kv_cache_usage_;
  prometheus::Gauge& kv_cache_reserved_;
  Family<prometheus::Counter>& prefix_lookups_;
  Family<prometheus::Gauge>& train_jobs_;
  Family<prometheus::Gauge>& train_loss_;
  prometheus::Counter& train_steps_;
  prometheus::Counter& train_resumes_;
  Family<prometheus::Gauge>& database_reachable_;
  prometheus::Counter& train_storage_errors_;
  prometheus::Histogram& train_step_seconds_;
  prometheus::Gauge& train_checkpoint_age_;

  std::mutex mutex_;
  std::optional<std::chrono::steady_clock::time_point> checkpoint_;  // guarded by mutex_
  std::map<std::string, TaskSeries> tasks_;                          // guarded by mutex_
  std::map<std::string, std::unique_ptr<Method>> methods_;           // guarded by mutex_
};

}  // namespace ddpt
