#include "core/runtime/job_runner.h"

#include <algorithm>
#include <future>
#include <vector>

#include "core/base/pause.h"
#include "core/base/status.h"
#include "core/runtime/fault.h"

namespace ddpt {
namespace {

// Until a full pool is asked again.
constexpr std::chrono::milliseconds kPoolRetry{50};

// What `action` throws, as a status: the runner's thread has nobody who catches.
absl::Status Caught(const std::function<absl::Status()>& action) try {
  return action();
} catch (const std::exception& error) {
  return FromException(error);
}

}  // namespace

absl::StatusOr<std::unique_ptr<JobRunner>> JobRunner::Create(JobStore& store, StreamPool& pool,
                                                             Options options) {
  DDPT_ASSIGN_OR_RETURN(const std::vector<Job> jobs, store.UnfinishedJobs());
  auto runner = std::unique_ptr<JobRunner>(new JobRunner(store, pool, std::move(options)));
  const bool alone = store.lease().count() == 0;  // else jobs are told of where they came
  for (const Job& job : jobs) {
    if (!alone || job.state != JobState::kQueued) continue;
    runner->waiting_.insert(job.id);
    runner->Changed(job, std::nullopt, job.state);
  }
  runner->thread_ = std::thread([raw = runner.get()] { raw->RunThread(); });
  return runner;
}

JobRunner::~JobRunner() { Stop(); }

absl::StatusOr<Job> JobRunner::Submit(const Job& job) {
  std::lock_guard queue_lock(queue_mutex_);
  DDPT_ASSIGN_OR_RETURN(Job created, store_.CreateJob(job));
  waiting_.insert(created.id);
  Changed(created, std::nullopt, created.state);
  std::lock_guard lock(mutex_);
  news_ = true;
  changed_.notify_all();
  return created;
}

absl::StatusOr<Job> JobRunner::Cancel(const std::string& id) {
  absl::StatusOr<Job> job;
  {
    std::lock_guard queue_lock(queue_mutex_);
    job = store_.RequestCancel(id);
    DDPT_RETURN_IF_ERROR(job.status());
    if (job->state == JobState::kCancelled && waiting_.erase(id) > 0) {
      Changed(*job, JobState::kQueued, job->state);
    }
    std::lock_guard lock(mutex_);
    if (running_ == id && running_stop_) running_stop_->Cancel();
  }
  Tell(id);
  return job;
}

absl::Status JobRunner::Notice(const std::string& id) {
  std::string running;
  {
    std::lock_guard lock(mutex_);
    news_ = true;
    changed_.notify_all();
    if (id.empty() || id == running_) running = running_;
  }
  Tell(id);
  if (!running.empty()) {
    DDPT_ASSIGN_OR_RETURN(const Job job, store_.GetJob(running));
    std::lock_guard lock(mutex_);
    if (job.cancel_requested && running_ == running) running_stop_->Cancel();
  }
  std::lock_guard queue_lock(queue_mutex_);
  const std::set<std::string> waiting = waiting_;
  for (const std::string& other : waiting) {
    if (!id.empty() && id != other) continue;
    DDPT_ASSIGN_OR_RETURN(const Job job, store_.GetJob(other));
    if (job.state == JobState::kQueued) continue;
    waiting_.erase(other);
    Changed(job, JobState::kQueued, std::nullopt);
  }
  return absl::OkStatus();
}

void JobRunner::Cease() {
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    first = !std::exchange(stopping_, true);
    if (running_stop_) running_stop_->Cancel();
    changed_.notify_all();
  }
  if (first) Tell("");
}

void JobRunner::Stop() {
  Cease();
  std::lock_guard lock(stop_mutex_);
  if (thread_.joinable()) thread_.join();
}

bool JobRunner::stopping() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

std::string JobRunner::running() const {
  std::lock_guard lock(mutex_);
  return running_;
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
  while (std::optional<Job> job = NextJob()) RunJob(*std::move(job));
}

std::optional<Job> JobRunner::NextJob() {
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return std::nullopt;
      news_ = false;
    }
    absl::StatusOr<std::optional<Job>> taken = Take();
    if (taken.ok() && *taken) return *std::move(taken);
    if (!taken.ok()) {
      Trouble({}, taken.status());
      if (!Pause(options_.retry_after)) return std::nullopt;
      continue;
    }
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, options_.poll, [this] { return stopping_ || news_; });
  }
}

absl::StatusOr<std::optional<Job>> JobRunner::Take() {
  std::lock_guard queue_lock(queue_mutex_);
  DDPT_ASSIGN_OR_RETURN(const std::optional<Job> job, store_.TakeJob());
  if (!job) return job;
  {
    std::lock_guard lock(mutex_);
    running_ = job->id;
    running_stop_.emplace();
    lost_ = false;
    if (job->cancel_requested || stopping_) running_stop_->Cancel();
  }
  const bool waited = waiting_.erase(job->id) > 0;
  Changed(*job, waited ? std::optional(JobState::kQueued) : std::nullopt, job->state);
  return job;
}

void JobRunner::RunJob(Job job) {
  Tell(job.id);
  StopToken stop;
  {
    std::lock_guard lock(mutex_);
    stop = running_stop_->token();
  }
  bool concluded = false;
  {
    std::jthread holder;
    if (store_.lease().count() > 0) {
      holder = std::jthread([this, job](const std::stop_token& ended) { HoldJob(job, ended); });
    }
    concluded = Conclude(job, Drive(job, stop));
  }
  if (!concluded && lost()) Changed(job, job.state, std::nullopt);
  if (!concluded && !lost()) Trouble(job, store_.LeaveJob(job));
  std::lock_guard lock(mutex_);
  running_.clear();
  running_stop_.reset();
}

