#include "server/metrics.h"

#include "core/base/status.h"
#include "core/runtime/admission.h"
#include "server/status.h"

namespace ddpt {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using Buckets = prometheus::Histogram::BucketBoundaries;

constexpr size_t kTaskLimit = 256;
const char* const kOther = "other";

const Buckets kHandling = {.001, .005, .01, .025, .05, .1,  .25, .5,   1,   2.5,
                           5,    10,   20,  40,   80,  160, 640, 2560, 7680};
const Buckets kDuration = {.01, .025, .05, .1, .2, .3, .5, .8,  1,   1.5, 2,   2.5,  5,
                           10,  15,   20,  30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
const Buckets kQueue = {.001, .005, .01, .05, .1, .3, .5, .8,  1,   1.5, 2,   2.5, 5,
                        10,   15,   20,  30,  40, 50, 60, 120, 240, 480, 960, 1920};
const Buckets kSample = {.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 30};
const Buckets kStep = {1e-6, 2.5e-6, 5e-6,   1e-5, 2.5e-5, 5e-5,   1e-4, 2.5e-4,
                       5e-4, 1e-3,   2.5e-3, 5e-3, 1e-2,   2.5e-2, 5e-2, .1};
const Buckets kSteps = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000};
const Buckets kBatch = {1, 2, 4, 8, 16, 32, 64, 128, 256};
const Buckets kPoolWait = {1e-5, 1e-4, 1e-3, .005, .01, .05, .1, .5, 1, 5};
const Buckets kCancel = {1e-4, .001, .005, .01, .025, .05, .1, .25, .5, 1, 5};
const Buckets kFirstToken = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,  .75,
                             1,    2.5,  5,   7.5, 10,  20,  40,  80, 160, 640, 2560};
const Buckets kTrainStep = {.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30};
const Buckets kInterToken = {.001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .3,
                             .4,   .5,    .75,  1,   2.5,  5,   7.5,  10, 20,  40, 80};

template <typename T>
prometheus::Family<T>& NewFamily(prometheus::Registry& registry, const char* name,
                                 const char* help) {
  return prometheus::detail::Builder<T>().Name(name).Help(help).Register(registry);
}

Histogram& NewHistogram(prometheus::Registry& registry, const char* name, const char* help,
                        const Buckets& buckets) {
  return NewFamily<Histogram>(registry, name, help).Add({}, buckets);
}

Counter& NewCounter(prometheus::Registry& registry, const char* name, const char* help) {
  return NewFamily<Counter>(registry, name, help).Add({});
}

double Seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

// Of a status code in an array of all of them; what is none counts as UNKNOWN.
size_t IndexOf(absl::StatusCode code) {
  const auto index = static_cast<size_t>(code);
  return index <= static_cast<size_t>(absl::StatusCode::kUnauthenticated)
             ? index
             : static_cast<size_t>(absl::StatusCode::kUnknown);
}

// As go-grpc-prometheus spells the codes.
const char* CodeName(absl::StatusCode code) {
  static constexpr const char* kNames[] = {
      "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  return kNames[IndexOf(code)];
}

const char* OutcomeName(Metrics::Outcome outcome) {
  static constexpr const char* kNames[] = {"ok", "error", "cancelled", "deadline", "rejected"};
  return kNames[static_cast<size_t>(outcome)];
}

// The series that `known` has, or else gets from `family`, which gives the same one for the same
// labels.
template <typename Labels>
Counter& Remembered(std::atomic<Counter*>& known, prometheus::Family<Counter>& family,
                    const Labels& labels) {
  Counter* counter = known.load(std::memory_order_acquire);
  if (counter == nullptr) {
    counter = &family.Add(labels());
    known.store(counter, std::memory_order_release);
  }
  return *counter;
}

const char* RejectionName(const std::string& reason) {
  if (reason == kReasonQueueFull) return "queue_full";
  if (reason == kReasonDraining) return "draining";
  if (reason == kReasonExpired) return "deadline";
  if (reason == kReasonTooLarge) return "too_large";
  if (reason == kReasonQuota) return "quota";
  return "not_ready";
}

}  // namespace

Metrics::Outcome Metrics::OutcomeOf(const absl::Status& status) {
  if (status.ok()) return Outcome::kOk;
  const std::string reason = ReasonOf(status);
  if (reason == kReasonQueueFull || reason == kReasonDraining || reason == kReasonNotReady ||
      reason == kReasonTooLarge || reason == kReasonQuota) {
    return Outcome::kRejected;
  }
  if (absl::IsCancelled(status)) return Outcome::kCancelled;
  return absl::IsDeadlineExceeded(status) ? Outcome::kDeadline : Outcome::kError;
}

