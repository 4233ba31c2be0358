#include "core/diffusion/latent_batch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/philox.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr size_t kEndTogether = 6;
// With fewer panels for each member, meeting takes longer than sharing saves.
constexpr size_t kPanelsToShare = 4;

NoiseKey KeyOf(const SampleRow& row, uint32_t stage) {
  return {.seed = row.seed, .sample = row.draw, .stage = stage};
}

}  // namespace

absl::StatusOr<std::unique_ptr<LatentBatch>> LatentBatch::Create(
    std::shared_ptr<const LatentEngine> engine, size_t capacity) {
  DDPT_RETURN_IF_ERROR(ValidateCapacity(capacity));
  return std::unique_ptr<LatentBatch>(new LatentBatch(std::move(engine), capacity));
}

LatentBatch::LatentBatch(std::shared_ptr<const LatentEngine> engine, size_t capacity)
    : engine_(std::move(engine)),
      kernels_(engine_->kernels()),
      latent_(engine_->spec().latent),
      places_(capacity),
      slots_(capacity),
      state_(capacity * latent_),
      before_(capacity * latent_),
      condition_(capacity * latent_),
      step_(*engine_, capacity) {
  if (engine_->spec().reading != Reading::kX0) {
    phi_sum_ = AlignedFloats(capacity * latent_);
    noise_sum_ = AlignedFloats(capacity * latent_);
    full_ = AlignedFloats((kEndTogether + 1) * engine_->spec().size());
    inner_ = AlignedFloats(latent_);
    solve_.resize(latent_);
  }
  ending_.reserve(capacity);
  finished_.reserve(capacity);
  in_.reserve(capacity);
  out_.reserve(capacity);
}

size_t LatentBatch::useful_helpers() const {
  return std::clamp<size_t>(PanelsOf(latent_) / kPanelsToShare, 1, Team::kMaxHelpers + 1) - 1;
}

absl::StatusOr<uint64_t> LatentBatch::Join(const SampleRow& row) {
  const DenoiserSpec& spec = engine_->spec();
  DDPT_RETURN_IF_ERROR(ValidateRow(row, spec));
  DDPT_RETURN_IF_ERROR(CheckRoom());
  const size_t index = places_.Take();
  Slot& slot = slots_[index];
  slot = {.row = row};
  slot.table = engine_->Table(row.options);
  slot.result = {{spec.context_length, spec.width}, std::move(slot.row.initial_noise)};
  slot.draws_begin = slot.result.data.empty();
  slot.result.data.resize(spec.size());
  if (row.condition.empty()) {
    std::ranges::copy(engine_->denoiser().weights().condition_null, RowOf(condition_, index));
  } else {
    ApplyToOne(engine_->condition(), row.condition.data(), RowOf(condition_, index));
  }
  std::fill_n(RowOf(before_, index), latent_, 0.0f);
  if (phi_sum_.size() > 0) {
    std::fill_n(RowOf(phi_sum_, index), latent_, 0.0f);
    std::fill_n(RowOf(noise_sum_, index), latent_, 0.0f);
  }
  return places_.id(index);
}

bool LatentBatch::Remove(uint64_t id) {
  const std::optional<size_t> index = places_.Find(id);
  if (index) Release(*index);
  return index.has_value();
}

int64_t LatentBatch::StepsTaken(uint64_t id) const {
  const std::optional<size_t> index = places_.Find(id);
  return index ? static_cast<int64_t>(slots_[*index].next_step) : 0;
}

std::vector<LatentBatch::Finished>& LatentBatch::Step() {
  finished_.clear();
  if (width() == 0) return finished_;
  ListRows();
  team_.Run([this](Team::Member& member) { step_.Run(member); });
  EndStep();
  FinishRows();
  return finished_;
}

void LatentBatch::ListRows() {
  const bool sums = phi_sum_.size() > 0;
  step_.Clear();
  for (const size_t index : places_.active()) {
    Slot& slot = slots_[index];
    slot.phi = step_.Add({.key = KeyOf(slot.row, 0),
                          .step = &slot.table->steps[slot.next_step],
                          .guidance_scale = slot.row.options.guidance_scale,
                          .condition = RowOf(condition_, index),
                          .state = RowOf(state_, index),
                          .before = RowOf(before_, index),
                          .phi_sum = sums ? RowOf(phi_sum_, index) : nullptr,
                          .noise_sum = sums ? RowOf(noise_sum_, index) : nullptr,
                          .begin = slot.next_step == 0 ? slot.result.data.data() : nullptr,
                          .draw_begin = slot.draws_begin});
  }
}

