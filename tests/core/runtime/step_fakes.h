#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/runtime/step_group.h"

namespace ddpt {

// What a test sees of a job, also after the job is gone. Read `status` and `stats` once done == 1.
struct FakeOutcome {
  std::atomic<int> done{0};
  std::atomic<int> joined_rows{0};
  std::atomic<int> steps{0};  // over all rows
  absl::Status status;
  StepStats stats;
};

// How the fake groups behave. Everything may be null.
struct FakeWorld {
  size_t capacity = 4;
  std::function<absl::Status()> on_make_group;
  std::function<bool(const std::string& job, size_t width)> has_room;
  std::function<absl::Status(const std::string& job)> on_join;
  std::function<void(size_t width)> on_step;
  std::function<absl::Status(const std::string& job)> on_finish;
  std::atomic<int> groups_made{0};
  size_t useful_helpers = 0;
  std::function<void(const std::function<bool()>& leave)> on_help;
};

struct FakeJob : StepJob {
  FakeWorld* world = nullptr;
  std::string name;
  size_t row_count = 1;
  uint64_t steps_per_row = 1;
  StopToken token;
  std::shared_ptr<FakeOutcome> outcome = std::make_shared<FakeOutcome>();
  std::function<void()> on_done;

  size_t rows() const override { return row_count; }
  const StopToken& stop() const override { return token; }
  absl::StatusOr<std::unique_ptr<StepGroup>> MakeGroup() override;
  void Done(const absl::Status& status, const StepStats& stats) override {
    outcome->status = status;
    outcome->stats = stats;
    ++outcome->done;
    if (on_done) on_done();
  }
};

// Counts steps instead of computing.
class FakeGroup : public StepGroup {
 public:
  explicit FakeGroup(FakeWorld& world) : world_(world) {}

  size_t capacity() const override { return world_.capacity; }

  bool HasRoom(StepJob& job) const override {
    return !world_.has_room || world_.has_room(static_cast<FakeJob&>(job).name, rows_.size());
  }

  absl::StatusOr<uint64_t> Join(StepJob& job, size_t) override {
    FakeJob& fake = static_cast<FakeJob&>(job);
    if (world_.on_join) {
      if (absl::Status status = world_.on_join(fake.name); !status.ok()) return status;
    }
    EXPECT_LT(rows_.size(), world_.capacity);
    rows_[++last_id_] = {&fake, fake.steps_per_row};
    ++fake.outcome->joined_rows;
    return last_id_;
  }

  size_t useful_helpers() const override { return world_.useful_helpers; }
  void Help(const std::function<bool()>& leave) override { world_.on_help(leave); }

  void Leave(uint64_t id) override { EXPECT_EQ(rows_.erase(id), 1u); }

  size_t Step(Stream&, std::vector<Finished>& finished) override {
    if (world_.on_step) world_.on_step(rows_.size());
    for (auto row = rows_.begin(); row != rows_.end();) {
      FakeJob& job = *row->second.job;
      ++job.outcome->steps;
      if (--row->second.steps_left > 0) {
        ++row;
        continue;
      }
      finished.push_back(
          {row->first, world_.on_finish ? world_.on_finish(job.name) : absl::OkStatus()});
      row = rows_.erase(row);
    }
    return 1;
  }

 private:
  struct Row {
    FakeJob* job;
    uint64_t steps_left;
  };
  FakeWorld& world_;
  std::map<uint64_t, Row> rows_;
  uint64_t last_id_ = 0;
};

inline absl::StatusOr<std::unique_ptr<StepGroup>> FakeJob::MakeGroup() {
  ++world->groups_made;
  if (world->on_make_group) {
    if (absl::Status status = world->on_make_group(); !status.ok()) return status;
  }
  return std::make_unique<FakeGroup>(*world);
}

}  // namespace ddpt
