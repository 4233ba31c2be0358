#include "server/sample_job.h"

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/diffusion/draw_batch.h"

namespace ddpt {
namespace {

class SampleGroup final : public StepGroup {
 public:
  SampleGroup(std::unique_ptr<DrawBatch> batch, std::shared_ptr<SpareBatch> spare)
      : spare_(std::move(spare)), batch_(std::move(batch)), slots_(batch_->capacity()) {}
  ~SampleGroup() override { spare_->Put(std::move(batch_)); }

  size_t capacity() const override { return slots_.size(); }

  absl::StatusOr<size_t> Join(StepJob& job, size_t row) override {
    auto& sample_job = static_cast<SampleJob&>(job);
    DDPT_ASSIGN_OR_RETURN(const uint64_t id, batch_->Join(sample_job.Row(row)));
    const size_t slot = SlotOf(kFree);
    slots_[slot] = {id, &sample_job, row};
    return slot;
  }

  void Leave(size_t slot) override {
    batch_->Remove(slots_[slot].id);
    slots_[slot].id = kFree;
  }

  size_t Step(Stream&, std::vector<Finished>& finished) override {
    for (DrawBatch::Finished& row : batch_->Step()) {
      const size_t slot = SlotOf(row.id);
      if (row.result.ok()) slots_[slot].job->Deliver(slots_[slot].row, *std::move(row.result));
      finished.push_back({slot, row.result.status()});
      slots_[slot].id = kFree;
    }
    return batch_->steps_of_call();
  }

  size_t useful_helpers() const override { return batch_->useful_helpers(); }
  void Help(const std::function<bool()>& leave) override { batch_->Help(leave); }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};
  struct Slot {
    uint64_t id = kFree;
    SampleJob* job = nullptr;
    size_t row = 0;
  };

  size_t SlotOf(uint64_t id) const {
    return std::find_if(slots_.begin(), slots_.end(),
                        [id](const Slot& slot) { return slot.id == id; }) -
           slots_.begin();
  }

  const std::shared_ptr<SpareBatch> spare_;
  std::unique_ptr<DrawBatch> batch_;
  std::vector<Slot> slots_;
};

}  // namespace

SampleRow Draws::Row(size_t index) const {
  SampleRow row;
  row.seed = seed;
  row.draw = first_draw + index;
  row.options = options;
  row.condition = condition;
  if (!initial_noise.data.empty()) {
    const size_t size = initial_noise.data.size() / count;
    const auto begin = initial_noise.data.begin() + static_cast<ptrdiff_t>(index * size);
    row.initial_noise.assign(begin, begin + static_cast<ptrdiff_t>(size));
  }
  return row;
}

SampleJob::SampleJob(Draws draws, size_t capacity, DrawsDone done)
    : draws_(std::move(draws)),
      capacity_(capacity),
      done_(std::move(done)),
      prompts_(draws_.count) {}

absl::StatusOr<std::unique_ptr<StepGroup>> SampleJob::MakeGroup() {
  DDPT_ASSIGN_OR_RETURN(auto batch, draws_.spare->Take(draws_.engine, capacity_));
  return std::make_unique<SampleGroup>(std::move(batch), draws_.spare);
}

SampleRow SampleJob::Row(size_t index) {
  if (draws_.on_start) std::exchange(draws_.on_start, nullptr)();
  return draws_.Row(index);
}

void SampleJob::Done(const absl::Status& status, const StepStats& stats) {
  if (!status.ok()) return done_(status);
  done_(DrawnPrompts{std::move(prompts_), stats});
}

}  // namespace ddpt
