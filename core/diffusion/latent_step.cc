#include "core/diffusion/latent_step.h"

#include <algorithm>
#include <utility>

namespace ddpt {
namespace {

// Rows for each member from which on it takes whole ones. With fewer, reading all weights takes
// longer than multiplying by them.
constexpr size_t kRowsNear = 2, kRowsFar = 16;

// Whether a second-level cache has room for the weights of a step.
bool StaysNear(const LatentEngine& engine) {
  constexpr size_t kNearBytes = size_t{1} << 20;
  const size_t maps = engine.hidden().size() + 1, latent = engine.spec().latent;
  return maps * latent * PanelDepth(engine.weight_type(), latent) * sizeof(float) <= kNearBytes;
}

struct Elements {
  size_t begin, count;
};

Elements ElementsOf(PanelRange panels, size_t size) {
  const size_t begin = std::min(panels.begin * kPanelWidth, size);
  return {begin, std::min(panels.end * kPanelWidth, size) - begin};
}

NoiseKey WithStage(NoiseKey key, uint32_t stage) {
  key.stage = stage;
  return key;
}

}  // namespace

PanelRange PartOf(const Team::Member& member, size_t outputs) {
  const size_t panels = PanelsOf(outputs);
  return {panels * member.part() / member.parts(), panels * (member.part() + 1) / member.parts()};
}

LatentStep::LatentStep(const LatentEngine& engine, size_t capacity)
    : engine_(engine),
      kernels_(engine.kernels()),
      latent_(engine.spec().latent),
      near_(StaysNear(engine)),
      null_condition_(latent_),
      hidden_{AlignedFloats(2 * capacity * latent_), AlignedFloats(2 * capacity * latent_)},
      draws_(capacity * latent_),
      noises_(capacity * latent_) {
  std::ranges::copy(engine.denoiser().weights().condition_null, null_condition_.data());
  for (size_t side = 0; side < 2; ++side) {
    for (size_t i = 0; i < 2 * capacity; ++i) {
      branch_[side].push_back(hidden_[side].data() + i * latent_);
    }
  }
  begin_draws_.reserve(capacity);
  step_draws_.reserve(capacity);
  branches_.reserve(2 * capacity);
  guided_.reserve(capacity);
  places_.reserve(capacity);
  phi_.reserve(capacity);
  directions_.reserve(capacity);
  moves_.reserve(capacity);
  for (Inputs* inputs : {&begin_, &noise_}) {
    inputs->in.reserve(capacity);
    inputs->out.reserve(capacity);
  }
}

void LatentStep::Clear() {
  begin_draws_.clear();
  step_draws_.clear();
  branches_.clear();
  guided_.clear();
  places_.clear();
  phi_.clear();
  directions_.clear();
  moves_.clear();
  for (Inputs* inputs : {&begin_, &noise_}) {
    inputs->in.clear();
    inputs->out.clear();
  }
  finite_.store(true, std::memory_order_relaxed);
}

const float* LatentStep::Add(const Row& row) {
  if (row.begin != nullptr) {
    if (row.draw_begin) {
      begin_draws_.push_back({WithStage(row.key, kInitialNoiseStage), row.begin});
    }
    begin_.in.push_back(row.begin);
    begin_.out.push_back(row.state);
  }
  places_.push_back(PlaceOf(places_.size()));
  // Each layer's outputs are the next one's inputs.
  const size_t side = engine_.hidden().size() % 2;
  const float* const phi = branch_[side][branches_.size()];
  phi_.push_back(phi);
  directions_.push_back(branch_[1 - side][branches_.size()]);
  AddBranches(row, engine_.time(row.step->t));
  AddMove(row, phi);
  return phi;
}

// Of a row that is listed, or of the one that would come next.
LatentStep::Place LatentStep::PlaceOf(size_t row) const {
  if (row < places_.size()) return places_[row];
  return {row, branches_.size(), guided_.size(), step_draws_.size()};
}

LatentStep::Share LatentStep::ShareOf(const Team::Member& member) const {
  const size_t rows = moves_.size(), parts = member.parts();
  if (parts > 1 && rows < parts * (near_ ? kRowsNear : kRowsFar)) {
    return {PlaceOf(0), PlaceOf(rows), PartOf(member, latent_), /*whole_rows=*/false};
  }
  return {PlaceOf(rows * member.part() / parts), PlaceOf(rows * (member.part() + 1) / parts),
          PanelRange{0, PanelsOf(latent_)}, /*whole_rows=*/true};
}

// Two branches, without and with the condition, where there is guidance.
void LatentStep::AddBranches(const Row& row, const float* time) {
  if (row.guidance_scale != 1) {
    guided_.push_back({static_cast<float>(row.guidance_scale), branches_.size()});
    branches_.push_back({row.state, time, null_condition_.data()});
  }
  branches_.push_back({row.state, time, row.condition});
}

void LatentStep::AddMove(const Row& row, const float* phi) {
  const SamplerStep& step = *row.step;
  Move move = {
      .step = {static_cast<float>(step.p), static_cast<float>(step.q), static_cast<float>(step.r),
               static_cast<float>(step.sigma), engine_.spec().reading == Reading::kX0Residual},
      .direction_weight = static_cast<float>(step.direction_weight),
      .noise_weight = static_cast<float>(step.noise_weight),
      .phi = phi,
      .draw = nullptr,
      .noise = nullptr,
      .state = row.state,
      .before = row.before,
      .phi_sum = row.phi_sum,
      .noise_sum = row.noise_sum};
  if (step.sigma != 0) {
    float* draw = draws_.data() + noise_.in.size() * latent_;
    float* noise = noises_.data() + noise_.in.size() * latent_;
    const uint32_t stage = kStepNoiseStage + static_cast<uint32_t>(step.t);
    step_draws_.push_back({WithStage(row.key, stage), draw});
    noise_.in.push_back(draw);
    noise_.out.push_back(noise);
    move.draw = draw;
    move.noise = noise;
  }
  moves_.push_back(move);
}

// The members wait for each other only where a map needs all elements of its inputs.
void LatentStep::Run(Team::Member& member) {
  const Share share = ShareOf(member);
  if (!begin_.in.empty()) {
    BeginPart(member);
    if (share.whole_rows) member.Sync();
  }
  NetworkPart(member, share);
  MovePart(share);
}

// y_T = W x_T; the rows share the pass over W. For a prefix it is 0 whatever x_T, which is not
// drawn then: what stands in its place is written over by x0_hat.
void LatentStep::BeginPart(Team::Member& member) {
  const PanelRange panels = PartOf(member, latent_);
  if (engine_.down().inputs == 0) {
    const auto [first, latents] = ElementsOf(panels, latent_);
    for (float* state : begin_.out) std::fill_n(state + first, latents, 0.0f);
    return;
  }
  const size_t size = engine_.spec().size();
  const auto [begin, count] = ElementsOf(PartOf(member, size), size);
  for (const Draw& draw : begin_draws_) FillNormal(draw.key, {draw.out + begin, count}, begin);
  member.Sync();
  kernels_.affine(engine_.down(), panels, begin_.in.data(), begin_.in.size(), begin_.out.data());
}

// Before a map of rows of which each member wrote its share. What others wrote comes from their
// caches, and sooner where it is asked for all at once; not where weights come from afar as well.
void LatentStep::Meet(Team::Member& member, const Share& share, const float* const* rows,
                      size_t count) {
  constexpr size_t kLine = 64 / sizeof(float);
  if (share.whole_rows) return;
  member.Sync();
  if (!near_) return;
  for (size_t row = 0; row < count; ++row) {
    for (size_t i = 0; i < latent_; i += kLine) __builtin_prefetch(rows[row] + i);
  }
}

// phi_t of each row, then M phi_t + v and L eta_t.
void LatentStep::NetworkPart(Team::Member& member, const Share& share) {
  const auto [begin, count] = ElementsOf(share.panels, latent_);
  const Place &from = share.begin, &to = share.end;
  const size_t branches = to.branch - from.branch, draws = to.draw - from.draw;
  float* const* in = branch_[0].data() + from.branch;
  float* const* out = branch_[1].data() + from.branch;
  for (size_t i = 0; i < branches; ++i) {
    const Branch& branch = branches_[from.branch + i];
    kernels_.activate(count, branch.state + begin, branch.time + begin, branch.condition + begin,
                      in[i] + begin);
  }
  for (size_t i = from.draw; i < to.draw; ++i) {
    FillNormal(step_draws_[i].key, {step_draws_[i].out + begin, count}, begin);
  }
  for (const PackedAffine& layer : engine_.hidden()) {
    Meet(member, share, in, branches);
    kernels_.affine(layer.view(), share.panels, in, branches, out);
    for (size_t i = 0; i < branches; ++i) {
      kernels_.add_silu(count, in[i] + begin, out[i] + begin);
    }
    std::swap(in, out);
  }
  for (size_t i = from.guided; i < to.guided; ++i) {
    float* without = in[guided_[i].without - from.branch] + begin;
    const float* with = in[guided_[i].without - from.branch + 1] + begin;
    kernels_.guide(count, guided_[i].scale, without, with, without);
  }
  Meet(member, share, phi_.data() + from.row, to.row - from.row);
  kernels_.affine(engine_.feedback(), share.panels, phi_.data() + from.row, to.row - from.row,
                  directions_.data() + from.row);
  kernels_.affine(engine_.noise(), share.panels, noise_.in.data() + from.draw, draws,
                  noise_.out.data() + from.draw);
}

void LatentStep::MovePart(const Share& share) {
  const auto [begin, count] = ElementsOf(share.panels, latent_);
  for (size_t i = share.begin.row; i < share.end.row; ++i) {
    const Move& move = moves_[i];
    if (move.phi_sum != nullptr) {
      kernels_.accumulate(count, move.direction_weight, move.phi + begin, move.phi_sum + begin);
      if (move.draw != nullptr) {
        kernels_.accumulate(count, move.noise_weight, move.draw + begin, move.noise_sum + begin);
      }
    }
    kernels_.advance(count, move.step, move.noise == nullptr ? nullptr : move.noise + begin,
                     directions_[i] + begin, move.state + begin, move.before + begin);
    if (!kernels_.all_finite(count, move.state + begin)) {
      finite_.store(false, std::memory_order_relaxed);
    }
  }
}

}  // namespace ddpt
