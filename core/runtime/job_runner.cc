#include "core/runtime/job_runner.h"

#include <algorithm>
#include <future>
#include <vector>

#include "core/base/pause.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

// Until a full pool is asked again.
constexpr std::chrono::milliseconds kPoolRetry{50};

}  // namespace

absl::StatusOr<std::unique_ptr<JobRunner>> JobRunner::Create(JobStore& store, StreamPool& pool,
                                                             Options options) {
  DDPT_ASSIGN_OR_RETURN(const std::vector<Job> jobs, store.UnfinishedJobs());
  auto runner = std::unique_ptr<JobRunner>(new JobRunner(store, pool, std::move(options)));
  for (const Job& job : jobs) {
    runner->queue_.push_back(job.id);
    runner->Changed(job, std::nullopt);
  }
  runner->thread_ = std::thread([raw = runner.get()] { raw->RunThread(); });
  return runner;
}

JobRunner::~JobRunner() { Stop(); }

absl::StatusOr<Job> JobRunner::Submit(const Job& job) {
  DDPT_ASSIGN_OR_RETURN(Job created, store_.CreateJob(job));
  Changed(created, std::nullopt);
  std::lock_guard lock(mutex_);
  queue_.push_back(created.id);
  changed_.notify_all();
  return created;
}

absl::StatusOr<Job> JobRunner::Cancel(const std::string& id) {
  DDPT_ASSIGN_OR_RETURN(Job job, store_.RequestCancel(id));
  bool was_queued = false;
  {
    std::lock_guard lock(mutex_);
    if (running_ == id && running_stop_) running_stop_->Cancel();
    was_queued = job.state == JobState::kCancelled && std::erase(queue_, id) > 0;
  }
  if (was_queued) Changed(job, JobState::kQueued);
  Tell(id);
  return job;
}

void JobRunner::Stop() {
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    first = !std::exchange(stopping_, true);
    if (running_stop_) running_stop_->Cancel();
    changed_.notify_all();
  }
  if (first) Tell("");
  std::lock_guard lock(stop_mutex_);
  if (thread_.joinable()) thread_.join();
}

bool JobRunner::stopping() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

uint64_t JobRunner::Listen(const std::string& id, std::function<void()> listener) {
  std::lock_guard lock(mutex_);
  listeners_[next_listener_] = std::make_shared<const Listener>(Listener{id, std::move(listener)});
  return next_listener_++;
}

void JobRunner::Unlisten(uint64_t number) {
  std::shared_ptr<const Listener> removed;  // destroyed without the lock
  std::lock_guard lock(mutex_);
  const auto found = listeners_.find(number);
  if (found == listeners_.end()) return;
  removed = std::move(found->second);
  listeners_.erase(found);
}

void JobRunner::RunThread() {
  while (const std::optional<std::string> id = WaitForJob()) RunJob(*id);
}

std::optional<std::string> JobRunner::WaitForJob() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
  if (stopping_) return std::nullopt;
  running_ = queue_.front();
  queue_.pop_front();
  running_stop_.emplace();
  return running_;
}

void JobRunner::RunJob(const std::string& id) {
  absl::StatusOr<Job> job = store_.GetJob(id);
  while (!job.ok()) {
    Trouble({.id = id}, job.status());
    if (absl::IsNotFound(job.status()) || !Pause(options_.retry_after)) return;
    job = store_.GetJob(id);
  }
  const JobState before = job->state;
  if (IsFinished(before)) return Changed(*job, JobState::kQueued);
  if (before == JobState::kRunning) ++job->resumes;
  job->state = JobState::kRunning;
  const absl::Status started = Record(*job, "", before);
  if (absl::IsFailedPrecondition(started)) {  // cancelled at this moment
    job->state = JobState::kCancelled;
    return Changed(*job, before);
  }
  StopToken stop;
  {
    std::lock_guard lock(mutex_);
    if (job->cancel_requested || stopping_) running_stop_->Cancel();
    stop = running_stop_->token();
  }
  Conclude(*job, Drive(*job, stop));
  std::lock_guard lock(mutex_);
  running_.clear();
  running_stop_.reset();
}

