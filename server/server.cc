#include "server/server.h"

#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/device.h"
#include "core/base/file.h"
#include "core/base/memory.h"
#include "core/base/processors.h"
#include "core/base/status.h"
#include "core/model/device_memory.h"
#include "core/model/language_model.h"
#include "core/model/prefix_cache.h"
#include "core/registry/postgres_watcher.h"
#include "server/access.h"
#include "server/base_model.h"
#include "server/call.h"
#include "server/code_service.h"
#include "server/debug_state.h"
#include "server/evaluation_service.h"
#include "server/grpc_endpoint.h"
#include "server/health.h"
#include "server/http.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/model_service.h"
#include "server/prompt_maker.h"
#include "server/prompt_probe.h"
#include "server/prompt_sampler.h"
#include "server/prompt_service.h"
#include "server/span_exporter.h"
#include "server/status.h"
#include "server/storage.h"
#include "server/task_catalog.h"
#include "server/task_imports.h"
#include "server/task_service.h"
#include "server/tls.h"
#include "server/training_service.h"

namespace ddpt {
namespace {

using std::chrono::steady_clock;

constexpr size_t kControlThreads = 2;
constexpr size_t kBackgroundThreads = 2;  // a job, an evaluation
// Draws that wait for the reference loop, which takes seconds for each.
constexpr size_t kReferenceQueue = 64;
// Rows that share a pass over the weights: beyond that wait grows and speed does not.
constexpr size_t kBatchCapacity = 32;
constexpr size_t kGpuBatchCapacity = 1024;
// Where the machine does not tell what is free.
constexpr size_t kKvCacheBytes = size_t{1} << 30;
// Of the memory for keys and values one part in so many is for instructions that may come again.
constexpr size_t kPrefixShare = 8;
// For answers that are written already when the server stops, and health watchers who never leave.
constexpr std::chrono::milliseconds kLastWords{500};
// For the engines of tasks before the server is ready; those that take longer are there later.
constexpr std::chrono::seconds kWarmTime{60};
// For spans that no collector has yet.
constexpr std::chrono::seconds kLastSpans{1};
// For work that was told to stop.
constexpr std::chrono::seconds kStopTime{10};

absl::StatusOr<int> DeviceNumber(const std::string& device) {
  if (device == "auto") return Stream::Create(0).ok() ? 0 : kCpu;
  DDPT_ASSIGN_OR_RETURN(const int number, ParseDevice(device));
  DDPT_RETURN_IF_ERROR(Annotate(Stream::Create(number).status(), "device"));
  return number;
}

// Tells how far the loading of a model is, every five seconds.
std::function<void(uint64_t done, uint64_t total)> LoadingLog(const Log& log) {
  return [&log, last = steady_clock::now()](uint64_t done, uint64_t total) mutable {
    if (steady_clock::now() - last < std::chrono::seconds(5)) return;
    last = steady_clock::now();
    log.Info("loading_model", {{"bytes", done}, {"total_bytes", total}});
  };
}

absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("state: ", path, ": ", error.message()));
}

}  // namespace

// Members are in the order of their dependencies: each uses those before it.
class Server::Impl {
 public:
  explicit Impl(Config config)
      : config_(std::move(config)),
        log_(config_.log_level),
        prometheus_(std::make_shared<prometheus::Registry>()),
        metrics_(prometheus_) {}
  ~Impl() { Shutdown(steady_clock::now()); }

  absl::Status Open();
  absl::Status Serve();
  void Shutdown(TimePoint deadline);
  void Wait();
  std::string address() const { return grpc_.address; }
  std::string metrics_address() const { return http_ ? http_->address() : ""; }

 private:
  absl::Status OpenPools();
  absl::Status Load();
  absl::Status OpenModel();
  absl::Status OpenTasks();
  absl::Status OpenServices();
  void WarmTasks();
  void TaskChanged(const std::string& task, const TaskCatalog::Active& active);
  void WatchDatabase();
  absl::Status ServeMetrics();
  absl::Status WriteEndpoints() const;
  absl::Status Ready() const;
  absl::Status DeviceHealth() const;
  std::string State() const;
  void LoseDevice(const absl::Status& why);
  size_t BatchCapacity() const;
  size_t KvCacheBytes() const;
  double KvCacheUsage() const;
  void Drain(TimePoint deadline);
  std::string EndpointsPath() const { return config_.state + "/endpoints.json"; }

