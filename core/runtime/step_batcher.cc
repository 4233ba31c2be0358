#include "core/runtime/step_batcher.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "core/base/status.h"

namespace ddpt {

using std::chrono::steady_clock;

// The jobs of one key. It is in the batcher's map, and as a Work in the pool, as long as there are
// jobs. `inbox_` and `rows_inside_` are shared; all else belongs to the thread that runs the Work.
class StepBatcher::Group : public std::enable_shared_from_this<Group> {
 public:
  struct Entry {
    Admission::Ticket ticket;
    std::unique_ptr<StepJob> job;
    TimePoint submitted;
    TimePoint started = TimePoint::max();
    size_t joined_rows = 0;
    size_t finished_rows = 0;
    size_t batch_width = 0;
    absl::Status row_error;

    bool in_group() const { return joined_rows > finished_rows; }
  };
  struct Row {
    uint64_t id;
    Entry* entry;
  };

  Group(StepBatcher& batcher, std::string key) : batcher_(batcher), key_(std::move(key)) {}

  // Called under the batcher's mutex.
  void Add(std::unique_ptr<Entry> entry) {
    rows_inside_.fetch_add(entry->job->rows(), std::memory_order_relaxed);
    inbox_.push_back(std::move(entry));
    has_mail_.store(true, std::memory_order_relaxed);
  }

  void Schedule();
  // Rows of all its jobs. Thread-safe.
  size_t rows_inside() const { return rows_inside_.load(std::memory_order_relaxed); }

 private:
  Progress RunSlices(Stream& stream);
  void RunSlice(Stream& stream);
  void EndAll(const absl::Status& status);
  void EndThrown(const absl::Status& status);
  void EndEntry(Entry& entry, const absl::Status& status);
  void TakeInbox();
  void EndStopped(bool waiting_too);
  bool HasRoom(const Entry& entry) const;
  void FillRows();
  void CallHelpers();
  absl::Status JoinRow(Entry& entry);
  size_t Step(Stream& stream);
  bool Retire();

  StepBatcher& batcher_;
  const std::string key_;

  std::vector<std::unique_ptr<Entry>> inbox_;  // guarded by batcher_.mutex_
  std::atomic<bool> has_mail_{false};          // a hint: true if inbox_ may hold something

  std::atomic<size_t> rows_inside_{0};
  std::atomic<size_t> helpers_{0};  // called and not yet gone

