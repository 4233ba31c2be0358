#include "server/task_catalog.h"

#include <algorithm>
#include <future>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/tuning/attributes.h"
#include "nlohmann/json.hpp"

namespace ddpt {
namespace {

constexpr char kValidationDigest[] = "validation_digest";

}  // namespace

TaskCatalog::TaskCatalog(Registry& registry, StreamPool& loader, Options options)
    : registry_(registry), loader_(loader), options_(std::move(options)) {}

absl::StatusOr<std::unique_ptr<TaskCatalog>> TaskCatalog::Create(Registry& registry,
                                                                 StreamPool& loader,
                                                                 Options options) {
  std::unique_ptr<TaskCatalog> catalog(new TaskCatalog(registry, loader, std::move(options)));
  DDPT_RETURN_IF_ERROR(catalog->RefreshAll());
  return catalog;
}

absl::StatusOr<TimedEngine> TaskCatalog::BuildEngine(const std::string& digest) const {
  DDPT_ASSIGN_OR_RETURN(const std::string path, registry_.FetchDenoiser(digest));
  auto denoiser = Denoiser::Load(path);
  if (!denoiser.ok()) {
    const std::string what = absl::StrCat("stored denoiser: ", denoiser.status().message());
    const bool lost =
        absl::IsInvalidArgument(denoiser.status()) || absl::IsNotFound(denoiser.status());
    return lost ? absl::DataLossError(what) : absl::UnavailableError(what);
  }
  if ((*denoiser)->digest() != digest) {
    return absl::DataLossError(absl::StrCat("stored denoiser: ", path, " has the digest ",
                                            (*denoiser)->digest(), " instead of ", digest));
  }
  DDPT_ASSIGN_OR_RETURN(
      auto engine, LatentEngine::Create(*std::move(denoiser), options_.weight_type, BestKernels(),
                                        options_.device));
  // A denoiser whose few measured draws fail may still serve others: without a cost nothing is
  // refused.
  const SamplingCost cost = MeasureSamplingCost(engine, options_.helpers).value_or(SamplingCost());
  return TimedEngine{std::move(engine), cost, std::make_shared<SpareBatch>()};
}

// Those that the registry has, and those that it had.
absl::Status TaskCatalog::RefreshAll() {
  std::set<std::string> names;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [name, task] : tasks_) names.insert(name);
  }
  std::string token;
  do {
    DDPT_ASSIGN_OR_RETURN(const TaskPage page, registry_.ListTasks(1000, token));
    for (const TaskRecord& task : page.tasks) names.insert(task.name);
    token = page.next_page_token;
  } while (!token.empty());
  for (const std::string& name : names) DDPT_RETURN_IF_ERROR(Refresh(name));
  return absl::OkStatus();
}

absl::Status TaskCatalog::Refresh(const std::string& name) {
  if (name.empty()) return RefreshAll();
  std::lock_guard refreshing(refresh_mutex_);
  const absl::StatusOr<TaskRecord> record = registry_.GetTask(name);
  if (absl::IsNotFound(record.status())) {
    {
      std::lock_guard lock(mutex_);
      tasks_.erase(name);
    }
    TellActive(name);
    return absl::OkStatus();
  }
  DDPT_RETURN_IF_ERROR(record.status());
  DDPT_ASSIGN_OR_RETURN(const auto versions, registry_.ListVersions(name));
  Task task;
  task.active = record->active_version;
  for (const TaskVersion& version : versions) {
    const auto validation = version.attributes.find(kValidationDigest);
    task.versions[version.version] = {
        version.digest, validation == version.attributes.end() ? "" : validation->second};
  }
  {
    std::lock_guard lock(mutex_);
    tasks_[name] = std::move(task);
  }
  TellActive(name);
  return absl::OkStatus();
}

void TaskCatalog::TellActive(const std::string& name) const {
  if (!options_.on_change) return;
  Active active;
  {
    std::lock_guard lock(mutex_);
    const auto task = tasks_.find(name);
    if (task != tasks_.end()) {
      active.version = task->second.active;
      const auto version = task->second.versions.find(active.version);
      if (version != task->second.versions.end()) active.digest = version->second.digest;
      active.damaged = damaged_.contains(active.digest);
    }
  }
  options_.on_change(name, active);
}