Metrics::Metrics(std::shared_ptr<prometheus::Registry> registry)
    : registry_(std::move(registry)),
      started_(NewFamily<Counter>(*registry_, "grpc_server_started_total", "RPCs started.")),
      handled_(NewFamily<Counter>(*registry_, "grpc_server_handled_total", "RPCs completed.")),
      handling_seconds_(NewFamily<Histogram>(*registry_, "grpc_server_handling_seconds",
                                             "From the arrival of an RPC to its end.")),
      waiting_(NewFamily<Gauge>(*registry_, "ddpt_requests_waiting",
                                "Admitted requests whose service has not begun.")),
      running_(NewFamily<Gauge>(*registry_, "ddpt_requests_running", "Requests in service.")),
      requests_(NewFamily<Counter>(*registry_, "ddpt_requests_total", "Requests ended.")),
      task_requests_(NewFamily<Counter>(*registry_, "ddpt_task_requests_total",
                                        "Requests ended, by the task they named.")),
      rejected_(NewFamily<Counter>(*registry_, "ddpt_requests_rejected_total",
                                   "Requests refused before any work.")),
      duration_seconds_(NewFamily<Histogram>(*registry_, "ddpt_request_duration_seconds",
                                             "From the arrival of a request to its end.")),
      queue_seconds_(NewFamily<Histogram>(*registry_, "ddpt_request_queue_seconds",
                                          "From the arrival of a request to its service.")),
      sample_seconds_(NewFamily<Histogram>(*registry_, "ddpt_sample_duration_seconds",
                                           "From the first step to the finished prompts.")),
      task_info_(NewFamily<Gauge>(*registry_, "ddpt_task_info", "Active versions, always 1.")),
      prompt_effect_(NewFamily<Gauge>(
          *registry_, "ddpt_prompt_effect_divergence",
          "Of the next token's distribution under a prompt of the task from that without, nats; "
          "of a built-in example, when the version became active.")),
      pool_streams_(NewFamily<Gauge>(*registry_, "ddpt_stream_pool_streams",
                                     "Workers that sample, each with its stream.")),
      gpu_memory_used_(NewFamily<Gauge>(*registry_, "ddpt_gpu_memory_used_bytes",
                                        "Of the server's GPU, by all processes.")),
      gpu_memory_total_(
          NewFamily<Gauge>(*registry_, "ddpt_gpu_memory_total_bytes", "Of the server's GPU.")),
      ready_(NewFamily<Gauge>(*registry_, "ddpt_ready",
                              "Whether the server takes calls: 0 while it starts or drains, and "
                              "once its device is lost.")
                 .Add({})),
      spans_exported_(
          NewCounter(*registry_, "ddpt_spans_exported_total", "Spans that a collector took.")),
      spans_dropped_(NewCounter(*registry_, "ddpt_spans_dropped_total",
                                "Spans that the queue had no room for or no collector took.")),
      sample_step_seconds_(NewHistogram(*registry_, "ddpt_sample_step_seconds",
                                        "One step of a whole batch, mean over a slice.", kStep)),
      sample_steps_(
          NewHistogram(*registry_, "ddpt_sample_steps", "Steps a request asked for.", kSteps)),
      sample_batch_size_(NewHistogram(*registry_, "ddpt_sample_batch_size",
                                      "Rows that advanced together, mean over a slice.", kBatch)),
      pool_wait_seconds_(NewHistogram(*registry_, "ddpt_stream_pool_wait_seconds",
                                      "Time that work waited for a stream.", kPoolWait)),
      cancel_seconds_(NewHistogram(*registry_, "ddpt_cancel_latency_seconds",
                                   "From the wish to stop to the end of the call.", kCancel)),
      first_token_seconds_(NewHistogram(*registry_, "ddpt_time_to_first_token_seconds",
                                        "From the arrival of a request to its first token.",
                                        kFirstToken)),
      inter_token_seconds_(NewHistogram(*registry_, "ddpt_inter_token_latency_seconds",
                                        "Between two tokens of a choice.", kInterToken)),
      generated_tokens_(
          NewCounter(*registry_, "ddpt_generation_tokens_total", "Tokens generated.")),
      stalled_(NewCounter(*registry_, "ddpt_stream_stalled_total",
                          "Streams ended because their reader was too slow.")),
      cut_off_(NewCounter(*registry_, "ddpt_callers_cut_off_total",
                          "Calls ended because the caller neither sent nor took a message.")),
      kv_cache_usage_(NewFamily<Gauge>(*registry_, "ddpt_kv_cache_usage_ratio",
                                       "Of the memory for keys and values, what is in use.")
                          .Add({})),
      kv_cache_reserved_(NewFamily<Gauge>(*registry_, "ddpt_kv_cache_reserved_ratio",
                                          "Of the memory for keys and values, what running "
                                          "requests may come to need.")
                             .Add({})),
      prefix_lookups_(NewFamily<Counter>(*registry_, "ddpt_prefix_cache_lookups_total",
                                         "Instructions whose keys and values were looked for.")),
      train_jobs_(NewFamily<Gauge>(*registry_, "ddpt_train_jobs",
                                   "Training jobs by state: those that wait were accepted here, "
                                   "the others have run here since the start.")),
      train_loss_(NewFamily<Gauge>(*registry_, "ddpt_train_loss",
                                   "Of the last optimizer step, nats per token.")),
      train_steps_(NewCounter(*registry_, "ddpt_train_steps_total", "Optimizer steps done.")),
      train_resumes_(
          NewCounter(*registry_, "ddpt_train_resumes_total", "Jobs that went on after a restart.")),
      database_reachable_(NewFamily<Gauge>(*registry_, "ddpt_database_reachable",
                                           "Whether the shared database was last reached.")),
      train_storage_errors_(
          NewCounter(*registry_, "ddpt_train_storage_errors_total",
                     "Checkpoints and records of jobs that could not be written.")),
      train_step_seconds_(
          NewHistogram(*registry_, "ddpt_train_step_seconds", "One optimizer step.", kTrainStep)),
      train_checkpoint_age_(NewFamily<Gauge>(*registry_, "ddpt_train_checkpoint_age_seconds",
                                             "Since a training state was saved; 0: none yet.")
                                .Add({})) {
  for (const char* state : {"queued", "running", "succeeded", "failed", "cancelled"}) {
    train_jobs_.Add({{"state", state}});
  }
  NewFamily<Gauge>(*registry_, "ddpt_build_info", "The build, always 1.")
      .Add({{"version", DDPT_VERSION}, {"compiler", __VERSION__}})
      .Set(1);
}