  const Config config_;
  const TimePoint created_ = steady_clock::now();
  const Log log_;
  int device_ = kCpu;
  const std::shared_ptr<prometheus::Registry> prometheus_;
  Metrics metrics_;
  Health health_;
  std::unique_ptr<SpanExporter> spans_;  // null: none are recorded
  Storage storage_;
  std::unique_ptr<StreamPool> control_;        // registry and files
  std::unique_ptr<StreamPool> loader_;         // engines
  std::unique_ptr<StreamPool> reference_;      // full-space sampling
  std::unique_ptr<StreamPool> pool_;           // everything else
  std::unique_ptr<StreamPool> background_;     // jobs and evaluations, behind pool_
  std::shared_ptr<const BaseModel> base_;      // null: prompts only
  std::map<std::string, std::string> active_;  // digests by task; for the catalog's on_change
  size_t kv_row_bytes_ = 0;                    // keys and values of what runs
  std::shared_ptr<PrefixCache> prefix_cache_;
  std::unique_ptr<TaskCatalog> catalog_;
  std::unique_ptr<PromptSampler> sampler_;
  std::unique_ptr<Access> access_;
  std::unique_ptr<Calls> calls_;
  std::unique_ptr<CandidateScorer> scorer_;  // null without a base model
  std::unique_ptr<PromptMaker> maker_;
  std::unique_ptr<PromptProbe> probe_;  // null without a base model
  std::unique_ptr<PromptService> prompt_service_;
  std::unique_ptr<TaskService> task_service_;
  std::unique_ptr<CodeService> code_service_;              // null without a base model
  std::unique_ptr<EvaluationService> evaluation_service_;  // likewise
  std::unique_ptr<ModelService> model_service_;            // likewise
  std::unique_ptr<TrainingService> training_service_;      // likewise
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  GrpcEndpoint grpc_;
  std::unique_ptr<HttpEndpoint> http_;
  std::unique_ptr<PostgresWatcher> watcher_;  // null without a database

  mutable std::mutex mutex_;
  std::condition_variable stopped_changed_;
  // Guarded by mutex_:
  bool serving_ = false;
  bool stopping_ = false;
  bool stopped_ = false;
};

absl::Status Server::Impl::Open() {
  DDPT_RETURN_IF_ERROR(ValidateConfig(config_));
  DDPT_ASSIGN_OR_RETURN(credentials_, MakeCredentials(config_, log_));
  DDPT_ASSIGN_OR_RETURN(access_, Access::Open(config_, log_));
  DDPT_RETURN_IF_ERROR(MakeDirectory(config_.state + "/uploads"));
  DDPT_ASSIGN_OR_RETURN(storage_,
                        OpenStorage(config_, /*training=*/!ModelDirectory(config_).empty()));
  if (!config_.otlp_endpoint.empty()) {
    spans_ = std::make_unique<SpanExporter>(
        SpanExporter::Options{.endpoint = config_.otlp_endpoint}, metrics_, log_);
  }
  DDPT_RETURN_IF_ERROR(OpenPools());
  return ServeMetrics();
}

absl::Status Server::Impl::Load() {
  DDPT_RETURN_IF_ERROR(OpenModel());
  DDPT_RETURN_IF_ERROR(OpenTasks());
  DDPT_RETURN_IF_ERROR(OpenServices());
  if (storage_.database) WatchDatabase();
  WarmTasks();
  return absl::OkStatus();
}

absl::Status Server::Impl::OpenPools() {
  DDPT_ASSIGN_OR_RETURN(device_, DeviceNumber(config_.device));
  const size_t processors = std::min<size_t>(UsableProcessors(), 256);
  DDPT_ASSIGN_OR_RETURN(control_, StreamPool::Create({.threads = kControlThreads}));
  const auto on_device_lost = [this](const absl::Status& why) { LoseDevice(why); };
  DDPT_ASSIGN_OR_RETURN(
      loader_,
      StreamPool::Create({.threads = 1, .queue_limit = 4096, .on_device_lost = on_device_lost}));
  DDPT_ASSIGN_OR_RETURN(reference_,
                        StreamPool::Create({.threads = 1, .queue_limit = kReferenceQueue}));
  DDPT_ASSIGN_OR_RETURN(
      pool_, StreamPool::Create({.threads = config_.threads > 0 ? config_.threads : processors,
                                 .device = device_,
                                 .queue_limit = 4096,
                                 .on_wait = [this](auto wait) { metrics_.StreamPoolWait(wait); },
                                 .on_device_lost = on_device_lost}));
  DDPT_ASSIGN_OR_RETURN(background_, StreamPool::Create({.threads = kBackgroundThreads,
                                                         .device = device_,
                                                         .behind = pool_.get(),
                                                         .on_device_lost = on_device_lost}));
  return absl::OkStatus();
}