void LatentBatch::EndStep() {
  ending_.clear();
  // Backwards, because a row that fails is replaced by the last one.
  for (size_t i = width(); i-- > 0;) {
    const size_t index = places_.active()[i];
    Slot& slot = slots_[index];
    ++slot.next_step;
    if (slot.next_step == slot.table->steps.size()) {
      ending_.push_back(index);
    } else if (!step_.finite() && !kernels_.all_finite(latent_, RowOf(state_, index))) {
      Fail(index);
    }
  }
}

void LatentBatch::FinishRows() {
  if (ending_.empty()) return;
  if (engine_->spec().reading == Reading::kX0) {
    FinishX0();
  } else {
    for (size_t begin = 0; begin < ending_.size(); begin += kEndTogether) {
      FinishResidual(begin, std::min(kEndTogether, ending_.size() - begin));
    }
  }
  for (const size_t index : ending_) Report(index);
}

// The map on in_ and out_, on all threads present.
void LatentBatch::Apply(const AffineView& map) {
  team_.Run([&](Team::Member& member) {
    kernels_.affine(map, PartOf(member, map.outputs), in_.data(), in_.size(), out_.data());
  });
}

void LatentBatch::ApplyToOne(const AffineView& map, const float* in, float* out) {
  kernels_.affine(map, {0, PanelsOf(map.outputs)}, &in, 1, &out);
}

// x = x0_hat = U phi + u.
void LatentBatch::FinishX0() {
  in_.clear();
  out_.clear();
  for (const size_t index : ending_) {
    in_.push_back(slots_[index].phi);
    out_.push_back(slots_[index].result.data.data());
  }
  Apply(engine_->up());
}

// x = A x_T + U (sum of c_t phi_t) + (sum of c_t) u + noise.
void LatentBatch::FinishResidual(size_t begin, size_t count) {
  const size_t size = engine_->spec().size();
  in_.clear();
  out_.clear();
  for (size_t i = 0; i < count; ++i) {
    in_.push_back(RowOf(phi_sum_, ending_[begin + i]));
    out_.push_back(full_.data() + i * size);
  }
  Apply(engine_->up());
  for (size_t i = 0; i < count; ++i) {
    const size_t index = ending_[begin + i];
    Slot& slot = slots_[index];
    float* x = full_.data() + i * size;
    kernels_.accumulate(size, static_cast<float>(slot.table->direction_sum),
                        engine_->denoiser().weights().up_bias.data(), x);
    kernels_.accumulate(size, static_cast<float>(slot.table->initial_weight),
                        slot.result.data.data(), x);
    if (slot.table->stochastic) AddResidualNoise(index, x);
    std::copy_n(x, size, slot.result.data.data());
  }
}

// With n = sum of s_t eta_t and zeta ~ N(0, I_D): W^T L^-T (n - S L^-1 W zeta) + S zeta, the
// noise of the range of W^T plus a Gaussian projected onto the null space of W.
void LatentBatch::AddResidualNoise(size_t index, float* out) {
  const size_t size = engine_->spec().size();
  Slot& slot = slots_[index];
  float* zeta = slot.result.data.data();
  FillNormal(KeyOf(slot.row, kNullSpaceNoiseStage), {zeta, size});
  ApplyToOne(engine_->down(), zeta, inner_.data());
  std::copy_n(inner_.data(), latent_, solve_.begin());
  engine_->gram().SolveLower(solve_);
  const double scale = slot.table->noise_scale;
  const float* sum = RowOf(noise_sum_, index);
  for (size_t i = 0; i < latent_; ++i) solve_[i] = sum[i] - scale * solve_[i];
  engine_->gram().SolveLowerTransposed(solve_);
  std::ranges::copy(solve_, inner_.data());
  float* spread = full_.data() + kEndTogether * size;
  ApplyToOne(engine_->down_transposed(), inner_.data(), spread);
  kernels_.accumulate(size, 1.0f, spread, out);
  kernels_.accumulate(size, static_cast<float>(scale), zeta, out);
}

void LatentBatch::Report(size_t index) {
  Slot& slot = slots_[index];
  std::vector<float>& values = slot.result.data;
  if (!kernels_.all_finite(values.size(), values.data())) return Fail(index);
  if (slot.row.add_context) {
    kernels_.accumulate(values.size(), 1.0f, engine_->denoiser().context().data(), values.data());
  }
  finished_.push_back({places_.id(index), std::move(slot.result)});
  Release(index);
}

void LatentBatch::Fail(size_t index) {
  const Slot& slot = slots_[index];
  finished_.push_back({places_.id(index), NotFinite(*slot.table, slot.next_step - 1)});
  Release(index);
}

void LatentBatch::Release(size_t index) {
  slots_[index] = Slot();
  places_.Release(index);
}

}  // namespace ddpt