void TaskCatalog::NoteDamage(const std::string& digest, bool damaged) {
  std::vector<std::string> names;
  {
    std::lock_guard lock(mutex_);
    const bool news = damaged ? damaged_.insert(digest).second : damaged_.erase(digest) > 0;
    if (!news) return;
    for (const auto& [name, task] : tasks_) {
      const auto active = task.versions.find(task.active);
      if (active != task.versions.end() && active->second.digest == digest) names.push_back(name);
    }
  }
  std::lock_guard refreshing(refresh_mutex_);
  for (const std::string& name : names) TellActive(name);
}

absl::StatusOr<TaskCatalog::Found> TaskCatalog::FindActive(const std::string& name,
                                                           std::optional<uint64_t> version) const {
  std::lock_guard lock(mutex_);
  const auto task = tasks_.find(name);
  if (task == tasks_.end()) return absl::NotFoundError(absl::StrCat("no task \"", name, "\""));
  const uint64_t number = version.value_or(task->second.active);
  const auto found = task->second.versions.find(number);
  if (found != task->second.versions.end()) return Found{number, found->second};
  if (version)
    return absl::NotFoundError(absl::StrCat("task \"", name, "\" has no version ", number));
  return absl::FailedPreconditionError(
      absl::StrCat("task \"", name, "\" has no active version; promote one"));
}

absl::StatusOr<TaskCatalog::Found> TaskCatalog::FindByDigest(const std::string& name,
                                                             std::string_view digest) const {
  const std::string prefix = absl::BytesToHexString(Piece(digest));
  std::lock_guard lock(mutex_);
  const auto task = tasks_.find(name);
  if (task == tasks_.end()) return absl::NotFoundError(absl::StrCat("no task \"", name, "\""));
  for (const auto& [number, version] : task->second.versions) {
    if (absl::StartsWith(version.digest, prefix)) return Found{number, version};
  }
  return absl::NotFoundError(absl::StrCat("task \"", name, "\" has no version with a denoiser ",
                                          prefix, "...; was it deleted?"));
}

void TaskCatalog::Load(const std::string& task, std::optional<uint64_t> version, Ready ready) {
  LoadFound(task, FindActive(task, version), std::move(ready));
}

void TaskCatalog::LoadByDigest(const std::string& task, std::string_view digest_prefix,
                               Ready ready) {
  LoadFound(task, FindByDigest(task, digest_prefix), std::move(ready));
}

void TaskCatalog::LoadActive(
    TimePoint deadline,
    const std::function<void(const std::string& task, const absl::Status&)>& tell) {
  std::vector<std::string> names;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [name, task] : tasks_) {
      if (task.active > 0 && names.size() < options_.engines) names.push_back(name);
    }
  }
  for (const std::string& name : names) {
    auto loaded = std::make_shared<std::promise<absl::Status>>();
    Load(name, std::nullopt,
         [loaded](const absl::StatusOr<LoadedTask>& task) { loaded->set_value(task.status()); });
    std::future<absl::Status> result = loaded->get_future();
    const bool in_time = result.wait_until(deadline) == std::future_status::ready;
    tell(name, in_time ? result.get() : absl::DeadlineExceededError("is still being loaded"));
  }
}

void TaskCatalog::LoadFound(const std::string& task, absl::StatusOr<Found> found, Ready ready) {
  if (!found.ok()) return ready(found.status());
  LoadedTask loaded{{}, task, found->number, found->version.validation_digest};
  {
    std::unique_lock lock(mutex_);
    const bool first = !engines_.contains(found->version.digest);
    Entry& entry = engines_[found->version.digest];
    if (entry.built.engine) {
      Touch(found->version.digest, entry);
      static_cast<TimedEngine&>(loaded) = entry.built;
    } else {
      entry.waiting.push_back(
          [loaded, ready = std::move(ready)](const absl::StatusOr<TimedEngine>& engine) mutable {
            if (!engine.ok()) return ready(engine.status());
            static_cast<TimedEngine&>(loaded) = *engine;
            ready(std::move(loaded));
          });
      lock.unlock();
      if (first) Build(found->version);
      return;
    }
  }
  ready(std::move(loaded));
}

