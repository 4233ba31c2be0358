#include "core/diffusion/latent_step.h"

#include <algorithm>
#include <utility>

namespace ddpt {
namespace {

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
  phi_.reserve(capacity);
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
  phi_.clear();
  moves_.clear();
  for (Inputs* inputs : {&begin_, &noise_}) {
    inputs->in.clear();
    inputs->out.clear();
  }
}

const float* LatentStep::Add(const Row& row) {
  if (row.begin != nullptr) {
    if (row.draw_begin) {
      begin_draws_.push_back({WithStage(row.key, kInitialNoiseStage), row.begin});
    }
    begin_.in.push_back(row.begin);
    begin_.out.push_back(row.state);
  }
  // Each layer's outputs are the next one's inputs.
  const float* phi = branch_[engine_.hidden().size() % 2][branches_.size()];
  phi_.push_back(phi);
  AddBranches(row, engine_.time(row.step->t));
  AddMove(row, phi);
  return phi;
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
  const PanelRange panels = PartOf(member, latent_);
  if (!begin_.in.empty()) BeginPart(member, panels);
  float* const* directions = NetworkPart(member, panels);
  MovePart(panels, directions);
}

// y_T = W x_T; the rows share the pass over W. For a prefix it is 0 whatever x_T, which is not
// drawn then: what stands in its place is written over by x0_hat.
void LatentStep::BeginPart(Team::Member& member, PanelRange panels) {
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

// phi_t of each row, then M phi_t + v and L eta_t. Returns the former, by row.
float* const* LatentStep::NetworkPart(Team::Member& member, PanelRange panels) {
  const auto [begin, count] = ElementsOf(panels, latent_);
  float* const* in = branch_[0].data();
  float* const* out = branch_[1].data();
  for (size_t i = 0; i < branches_.size(); ++i) {
    const Branch& branch = branches_[i];
    kernels_.activate(count, branch.state + begin, branch.time + begin, branch.condition + begin,
                      in[i] + begin);
  }
  for (const Draw& draw : step_draws_) FillNormal(draw.key, {draw.out + begin, count}, begin);
  for (const PackedAffine& layer : engine_.hidden()) {
    member.Sync();
    kernels_.affine(layer.view(), panels, in, branches_.size(), out);
    for (size_t i = 0; i < branches_.size(); ++i) {
      kernels_.add_silu(count, in[i] + begin, out[i] + begin);
    }
    std::swap(in, out);
  }
  for (const Guided& guided : guided_) {
    float* without = in[guided.without] + begin;
    kernels_.guide(count, guided.scale, without, in[guided.without + 1] + begin, without);
  }
  member.Sync();
  kernels_.affine(engine_.feedback(), panels, phi_.data(), phi_.size(), out);
  kernels_.affine(engine_.noise(), panels, noise_.in.data(), noise_.in.size(), noise_.out.data());
  return out;
}

void LatentStep::MovePart(PanelRange panels, float* const* directions) {
  const auto [begin, count] = ElementsOf(panels, latent_);
  for (size_t i = 0; i < moves_.size(); ++i) {
    const Move& move = moves_[i];
    if (move.phi_sum != nullptr) {
      kernels_.accumulate(count, move.direction_weight, move.phi + begin, move.phi_sum + begin);
      if (move.draw != nullptr) {
        kernels_.accumulate(count, move.noise_weight, move.draw + begin, move.noise_sum + begin);
      }
    }
    kernels_.advance(count, move.step, move.noise == nullptr ? nullptr : move.noise + begin,
                     directions[i] + begin, move.state + begin, move.before + begin);
  }
}

}  // namespace ddpt