absl::Status Server::Impl::OpenModel() {
  const std::string directory = ModelDirectory(config_);
  if (directory.empty()) return absl::OkStatus();
  auto base = LoadBaseModel(directory, config_, LoadingLog(log_));
  DDPT_RETURN_IF_ERROR(Annotate(base.status(), "model"));
  base_ = *std::move(base);
  DDPT_RETURN_IF_ERROR(Annotate(WarmUp(*base_), "model: no answer to the first request"));
  return absl::OkStatus();
}

absl::Status Server::Impl::OpenTasks() {
  DDPT_ASSIGN_OR_RETURN(
      catalog_,
      TaskCatalog::Create(
          *storage_.registry, *loader_,
          {.engines = config_.engine_cache,
           .weight_type =
               config_.sampling_dtype == "bfloat16" ? WeightType::kBfloat16 : WeightType::kFloat32,
           .device = device_,
           .helpers = pool_->threads() - 1,
           .on_change = [this](const std::string& task, const TaskCatalog::Active& active) {
             TaskChanged(task, active);
           }}));
  for (const TaskImport& import : config_.import_tasks) {
    DDPT_RETURN_IF_ERROR(
        Annotate(ImportTask(import, *storage_.registry, *catalog_), "import-task"));
  }
  if (!base_) return absl::OkStatus();
  return ImportModelTasks(base_->directory, *storage_.registry, *catalog_);
}

void Server::Impl::TaskChanged(const std::string& task, const TaskCatalog::Active& active) {
  health_.SetTask(task, active.version > 0 && !active.damaged);
  if (active.version == 0) {
    active_.erase(task);
    return metrics_.RemoveTask(task);
  }
  metrics_.SetTask(task, active.version, active.digest);
  const bool same = std::exchange(active_[task], active.digest) == active.digest;
  if (!same && probe_) probe_->Measure(task);
}

absl::Status Server::Impl::OpenServices() {
  sampler_ = std::make_unique<PromptSampler>(
      PromptSampler::Options{.batch_capacity = BatchCapacity()}, *pool_, *reference_, metrics_);
  calls_ = std::make_unique<Calls>(
      Calls::Options{.sample_limit = config_.sample_limit,
                     .sample_limit_per_task = config_.sample_limit_per_task,
                     .generate_limit = config_.generate_limit,
                     .control_limit = config_.control_limit,
                     .max_requests_per_client = config_.max_requests_per_client,
                     .max_message_bytes = config_.max_message_bytes,
                     .caller_timeout = config_.caller_timeout,
                     .spans = spans_.get()},
      *access_, metrics_, log_, *control_);
  ConditionEncoder encoder;
  if (base_) {
    encoder = MakeConditionEncoder(base_, *pool_);
    scorer_ = std::make_unique<CandidateScorer>(base_, *storage_.datasets, *pool_);
  }
  maker_ =
      std::make_unique<PromptMaker>(*catalog_, *sampler_, std::move(encoder), scorer_.get(),
                                    RequestLimits{.max_count = config_.max_count,
                                                  .max_message_bytes = config_.max_message_bytes});
  prompt_service_ = std::make_unique<PromptService>(*calls_, *maker_, base_, *pool_);
  task_service_ = std::make_unique<TaskService>(*calls_, *storage_.registry, *catalog_,
                                                config_.state + "/uploads");
  if (!base_) return absl::OkStatus();
  if (config_.batch_invariant == "on" && !base_->model->steps_in_fixed_order()) {
    return FieldError("batch-invariant", "needs a model on a processor with AVX2");
  }
  const size_t kv_cache_bytes = KvCacheBytes();
  kv_row_bytes_ = kv_cache_bytes - kv_cache_bytes / kPrefixShare;
  prefix_cache_ = std::make_shared<PrefixCache>(kv_cache_bytes / kPrefixShare,
                                                [this](bool hit) { metrics_.PrefixLookup(hit); });
  code_service_ = std::make_unique<CodeService>(
      *calls_, base_, *maker_, *pool_,
      CodeService::Options{.batch = {.capacity = config_.generate_batch,
                                     .kv_bytes = kv_row_bytes_,
                                     .batch_invariant = config_.batch_invariant == "on",
                                     .prefix_cache = prefix_cache_},
                           .stream_buffer_bytes = config_.stream_buffer_bytes});
  model_service_ = std::make_unique<ModelService>(*calls_, base_, *pool_);
  DDPT_ASSIGN_OR_RETURN(probe_, PromptProbe::Create(base_, *maker_, *pool_, metrics_, log_));
  DDPT_ASSIGN_OR_RETURN(
      evaluation_service_,
      EvaluationService::Create(*calls_, base_, *maker_, *storage_.registry, *storage_.datasets,
                                *background_, config_.state + "/evaluations"));
  DDPT_ASSIGN_OR_RETURN(training_service_,
                        TrainingService::Create(*calls_, base_, *storage_.registry, *catalog_,
                                                *storage_.datasets, *storage_.jobs, *background_,
                                                {.state_directory = config_.state,
                                                 .trunk_memory_bytes = config_.trunk_memory_bytes,
                                                 .trunk_file_bytes = config_.trunk_file_bytes,
                                                 .data_directories = config_.data_directories,
                                                 .spans = spans_.get()}));
  return absl::OkStatus();
}

