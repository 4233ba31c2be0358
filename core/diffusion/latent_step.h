#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/philox.h"
#include "core/base/team.h"
#include "core/diffusion/kernels.h"
#include "core/diffusion/latent_engine.h"
#include "core/diffusion/packed_affine.h"
#include "core/diffusion/sample_row.h"

namespace ddpt {

// A member's share of a map's outputs.
PanelRange PartOf(const Team::Member& member, size_t outputs);

// The arithmetic of one step of many rows: listed by one thread, then computed by all members of a
// team. With many rows each member takes some of them and need not wait for the others; with few,
// each takes a share of the latent elements of all. Allocates nothing after its construction. Not
// thread-safe but for Run().
class LatentStep {
 public:
  // What a row brings; the pointers live until after Run(). Vectors are [h].
  struct Row {
    NoiseKey key;  // its stage is of no account
    const SamplerStep* step = nullptr;
    double guidance_scale = 1;
    const float* condition = nullptr;
    float* state = nullptr;      // y_t, becomes y_{t-1}
    float* before = nullptr;     // the direction of the step before, becomes that of this one
    float* phi_sum = nullptr;    // sum of c_t phi_t and
    float* noise_sum = nullptr;  // sum of s_t eta_t; both null for reading X0
    float* begin = nullptr;      // x_T [D] on the first step, else null: y_T = W x_T
    bool draw_begin = false;     // x_T is to be drawn first
  };

  // `engine` must outlive the step.
  LatentStep(const LatentEngine& engine, size_t capacity);

  void Clear();
  // At most `capacity` rows. Returns the row's phi_t [h], which Run() computes; good until the next
  // Clear().
  const float* Add(const Row& row);
  void Run(Team::Member& member);
  // Whether all states are finite, after Run().
  bool finite() const { return finite_.load(std::memory_order_relaxed); }

 private:
  struct Inputs {
    std::vector<const float*> in;
    std::vector<float*> out;
  };
  struct Draw {
    NoiseKey key;
    float* out;
  };
  // A pass through the network: one for each row, two where there is guidance.
  struct Branch {
    const float *state, *time, *condition;
  };
  struct Guided {
    float scale;
    size_t without;  // the branch without the condition; the next one has it
  };
  struct Move {
    StepCoefficients step;
    float direction_weight, noise_weight;
    const float* phi;
    const float* draw;   // eta_t; null where the step has no noise
    const float* noise;  // L eta_t
    float *state, *before, *phi_sum, *noise_sum;
  };

  // Where what a row brings begins in the lists.
  struct Place {
    size_t row, branch, guided, draw;
  };
  // What a member computes: `panels` of the rows between two places.
  struct Share {
    Place begin, end;
    PanelRange panels;
    bool whole_rows;  // all panels, so that nothing of other members' is needed
  };

  Place PlaceOf(size_t row) const;
  Share ShareOf(const Team::Member& member) const;
  void AddBranches(const Row& row, const float* time);
  void AddMove(const Row& row, const float* phi);
  void Meet(Team::Member& member, const Share& share, const float* const* rows, size_t count);
  void BeginPart(Team::Member& member);
  void NetworkPart(Team::Member& member, const Share& share);
  void MovePart(const Share& share);

  const LatentEngine& engine_;
  const Kernels& kernels_;
  const size_t latent_;
  const bool near_;                // the weights of a step stay in a second-level cache
  AlignedFloats null_condition_;   // [h]
  AlignedFloats hidden_[2];        // [2 * capacity, h], by branch: a map's inputs and outputs
  std::vector<float*> branch_[2];  // their rows
  AlignedFloats draws_, noises_;   // [capacity, h], by row with noise
  std::vector<Draw> begin_draws_, step_draws_;
  std::vector<Branch> branches_;
  std::vector<Guided> guided_;
  std::vector<Place> places_;  // by row, as are the next three
  std::vector<const float*> phi_;
  std::vector<float*> directions_;
  std::vector<Move> moves_;
  Inputs begin_, noise_;
  std::atomic<bool> finite_{true};
};

}  // namespace ddpt