const Metrics::Method& Metrics::AddMethod(std::string_view service, std::string_view name,
                                          std::string_view type, bool queues) {
  auto method = std::make_unique<Method>();
  method->service = service;
  method->name = name;
  method->type = type;
  const prometheus::Labels grpc = {{"grpc_service", method->service},
                                   {"grpc_method", method->name},
                                   {"grpc_type", method->type}};
  const prometheus::Labels rpc = {{"rpc", method->name}};
  method->started = &started_.Add(grpc);
  method->handling_seconds = &handling_seconds_.Add(grpc, kHandling);
  // Calls that wait for no model need fewer.
  method->duration_seconds = &duration_seconds_.Add(rpc, queues ? kDuration : kHandling);
  method->queue_seconds = queues ? &queue_seconds_.Add(rpc, kQueue) : nullptr;
  method->waiting = &waiting_.Add(rpc);
  method->running = &running_.Add(rpc);
  std::lock_guard lock(mutex_);
  return *(methods_[method->name] = std::move(method));
}

void Metrics::Handled(const Method& method, const std::string& task, const absl::Status& status,
                      std::chrono::nanoseconds duration) {
  const Outcome outcome = OutcomeOf(status);
  Remembered(method.handled[IndexOf(status.code())], handled_, [&] {
    return prometheus::Labels{{"grpc_service", method.service},
                              {"grpc_method", method.name},
                              {"grpc_type", method.type},
                              {"grpc_code", CodeName(status.code())}};
  }).Increment();
  Remembered(method.requests[static_cast<size_t>(outcome)], requests_, [&] {
    return prometheus::Labels{{"rpc", method.name}, {"outcome", OutcomeName(outcome)}};
  }).Increment();
  const std::string reason = ReasonOf(status);
  if (outcome == Outcome::kRejected || reason == kReasonExpired) {
    rejected_.Add({{"rpc", method.name}, {"reason", RejectionName(reason)}}).Increment();
  }
  method.handling_seconds->Observe(Seconds(duration));
  method.duration_seconds->Observe(Seconds(duration));
  if (!task.empty()) CountTask(task, OutcomeName(outcome));
}

void Metrics::CountTask(const std::string& task, const std::string& outcome) {
  std::lock_guard lock(mutex_);
  const auto known = tasks_.find(task);
  if (known == tasks_.end()) {
    return task_requests_.Add({{"task", kOther}, {"outcome", outcome}}).Increment();
  }
  Counter*& counter = known->second.requests[outcome];
  if (counter == nullptr) counter = &task_requests_.Add({{"task", task}, {"outcome", outcome}});
  counter->Increment();
}

void Metrics::CancelLatency(std::chrono::nanoseconds latency) {
  cancel_seconds_.Observe(Seconds(latency));
}

void Metrics::SetTask(const std::string& task, uint64_t version, const std::string& digest) {
  std::lock_guard lock(mutex_);
  if (!tasks_.contains(task) && tasks_.size() >= kTaskLimit) return;
  TaskSeries& series = tasks_[task];
  if (series.info != nullptr) task_info_.Remove(series.info);
  series.info = &task_info_.Add(
      {{"task", task}, {"version", std::to_string(version)}, {"digest", digest.substr(0, 16)}});
  series.info->Set(1);
}