// So that no first call waits for what a task needs once.
void Server::Impl::WarmTasks() {
  catalog_->LoadActive(
      steady_clock::now() + kWarmTime, [this](const std::string& task, const absl::Status& status) {
        if (status.ok() && probe_) probe_->Measure(task);
        if (status.ok()) return;
        log_.Error("task not loaded", {{"task", task}, {"message", std::string(status.message())}});
      });
}

// What other servers on the database change. While it is out of reach this one goes on with what it
// has in memory, and stays ready: others would not do better.
void Server::Impl::WatchDatabase() {
  PostgresWatcher::Options options;
  options.on_task = [this](const std::string& task) { return catalog_->Refresh(task); };
  options.on_job = [this](const std::string& job) {
    return training_service_ ? training_service_->Notice(job) : absl::OkStatus();
  };
  options.on_reach = [this](const absl::Status& status) {
    metrics_.DatabaseReachable(status.ok());
    const nlohmann::json fields = {{"address", storage_.database->address()},
                                   {"message", std::string(status.message())}};
    status.ok() ? log_.Info("database reached", fields) : log_.Error("database lost", fields);
  };
  watcher_ = std::make_unique<PostgresWatcher>(*storage_.database, std::move(options));
}

absl::Status Server::Impl::Serve() {
  DDPT_RETURN_IF_ERROR(Load());
  std::vector<grpc::Service*> services = {prompt_service_.get(), task_service_.get()};
  if (base_) {
    services.insert(services.end(), {code_service_.get(), model_service_.get(),
                                     evaluation_service_.get(), training_service_.get()});
  }
  DDPT_ASSIGN_OR_RETURN(grpc_, StartGrpc(config_, credentials_, *access_, services));
  health_.Attach(grpc_.server->GetHealthCheckService());
  {
    std::lock_guard lock(mutex_);
    serving_ = true;
  }
  log_.Info("serving", {{"version", DDPT_VERSION},
                        {"grpc", address()},
                        {"metrics", metrics_address()},
                        {"state", config_.state},
                        {"database", storage_.database ? storage_.database->address() : ""},
                        {"model", base_ ? base_->name : ""},
                        {"dtype", base_ ? ModelDtypeName(base_->model->geometry().dtype) : ""},
                        {"kv_cache_bytes", base_ ? kv_row_bytes_ : 0},
                        {"workers", pool_->threads()}});
  return WriteEndpoints();
}

absl::Status Server::Impl::ServeMetrics() {
  if (config_.metrics_listen.empty()) return absl::OkStatus();
  const auto metrics = [this] {
    metrics_.Ready(Ready().ok());
    metrics_.StreamPoolThreads(pool_->busy(), pool_->threads());
    metrics_.TrainCheckpointAge();
    metrics_.KvCacheUsage(KvCacheUsage());
    if (const auto memory = ReadDeviceMemory(device_)) {
      metrics_.GpuMemory(memory->used, memory->total);
    }
    return prometheus::TextSerializer().Serialize(prometheus_->Collect());
  };
  DDPT_ASSIGN_OR_RETURN(http_, HttpEndpoint::Create({.address = config_.metrics_listen,
                                                     .metrics = metrics,
                                                     .ready = [this] { return Ready(); },
                                                     .state = [this] { return State(); }}));
  return absl::OkStatus();
}

absl::Status Server::Impl::WriteEndpoints() const {
  const nlohmann::json endpoints = {
      {"grpc", address()}, {"metrics", metrics_address()}, {"pid", getpid()}};
  return WriteFileAtomic(EndpointsPath(), endpoints.dump() + "\n");
}

absl::Status Server::Impl::Ready() const {
  DDPT_RETURN_IF_ERROR(DeviceHealth());
  std::lock_guard lock(mutex_);
  if (stopping_) return absl::UnavailableError("draining");
  return serving_ ? absl::OkStatus() : absl::UnavailableError("starting");
}

