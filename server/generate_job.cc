#include "server/generate_job.h"

#include <utility>

#include "core/base/team.h"

namespace ddpt {
namespace {

class GenerateGroup final : public StepGroup {
 public:
  GenerateGroup(const BaseModel& base, const GenerationBatch::Options& options,
                std::function<void(size_t)> on_kv_load)
      : batch_(base.model, base.tokenizer, options),
        on_kv_load_(std::move(on_kv_load)),
        helpers_(base.model->steps_in_fixed_order() ? Team::kMaxHelpers : 0) {}
  ~GenerateGroup() override { on_kv_load_(0); }

  size_t capacity() const override { return batch_.capacity(); }

  bool HasRoom(StepJob& job) const override {
    const auto& wanted = static_cast<GenerateJob&>(job);
    return batch_.HasRoom(wanted.request(), wanted.decoding());
  }

  absl::StatusOr<size_t> Join(StepJob& job, size_t row) override {
    return batch_.Join(static_cast<GenerateJob&>(job).Row(row));
  }

  void Leave(size_t slot) override { batch_.Leave(slot); }

  size_t Step(Stream&, std::vector<Finished>& finished) override {
    on_kv_load_(batch_.kv_load());
    finished_.clear();
    batch_.Step(finished_);
    for (const GenerationBatch::Finished& row : finished_) {
      finished.push_back({row.slot, row.status});
    }
    return 1;
  }

  size_t useful_helpers() const override { return helpers_; }
  void Help(const std::function<bool()>& leave) override { batch_.Help(leave); }

 private:
  GenerationBatch batch_;
  const std::function<void(size_t)> on_kv_load_;
  const size_t helpers_;
  std::vector<GenerationBatch::Finished> finished_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StepGroup>> GenerateJob::MakeGroup() {
  return std::make_unique<GenerateGroup>(*options_.base, options_.batch, options_.on_kv_load);
}

GenerationRow GenerateJob::Row(size_t index) {
  if (options_.on_start) std::exchange(options_.on_start, nullptr)();
  return {options_.request, options_.decoding, static_cast<uint32_t>(index), options_.sink,
          options_.stop};
}

}  // namespace ddpt