void TaskCatalog::Build(const Version& version) {
  const absl::Status status = loader_.Submit(
      {.key = "load",
       .run =
           [this, version](Stream&) {
             const auto engine = BuildEngine(version.digest);
             if (engine.ok() || absl::IsDataLoss(engine.status())) {
               NoteDamage(version.digest, !engine.ok());
             }
             Finish(version.digest, engine);
             return Progress::kDone;
           },
       .on_error = [this, version](const absl::Status& error) { Finish(version.digest, error); }});
  if (!status.ok()) Finish(version.digest, status);
}

void TaskCatalog::Finish(const std::string& digest, const absl::StatusOr<TimedEngine>& engine) {
  decltype(Entry::waiting) waiting;
  std::vector<TimedEngine> dropped;
  {
    std::lock_guard lock(mutex_);
    Entry& entry = engines_[digest];
    waiting.swap(entry.waiting);
    if (entry.built.engine) return;
    if (!engine.ok()) {
      engines_.erase(digest);
    } else {
      entry.built = *engine;
      recent_.push_front(digest);
      entry.recency = recent_.begin();
    }
    while (recent_.size() > options_.engines) {
      dropped.push_back(std::move(engines_[recent_.back()].built));
      engines_.erase(recent_.back());
      recent_.pop_back();
    }
  }
  for (const auto& ready : waiting) ready(engine);
}

void TaskCatalog::Touch(const std::string& digest, Entry& entry) {
  recent_.erase(entry.recency);
  recent_.push_front(digest);
  entry.recency = recent_.begin();
}

absl::StatusOr<TaskVersion> TaskCatalog::Import(const std::string& task, std::string_view file,
                                                Promotion promotion,
                                                const std::string& validation_digest) {
  DDPT_ASSIGN_OR_RETURN(const auto denoiser, Denoiser::Parse(file, "denoiser file"));
  DenoiserSpec spec = denoiser->spec();
  const std::map<std::string, std::string> extra = std::exchange(spec.extra, {});
  std::map<std::string, std::string> attributes = ToMetadata(spec);
  if (const auto names = extra.find(kAttributeNames); names != extra.end()) {
    attributes.insert(*names);
  }
  if (!validation_digest.empty()) attributes[kValidationDigest] = validation_digest;
  DDPT_ASSIGN_OR_RETURN(TaskVersion version,
                        registry_.ImportVersion(task, file, attributes, promotion));
  NoteDamage(version.digest, /*damaged=*/false);
  DDPT_RETURN_IF_ERROR(Refresh(task));
  return version;
}

std::set<std::string> TaskCatalog::ValidationDigests() const {
  std::lock_guard lock(mutex_);
  std::set<std::string> digests;
  for (const auto& [name, task] : tasks_) {
    for (const auto& [number, version] : task.versions) digests.insert(version.validation_digest);
  }
  return digests;
}

nlohmann::json TaskCatalog::State(size_t most) const {
  nlohmann::json shown = nlohmann::json::array();
  std::lock_guard lock(mutex_);
  for (const auto& [name, task] : tasks_) {
    if (shown.size() == most) break;
    const auto active = task.versions.find(task.active);
    const auto engine =
        active == task.versions.end() ? engines_.end() : engines_.find(active->second.digest);
    shown.push_back(
        {{"task", name},
         {"active_version", task.active},
         {"versions", task.versions.size()},
         {"loaded", engine != engines_.end() && engine->second.built.engine != nullptr}});
  }
  return {{"count", tasks_.size()}, {"engines", recent_.size()}, {"first", std::move(shown)}};
}

absl::StatusOr<TaskRecord> TaskCatalog::Promote(const std::string& task, uint64_t version,
                                                std::optional<uint64_t> expected_version) {
  DDPT_ASSIGN_OR_RETURN(TaskRecord record, registry_.PromoteTask(task, version, expected_version));
  DDPT_RETURN_IF_ERROR(Refresh(task));
  return record;
}

absl::StatusOr<TaskRecord> TaskCatalog::Rollback(const std::string& task,
                                                 std::optional<uint64_t> expected_version) {
  DDPT_ASSIGN_OR_RETURN(TaskRecord record, registry_.RollbackTask(task, expected_version));
  DDPT_RETURN_IF_ERROR(Refresh(task));
  return record;
}

absl::Status TaskCatalog::Delete(const std::string& task,
                                 std::optional<uint64_t> expected_version) {
  DDPT_RETURN_IF_ERROR(registry_.DeleteTask(task, expected_version));
  return Refresh(task);
}

}  // namespace ddpt
