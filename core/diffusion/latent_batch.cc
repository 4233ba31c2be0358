#include "core/diffusion/latent_batch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/philox.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr size_t kMaxCapacity = 4096;
constexpr size_t kEndTogether = 6;

NoiseKey KeyOf(const SampleRow& row, uint32_t stage) {
  return {.seed = row.seed, .sample = row.draw, .stage = stage};
}

StepCoefficients Rounded(const SamplerStep& step, bool add_state) {
  return {static_cast<float>(step.p), static_cast<float>(step.q), static_cast<float>(step.r),
          static_cast<float>(step.sigma), add_state};
}

}  // namespace

absl::StatusOr<std::unique_ptr<LatentBatch>> LatentBatch::Create(
    std::shared_ptr<const LatentEngine> engine, size_t capacity) {
  if (capacity < 1 || capacity > kMaxCapacity) {
    return FieldError("capacity", absl::StrCat(capacity, " is outside 1..", kMaxCapacity));
  }
  return std::unique_ptr<LatentBatch>(new LatentBatch(std::move(engine), capacity));
}

LatentBatch::LatentBatch(std::shared_ptr<const LatentEngine> engine, size_t capacity)
    : engine_(std::move(engine)),
      kernels_(engine_->kernels()),
      latent_(engine_->spec().latent),
      slots_(capacity),
      state_(capacity * latent_),
      before_(capacity * latent_),
      condition_(capacity * latent_),
      null_condition_(latent_),
      lanes_(2 * capacity * latent_),
      inner_(2 * capacity * latent_),
      draws_(capacity * latent_),
      noise_(capacity * latent_),
      solve_(latent_),
      in_(2 * capacity),
      out_(2 * capacity),
      row_noise_(capacity) {
  if (engine_->spec().reading != Reading::kX0) {
    phi_sum_ = AlignedFloats(capacity * latent_);
    noise_sum_ = AlignedFloats(capacity * latent_);
    full_ = AlignedFloats((kEndTogether + 1) * engine_->spec().size());
  }
  std::ranges::copy(engine_->denoiser().weights().condition_null, null_condition_.data());
  for (size_t i = capacity; i-- > 0;) free_.push_back(i);
  active_.reserve(capacity);
  ending_.reserve(capacity);
  finished_.reserve(capacity);
}

absl::StatusOr<uint64_t> LatentBatch::Join(const SampleRow& row) {
  const DenoiserSpec& spec = engine_->spec();
  DDPT_RETURN_IF_ERROR(ValidateRow(row, spec));
  if (free_.empty()) {
    return absl::ResourceExhaustedError(absl::StrCat("all ", capacity(), " rows are taken"));
  }
  const size_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot = {.id = ++joined_ * capacity() + index, .position = active_.size(), .row = row};
  active_.push_back(index);
  slot.table = engine_->Table(row.options);
  slot.result = {{spec.context_length, spec.width}, std::move(slot.row.initial_noise)};
  if (slot.result.data.empty()) {
    slot.result.data.resize(spec.size());
    FillNormal(KeyOf(row, kInitialNoiseStage), slot.result.data);
  }
  SetCondition(index);
  std::fill_n(RowOf(before_, index), latent_, 0.0f);
  if (phi_sum_.size() > 0) {
    std::fill_n(RowOf(phi_sum_, index), latent_, 0.0f);
    std::fill_n(RowOf(noise_sum_, index), latent_, 0.0f);
  }
  return slot.id;
}

void LatentBatch::SetCondition(size_t index) {
  const std::vector<float>& condition = slots_[index].row.condition;
  float* out = RowOf(condition_, index);
  if (condition.empty()) {
    std::copy_n(null_condition_.data(), latent_, out);
    return;
  }
  const float* in = condition.data();
  kernels_.affine(engine_->condition(), &in, 1, &out);
}

bool LatentBatch::Remove(uint64_t id) {
  const size_t index = id % capacity();
  if (id == 0 || slots_[index].id != id) return false;
  Release(index);
  return true;
}

int64_t LatentBatch::StepsTaken(uint64_t id) const {
  const Slot& slot = slots_[id % capacity()];
  return slot.id == id ? static_cast<int64_t>(slot.next_step) : 0;
}

std::vector<LatentBatch::Finished>& LatentBatch::Step() {
  finished_.clear();
  ending_.clear();
  if (active_.empty()) return finished_;
  Begin();
  ComputePhi();
  AddNoise();
  Advance();
  FinishRows();
  return finished_;
}

// y_T = W x_T of the rows that joined since the last step; they share the passes over W.
void LatentBatch::Begin() {
  size_t count = 0;
  for (const size_t index : active_) {
    if (slots_[index].next_step > 0) continue;
    in_[count] = slots_[index].result.data.data();
    out_[count++] = RowOf(state_, index);
  }
  if (count > 0) kernels_.affine(engine_->down(), in_.data(), count, out_.data());
}