std::string Server::Impl::State() const {
  const absl::Status ready = Ready();
  bool serving = false;
  nlohmann::json state;
  {
    std::lock_guard lock(mutex_);
    serving = serving_;
    state["state"] = stopping_ ? "draining" : !serving ? "starting" : "ready";
  }
  if (!ready.ok()) state["reason"] = std::string(ready.message());
  state["version"] = DDPT_VERSION;
  state["pid"] = getpid();
  state["uptime_seconds"] = std::chrono::duration<double>(steady_clock::now() - created_).count();
  if (serving) {
    state.update(DebugState({.config = config_,
                             .calls = *calls_,
                             .catalog = *catalog_,
                             .sampler = *sampler_,
                             .pool = *pool_,
                             .loader = *loader_,
                             .base = base_.get(),
                             .code = code_service_.get(),
                             .training = training_service_.get()}));
  }
  return state.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

size_t Server::Impl::BatchCapacity() const {
  if (config_.batch_capacity > 0) return config_.batch_capacity;
  return device_ == kCpu ? kBatchCapacity : kGpuBatchCapacity;
}

absl::Status Server::Impl::DeviceHealth() const {
  absl::Status status = pool_->health();
  status.Update(background_->health());
  status.Update(loader_->health());
  return status;
}

size_t Server::Impl::KvCacheBytes() const {
  if (config_.kv_cache_bytes > 0) return config_.kv_cache_bytes;
  const std::string& device = base_->model->geometry().device;
  if (device == "cpu") return FreeMemory().value_or(kKvCacheBytes) / 4;
  const auto memory = ReadDeviceMemory(ParseDevice(device).value());
  return memory ? (memory->total - memory->used) / 2 : kKvCacheBytes;
}

// What is kept of instructions for later gives way by itself. While the model is loaded nothing is.
double Server::Impl::KvCacheUsage() const {
  {
    std::lock_guard lock(mutex_);
    if (!serving_ || !base_) return 0;
  }
  const size_t kept = prefix_cache_->bytes(), held = base_->model->kv_bytes();
  return static_cast<double>(held - std::min(kept, held)) / static_cast<double>(kv_row_bytes_);
}

// What runs ends by the device's error; what comes is better off at another server.
void Server::Impl::LoseDevice(const absl::Status& why) {
  health_.Stop();
  log_.Error("device lost", {{"message", std::string(why.message())}});
  if (calls_) {
    calls_->Close(WithReason(
        absl::UnavailableError(absl::StrCat("the server has lost its device: ", why.message())),
        kReasonNotReady));
  }
  // Jobs would fail here one after the other; after a restart, or on another server, they need not.
  if (training_service_) training_service_->Cease();
}

void Server::Impl::Shutdown(TimePoint deadline) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true)) return;
  }
  if (grpc_.server) Drain(deadline);
  if (spans_) spans_->Stop(steady_clock::now() + kLastSpans);
  http_.reset();
  std::lock_guard lock(mutex_);
  stopped_ = true;
  stopped_changed_.notify_all();
}

void Server::Impl::Drain(TimePoint deadline) {
  health_.Stop();
  calls_->Close(
      WithReason(absl::UnavailableError("draining: the server is about to stop"), kReasonDraining));
  if (training_service_) training_service_->Cease();
  if (evaluation_service_) evaluation_service_->Stop();
  log_.Info("draining", nlohmann::json::object());
  const bool in_time = calls_->WaitIdle(deadline);
  if (!in_time) {
    calls_->StopAll();
    sampler_->Stop();
    if (code_service_) code_service_->Stop();
    calls_->WaitIdle(steady_clock::now() + kStopTime);
  }
  // The job's present piece may take longer than any call.
  if (training_service_) training_service_->Stop();
  grpc_.server->Shutdown(std::chrono::system_clock::now() + kLastWords);
  grpc_.server->Wait();
  std::error_code ignored;
  std::filesystem::remove(EndpointsPath(), ignored);
  log_.Info("stopped", {{"all_answered", in_time}});
}

void Server::Impl::Wait() {
  std::unique_lock lock(mutex_);
  stopped_changed_.wait(lock, [this] { return stopped_; });
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

absl::StatusOr<std::unique_ptr<Server>> Server::Create(Config config) {
  auto impl = std::make_unique<Impl>(std::move(config));
  DDPT_RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

absl::Status Server::Serve() { return impl_->Serve(); }
void Server::Shutdown(TimePoint deadline) {
  impl_->Shutdown(deadline);
  impl_->Wait();
}
void Server::Wait() { impl_->Wait(); }
std::string Server::address() const { return impl_->address(); }
std::string Server::metrics_address() const { return impl_->metrics_address(); }

}  // namespace ddpt