absl::Status JobRunner::Drive(Job& job, const StopToken& stop) {
  std::unique_ptr<JobWork> work;
  DDPT_RETURN_IF_ERROR(OnPool(stop, [&]() -> absl::Status {
    DDPT_ASSIGN_OR_RETURN(work, options_.make_work(job));
    return absl::OkStatus();
  }));
  while (true) {
    JobWork::Piece piece;
    const absl::Status status = OnPool(stop, [&]() -> absl::Status {
      DDPT_ASSIGN_OR_RETURN(piece, work->Run(job, stop));
      return absl::OkStatus();
    });
    if (!status.ok()) {
      if (stopping()) Trouble(job, work->Save());
      return status;
    }
    if (piece.next == JobWork::Next::kSave)
      DDPT_RETURN_IF_ERROR(SaveWhenThereIsRoom(job, *work, stop));
    if (!piece.event.empty()) Trouble(job, Record(job, piece.event, job.state));
    if (piece.next == JobWork::Next::kFinish) return work->Finish(job);
  }
}

// While the disk is full the job stands still, and says so each time it has tried.
absl::Status JobRunner::SaveWhenThereIsRoom(const Job& job, JobWork& work, const StopToken& stop) {
  while (true) {
    const absl::Status saved = work.Save();
    if (!absl::IsResourceExhausted(saved)) return saved;
    Trouble(job, saved);
    if (stop.stopped()) return stop.status();
    if (!Pause(options_.retry_after)) return saved;
  }
}

absl::Status JobRunner::OnPool(const StopToken& stop, const std::function<absl::Status()>& body) {
  while (true) {
    std::promise<absl::Status> ended;
    const absl::Status submitted =
        pool_.Submit({.key = "train",
                      .priority = Priority::kBackground,
                      .stop = stop,
                      .run =
                          [&](Stream& stream) {
                            const PauseScope scope([&] { pool_.LetOthersRun(stream); });
                            ended.set_value(body());
                            return Progress::kDone;
                          },
                      .on_error = [&](const absl::Status& status) { ended.set_value(status); }});
    if (submitted.ok()) return ended.get_future().get();
    if (!absl::IsResourceExhausted(submitted) || !Pause(kPoolRetry)) return submitted;
  }
}

// The end of a job, but for one that only the process's end stopped. That one, and one whose end
// cannot be stored, goes on after the restart.
void JobRunner::Conclude(Job& job, const absl::Status& status) {
  if (!status.ok() && stopping()) return;
  const JobState before = job.state;
  job.state = status.ok()                 ? JobState::kSucceeded
              : absl::IsCancelled(status) ? JobState::kCancelled
                                          : JobState::kFailed;
  if (job.state == JobState::kFailed) job.error = std::string(status.message());
  absl::Status stored = Record(job, "", before);
  while (!stored.ok()) {
    Trouble(job, stored);
    if (!Pause(options_.retry_after)) return;
    stored = Record(job, "", before);
  }
}

absl::Status JobRunner::Record(const Job& job, std::string_view event, JobState from) {
  DDPT_RETURN_IF_ERROR(store_.UpdateJob(job, event).status());
  if (job.state != from) Changed(job, from);
  Tell(job.id);
  return absl::OkStatus();
}

// False: the runner stops.
bool JobRunner::Pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [this] { return stopping_; });
}

void JobRunner::Tell(const std::string& job) {
  std::vector<std::shared_ptr<const Listener>> told;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [number, listener] : listeners_) {
      if (job.empty() || listener->job == job) told.push_back(listener);
    }
  }
  for (const auto& listener : told) listener->call();
}

void JobRunner::Trouble(const Job& job, const absl::Status& status) const {
  if (!status.ok() && options_.on_trouble) options_.on_trouble(job, status);
}

void JobRunner::Changed(const Job& job, std::optional<JobState> from) const {
  if (options_.on_state) options_.on_state(job, from);
}

}  // namespace ddpt