// Two branches, without and with the condition, where there is guidance.
void LatentBatch::ComputePhi() {
  size_t lanes = 0;
  for (const size_t index : active_) {
    Slot& slot = slots_[index];
    const float* time = engine_->time(StepOf(slot).t);
    const float* state = RowOf(state_, index);
    slot.phi = RowOf(lanes_, lanes);
    if (slot.row.options.guidance_scale != 1) {
      kernels_.activate(latent_, state, time, null_condition_.data(), RowOf(lanes_, lanes++));
    }
    kernels_.activate(latent_, state, time, RowOf(condition_, index), RowOf(lanes_, lanes++));
  }
  for (const PackedAffine& layer : engine_->hidden()) {
    for (size_t lane = 0; lane < lanes; ++lane) {
      in_[lane] = RowOf(lanes_, lane);
      out_[lane] = RowOf(inner_, lane);
    }
    kernels_.affine(layer.view(), in_.data(), lanes, out_.data());
    kernels_.add_silu(lanes * latent_, inner_.data(), lanes_.data());
  }
  for (const size_t index : active_) {
    const Slot& slot = slots_[index];
    const auto scale = static_cast<float>(slot.row.options.guidance_scale);
    float* phi = lanes_.data() + (slot.phi - lanes_.data());
    if (slot.row.options.guidance_scale != 1) {
      kernels_.guide(latent_, scale, phi, phi + latent_, phi);
    }
  }
}

// L eta_t for the rows whose step has noise.
void LatentBatch::AddNoise() {
  size_t count = 0;
  for (size_t i = 0; i < active_.size(); ++i) {
    const Slot& slot = slots_[active_[i]];
    const SamplerStep& step = StepOf(slot);
    row_noise_[i] = nullptr;
    if (step.sigma == 0) continue;
    float* draw = RowOf(draws_, count);
    FillNormal(KeyOf(slot.row, kStepNoiseStage + static_cast<uint32_t>(step.t)), {draw, latent_});
    if (noise_sum_.size() > 0) {
      kernels_.accumulate(latent_, static_cast<float>(step.noise_weight), draw,
                          RowOf(noise_sum_, active_[i]));
    }
    in_[count] = draw;
    row_noise_[i] = out_[count] = RowOf(noise_, count);
    ++count;
  }
  if (count > 0) kernels_.affine(engine_->noise(), in_.data(), count, out_.data());
}

void LatentBatch::Advance() {
  const bool add_state = engine_->spec().reading == Reading::kX0Residual;
  for (size_t i = 0; i < active_.size(); ++i) {
    in_[i] = slots_[active_[i]].phi;
    out_[i] = RowOf(inner_, i);
  }
  kernels_.affine(engine_->feedback(), in_.data(), active_.size(), out_.data());
  // Backwards, because a row that fails is replaced by the last one.
  for (size_t i = active_.size(); i-- > 0;) {
    const size_t index = active_[i];
    Slot& slot = slots_[index];
    const SamplerStep& step = StepOf(slot);
    if (phi_sum_.size() > 0) {
      kernels_.accumulate(latent_, static_cast<float>(step.direction_weight), slot.phi,
                          RowOf(phi_sum_, index));
    }
    float* state = RowOf(state_, index);
    kernels_.advance(latent_, Rounded(step, add_state), row_noise_[i], out_[i], state,
                     RowOf(before_, index));
    ++slot.next_step;
    if (slot.next_step == slot.table->steps.size()) {
      ending_.push_back(index);
    } else if (!kernels_.all_finite(latent_, state)) {
      Fail(index);
    }
  }
}

void LatentBatch::FinishRows() {
  if (engine_->spec().reading == Reading::kX0) {
    FinishX0(ending_.size());
  } else {
    for (size_t begin = 0; begin < ending_.size(); begin += kEndTogether) {
      FinishResidual(begin, std::min(kEndTogether, ending_.size() - begin));
    }
  }
  for (const size_t index : ending_) Report(index);
}

// x = x0_hat = U phi + u.
void LatentBatch::FinishX0(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    in_[i] = slots_[ending_[i]].phi;
    out_[i] = slots_[ending_[i]].result.data.data();
  }
  if (count > 0) kernels_.affine(engine_->up(), in_.data(), count, out_.data());
}

// x = A x_T + U (sum of c_t phi_t) + (sum of c_t) u + noise.
void LatentBatch::FinishResidual(size_t begin, size_t count) {
  const size_t size = engine_->spec().size();
  for (size_t i = 0; i < count; ++i) {
    in_[i] = RowOf(phi_sum_, ending_[begin + i]);
    out_[i] = full_.data() + i * size;
  }
  kernels_.affine(engine_->up(), in_.data(), count, out_.data());
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
  float* lane = RowOf(draws_, 0);
  const float* in = zeta;
  FillNormal(KeyOf(slot.row, kNullSpaceNoiseStage), {zeta, size});
  kernels_.affine(engine_->down(), &in, 1, &lane);
  std::copy_n(lane, latent_, solve_.begin());
  engine_->gram().SolveLower(solve_);
  const double scale = slot.table->noise_scale;
  const float* sum = RowOf(noise_sum_, index);
  for (size_t i = 0; i < latent_; ++i) solve_[i] = sum[i] - scale * solve_[i];
  engine_->gram().SolveLowerTransposed(solve_);
  std::ranges::copy(solve_, lane);
  in = lane;
  float* spread = full_.data() + kEndTogether * size;
  kernels_.affine(engine_->down_transposed(), &in, 1, &spread);
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
  finished_.push_back({slot.id, std::move(slot.result)});
  Release(index);
}

void LatentBatch::Fail(size_t index) {
  const Slot& slot = slots_[index];
  finished_.push_back(
      {slot.id, absl::InternalError(absl::StrFormat("sampling step %d of %d (t = %d) is not finite",
                                                    slot.next_step, slot.table->steps.size(),
                                                    slot.table->steps[slot.next_step - 1].t))});
  Release(index);
}

void LatentBatch::Release(size_t index) {
  const size_t position = slots_[index].position;
  active_[position] = active_.back();
  slots_[active_[position]].position = position;
  active_.pop_back();
  slots_[index] = Slot();
  free_.push_back(index);
}

}  // namespace ddpt