// Renews the lease of the running job in time, until it ends; gives it up where that fails for as
// long as the lease lasts.
void JobRunner::HoldJob(const Job& job, const std::stop_token& ended) {
  const std::chrono::milliseconds lease = store_.lease();
  auto held_until = std::chrono::steady_clock::now() + lease;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      job_ended_.wait_for(lock, ended, lease / 3, [] { return false; });
    }
    if (ended.stop_requested()) return;
    const auto asked = std::chrono::steady_clock::now();
    const absl::StatusOr<Job> now = store_.RenewJob(job);
    if (now.ok()) {
      held_until = asked + lease;
      std::lock_guard lock(mutex_);
      if (now->cancel_requested) running_stop_->Cancel();
      continue;
    }
    const bool finished = absl::IsFailedPrecondition(now.status());  // a moment ago, as a rule
    if (!finished) Trouble(job, now.status());
    if (!absl::IsUnavailable(now.status()) || std::chrono::steady_clock::now() > held_until) {
      return Lose();
    }
  }
}

void JobRunner::Lose() {
  std::lock_guard lock(mutex_);
  lost_ = true;
  running_stop_->Cancel();
}

bool JobRunner::lost() const {
  std::lock_guard lock(mutex_);
  return lost_;
}

absl::Status JobRunner::Drive(Job& job, const StopToken& stop) {
  std::unique_ptr<JobWork> work;
  DDPT_RETURN_IF_ERROR(Retry(job, stop, absl::IsUnavailable, [&] {
    return OnPool(stop, [&]() -> absl::Status {
      DDPT_ASSIGN_OR_RETURN(work, options_.make_work(job));
      return absl::OkStatus();
    });
  }));
  // While the disk is full the job stands still.
  const auto passing = [](const absl::Status& status) {
    return absl::IsResourceExhausted(status) || absl::IsUnavailable(status);
  };
  while (true) {
    JobWork::Piece piece;
    const absl::Status status = Retry(job, stop, absl::IsUnavailable, [&] {
      return OnPool(stop, [&]() -> absl::Status {
        DDPT_ASSIGN_OR_RETURN(piece, work->Run(job, stop));
        return absl::OkStatus();
      });
    });
    if (!status.ok()) {
      if (stopping() && !lost()) Trouble(job, Caught([&] { return work->Save(job); }));
      return status;
    }
    if (piece.next == JobWork::Next::kSave) {
      DDPT_RETURN_IF_ERROR(
          Retry(job, stop, passing, [&] { return Caught([&] { return work->Save(job); }); }));
    }
    if (!piece.event.empty()) Trouble(job, Record(job, piece.event, job.state));
    if (piece.next == JobWork::Next::kFinish) {
      return Retry(job, stop, absl::IsUnavailable,
                   [&] { return Caught([&] { return work->Finish(job); }); });
    }
  }
}

// Attempts again what failed for a reason that passes, and says so each time.
absl::Status JobRunner::Retry(const Job& job, const StopToken& stop,
                              const std::function<bool(const absl::Status&)>& passing,
                              const std::function<absl::Status()>& attempt) {
  while (true) {
    const absl::Status status = attempt();
    if (absl::IsAborted(status)) Lose();
    if (status.ok() || !passing(status)) return status;
    Trouble(job, status);
    if (stop.stopped()) return stop.status();
    if (!Pause(options_.retry_after)) return status;
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
                          [&](Stream&) {
                            const PauseScope scope([&] { pool_.GiveWay(); });
                            ended.set_value(body());
                            return Progress::kDone;
                          },
                      .on_error = [&](const absl::Status& status) { ended.set_value(status); }});
    if (submitted.ok()) return ended.get_future().get();
    if (!absl::IsResourceExhausted(submitted) || !Pause(kPoolRetry)) return submitted;
  }
}

// The end of a job, but for one that only the process's end stopped, or that others have. That one,
// and one whose end cannot be stored, goes on later. Whether its end is stored.
bool JobRunner::Conclude(Job& job, const absl::Status& status) {
  if (!status.ok() && (stopping() || lost())) return false;
  const JobState before = job.state;
  Job ended = job;
  ended.state = status.ok()                 ? JobState::kSucceeded
                : absl::IsCancelled(status) ? JobState::kCancelled
                                            : JobState::kFailed;
  if (ended.state == JobState::kFailed) ended.error = std::string(status.message());
  absl::Status stored = Record(ended, "", before);
  while (!stored.ok()) {
    Trouble(job, stored);
    if (absl::IsAborted(stored) || absl::IsNotFound(stored) || absl::IsFailedPrecondition(stored)) {
      Lose();
    }
    if (lost() || !Pause(options_.retry_after)) return false;
    stored = Record(ended, "", before);
  }
  return true;
}

absl::Status JobRunner::Record(const Job& job, std::string_view event, JobState from) {
  DDPT_RETURN_IF_ERROR(store_.UpdateJob(job, event).status());
  if (job.state != from) Changed(job, from, job.state);
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

void JobRunner::Changed(const Job& job, std::optional<JobState> from,
                        std::optional<JobState> to) const {
  if (options_.on_state) options_.on_state(job, from, to);
}

}  // namespace ddpt