  std::vector<std::unique_ptr<Entry>> mail_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::deque<Entry*> entering_;       // those with rows still to join, next one first
  std::shared_ptr<StepGroup> steps_;  // helpers hold it too
  std::vector<Row> rows_;             // those in steps_
  const Entry* joining_ = nullptr;    // whose row joins
  std::vector<StepGroup::Finished> finished_;
};

void StepBatcher::Group::Schedule() {
  Work work;
  work.key = key_;
  work.run = [self = shared_from_this()](Stream& stream) { return self->RunSlices(stream); };
  work.on_error = [self = shared_from_this()](const absl::Status& status) {
    self->EndThrown(status);
    if (!self->entries_.empty() || !self->Retire()) self->Schedule();
  };
  const absl::Status status = batcher_.pool_.Submit(std::move(work));
  if (status.ok()) return;
  do {
    TakeInbox();
    EndAll(status);
  } while (!Retire());
}

Progress StepBatcher::Group::RunSlices(Stream& stream) {
  while (true) {
    RunSlice(stream);
    if (entries_.empty() && Retire()) return Progress::kDone;
    if (!batcher_.pool_.contended()) continue;
    // The next slice may find itself on another stream.
    const absl::Status status = stream.Synchronize();
    if (status.ok()) return Progress::kYield;
    EndAll(status);
  }
}

void StepBatcher::Group::RunSlice(Stream& stream) {
  const Options& options = batcher_.options_;
  const TimePoint start = steady_clock::now();
  Slice slice;
  while (slice.steps < options.slice_steps && slice.time < options.slice_time) {
    TakeInbox();
    EndStopped(/*waiting_too=*/slice.steps == 0);
    FillRows();
    if (rows_.empty()) break;
    if (slice.steps == 0) CallHelpers();
    const size_t rows = rows_.size(), steps = Step(stream);
    slice.steps += steps;
    slice.row_steps += steps * rows;
    slice.time = steady_clock::now() - start;
  }
  if (slice.steps > 0 && options.on_slice) options.on_slice(slice);
}

void StepBatcher::Group::EndAll(const absl::Status& status) {
  steps_.reset();
  rows_.clear();
  while (!entries_.empty()) EndEntry(*entries_.back(), status);
}

// What the group threw: those that wait have nothing to do with it, and get a fresh one.
void StepBatcher::Group::EndThrown(const absl::Status& status) {
  steps_.reset();
  rows_.clear();
  const size_t before = entries_.size();
  for (size_t i = before; i-- > 0;) {
    Entry& entry = *entries_[i];
    if (entry.in_group() || &entry == joining_) EndEntry(entry, status);
  }
  joining_ = nullptr;
  if (entries_.size() == before) EndAll(status);
}

void StepBatcher::Group::EndEntry(Entry& entry, const absl::Status& status) {
  std::erase_if(rows_, [&](const Row& row) {
    if (row.entry == &entry) steps_->Leave(row.id);
    return row.entry == &entry;
  });
  std::erase(entering_, &entry);
  const auto position = std::find_if(entries_.begin(), entries_.end(),
                                     [&](const auto& held) { return held.get() == &entry; });
  const std::unique_ptr<Entry> ended = std::move(*position);
  *position = std::move(entries_.back());
  entries_.pop_back();
  rows_inside_.fetch_sub(ended->job->rows(), std::memory_order_relaxed);

  const TimePoint now = steady_clock::now();
  const TimePoint started = std::min(ended->started, now);
  ended->job->Done(status, {.queue_time = started - ended->submitted,
                            .run_time = now - started,
                            .batch_width = ended->batch_width});
}

void StepBatcher::Group::TakeInbox() {
  if (!has_mail_.load(std::memory_order_relaxed)) return;
  {
    std::lock_guard lock(batcher_.mutex_);
    mail_.swap(inbox_);
    has_mail_.store(false, std::memory_order_relaxed);
  }
  for (std::unique_ptr<Entry>& entry : mail_) {
    entering_.push_back(entry.get());
    entries_.push_back(std::move(entry));
  }
  mail_.clear();
}

void StepBatcher::Group::EndStopped(bool waiting_too) {
  const bool stopping = batcher_.stopping_.load(std::memory_order_relaxed);
  for (size_t i = entries_.size(); i-- > 0;) {
    Entry& entry = *entries_[i];
    if (stopping) {
      EndEntry(entry, absl::UnavailableError("the server stopped before this request was done"));
    } else if (waiting_too || entry.in_group()) {
      const absl::Status status = entry.job->stop().status();
      if (!status.ok()) EndEntry(entry, status);
    }
  }
}

bool StepBatcher::Group::HasRoom(const Entry& entry) const {
  return !steps_ || (rows_.size() < steps_->capacity() && steps_->HasRoom(*entry.job));
}

// Nobody overtakes the one that waits for room, so that it does not wait for ever.
void StepBatcher::Group::FillRows() {
  bool joined = false;
  while (!entering_.empty() && HasRoom(*entering_.front())) {
    Entry& entry = *entering_.front();
    entering_.pop_front();
    if (entry.job->rows() == 0) {
      EndEntry(entry, absl::OkStatus());
      continue;
    }
    joining_ = &entry;
    const absl::Status status = JoinRow(entry);
    joining_ = nullptr;
    if (!status.ok()) {
      EndEntry(entry, status);
      continue;
    }
    joined = true;
    if (entry.joined_rows < entry.job->rows()) entering_.push_back(&entry);
  }
  if (!joined) return;
  for (const auto& entry : entries_) {
    if (entry->in_group()) entry->batch_width = std::max(entry->batch_width, rows_.size());
  }
}

// Background work, so that it never comes before a job.
void StepBatcher::Group::CallHelpers() {
  StreamPool& pool = batcher_.pool_;
  while (helpers_ < steps_->useful_helpers() && pool.idle() > 0) {
    ++helpers_;
    const auto gone = [self = shared_from_this()](const absl::Status&) { --self->helpers_; };
    const auto help = [&pool, gone, self = shared_from_this(), steps = steps_](Stream&) {
      steps->Help([&] { return pool.contended() || self->rows_inside() == 0; });
      gone(absl::OkStatus());
      return Progress::kDone;
    };
    const absl::Status status = pool.Submit(
        {.key = key_, .priority = Priority::kBackground, .run = help, .on_error = gone});
    if (!status.ok()) return gone(status);
  }
}

absl::Status StepBatcher::Group::JoinRow(Entry& entry) {
  DDPT_RETURN_IF_ERROR(entry.job->stop().status());
  if (!steps_) {
    DDPT_ASSIGN_OR_RETURN(steps_, entry.job->MakeGroup());
    rows_.reserve(steps_->capacity());
    finished_.reserve(steps_->capacity());
  }
  DDPT_ASSIGN_OR_RETURN(const uint64_t id, steps_->Join(*entry.job, entry.joined_rows));
  rows_.push_back({id, &entry});
  if (entry.joined_rows++ > 0) return absl::OkStatus();
  entry.ticket.Start();
  entry.started = steady_clock::now();
  const auto& on_queue_time = batcher_.options_.on_queue_time;
  if (on_queue_time) on_queue_time(entry.started - entry.submitted);
  return absl::OkStatus();
}

// All finished rows are noted before any job ends: a job may have several among them.
size_t StepBatcher::Group::Step(Stream& stream) {
  finished_.clear();
  const size_t steps = steps_->Step(stream, finished_);
  if (finished_.empty()) return steps;
  for (const StepGroup::Finished& finished : finished_) {
    const auto row = std::find_if(rows_.begin(), rows_.end(),
                                  [&](const Row& held) { return held.id == finished.id; });
    ++row->entry->finished_rows;
    row->entry->row_error.Update(finished.status);
    *row = rows_.back();
    rows_.pop_back();
  }
  for (size_t i = entries_.size(); i-- > 0;) {
    Entry& entry = *entries_[i];
    if (!entry.row_error.ok()) {
      EndEntry(entry, absl::Status(entry.row_error));
    } else if (entry.finished_rows == entry.job->rows()) {
      EndEntry(entry, absl::OkStatus());
    }
  }
  return steps;
}

// After true the batcher may be gone.
bool StepBatcher::Group::Retire() {
  std::lock_guard lock(batcher_.mutex_);
  if (!inbox_.empty()) return false;
  batcher_.groups_.erase(key_);
  batcher_.group_ended_.notify_all();
  return true;
}

StepBatcher::StepBatcher(StreamPool& pool, Options options)
    : pool_(pool), options_(std::move(options)) {}

StepBatcher::~StepBatcher() {
  Stop();
  std::unique_lock lock(mutex_);
  group_ended_.wait(lock, [this] { return groups_.empty(); });
}

void StepBatcher::Submit(const std::string& key, std::unique_ptr<StepJob> job,
                         Admission::Ticket ticket) {
  auto entry = std::make_unique<Group::Entry>();
  entry->ticket = std::move(ticket);
  entry->job = std::move(job);
  entry->submitted = steady_clock::now();
  std::shared_ptr<Group> created;
  {
    std::lock_guard lock(mutex_);
    std::shared_ptr<Group>& group = groups_[key];
    if (!group) group = created = std::make_shared<Group>(*this, key);
    group->Add(std::move(entry));
  }
  if (created) created->Schedule();
}

StepBatcher::Load StepBatcher::LoadBeside(const std::string& key) const {
  std::lock_guard lock(mutex_);
  const auto own = groups_.find(key);
  if (own == groups_.end()) return {.rows = 0, .keys = groups_.size()};
  return {.rows = own->second->rows_inside(), .keys = groups_.size() - 1};
}

void StepBatcher::Stop() { stopping_ = true; }

}  // namespace ddpt