void Metrics::PromptEffect(const std::string& task, double divergence) {
  std::lock_guard lock(mutex_);
  const auto known = tasks_.find(task);
  if (known == tasks_.end()) return;
  Gauge*& effect = known->second.effect;
  if (effect == nullptr) effect = &prompt_effect_.Add({{"task", task}});
  effect->Set(divergence);
}

void Metrics::RemoveTask(const std::string& task) {
  std::lock_guard lock(mutex_);
  const auto known = tasks_.find(task);
  if (known == tasks_.end()) return;
  if (known->second.info != nullptr) task_info_.Remove(known->second.info);
  if (known->second.effect != nullptr) prompt_effect_.Remove(known->second.effect);
  for (const auto& [outcome, counter] : known->second.requests) task_requests_.Remove(counter);
  tasks_.erase(known);
}

void Metrics::SampleDone(std::string_view sampler, int64_t steps,
                         std::chrono::nanoseconds duration) {
  sample_seconds_.Add({{"sampler", std::string(sampler)}}, kSample).Observe(Seconds(duration));
  sample_steps_.Observe(static_cast<double>(steps));
}

void Metrics::SampleSlice(size_t steps, size_t row_steps, std::chrono::nanoseconds time) {
  if (steps == 0) return;
  sample_step_seconds_.Observe(Seconds(time) / static_cast<double>(steps));
  sample_batch_size_.Observe(static_cast<double>(row_steps) / static_cast<double>(steps));
}

void Metrics::Ready(bool ready) { ready_.Set(ready ? 1 : 0); }

void Metrics::StreamPoolWait(std::chrono::nanoseconds wait) {
  pool_wait_seconds_.Observe(Seconds(wait));
}

void Metrics::StreamPoolThreads(size_t busy, size_t all) {
  pool_streams_.Add({{"state", "busy"}}).Set(static_cast<double>(busy));
  pool_streams_.Add({{"state", "idle"}}).Set(static_cast<double>(all - std::min(busy, all)));
}

void Metrics::GpuMemory(uint64_t used, uint64_t total) {
  gpu_memory_used_.Add({}).Set(static_cast<double>(used));
  gpu_memory_total_.Add({}).Set(static_cast<double>(total));
}

void Metrics::FirstToken(std::chrono::nanoseconds since_arrival) {
  first_token_seconds_.Observe(Seconds(since_arrival));
}
void Metrics::NextToken(std::chrono::nanoseconds since_last) {
  inter_token_seconds_.Observe(Seconds(since_last));
}
void Metrics::GeneratedTokens(size_t count) {
  generated_tokens_.Increment(static_cast<double>(count));
}
void Metrics::KvCacheUsage(double share) { kv_cache_usage_.Set(share); }
void Metrics::KvCacheReserved(double share) { kv_cache_reserved_.Set(share); }
void Metrics::PrefixLookup(bool hit) {
  prefix_lookups_.Add({{"result", hit ? "hit" : "miss"}}).Increment();
}
void Metrics::StreamStalled() { stalled_.Increment(); }
void Metrics::CallerCutOff() { cut_off_.Increment(); }

void Metrics::TrainJob(std::string_view from, std::string_view to) {
  if (!from.empty()) train_jobs_.Add({{"state", std::string(from)}}).Decrement();
  if (!to.empty()) train_jobs_.Add({{"state", std::string(to)}}).Increment();
}

void Metrics::TrainResumed() { train_resumes_.Increment(); }

void Metrics::TrainStep(const std::string& task, double loss, std::chrono::nanoseconds time) {
  train_steps_.Increment();
  train_step_seconds_.Observe(Seconds(time));
  train_loss_.Add({{"task", task}}).Set(loss);
}

void Metrics::TrainEnded(const std::string& task) {
  train_loss_.Remove(&train_loss_.Add({{"task", task}}));
}

void Metrics::TrainNotStored() { train_storage_errors_.Increment(); }

void Metrics::DatabaseReachable(bool reachable) {
  database_reachable_.Add({}).Set(reachable ? 1 : 0);
}

void Metrics::SpansExported(size_t count) { spans_exported_.Increment(double(count)); }
void Metrics::SpansDropped(size_t count) { spans_dropped_.Increment(double(count)); }

void Metrics::TrainSaved() {
  std::lock_guard lock(mutex_);
  checkpoint_ = std::chrono::steady_clock::now();
}

void Metrics::TrainCheckpointAge() {
  std::lock_guard lock(mutex_);
  if (checkpoint_)
    train_checkpoint_age_.Set(Seconds(std::chrono::steady_clock::now() - *checkpoint_));
}

}  // namespace ddpt
