#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace ddpt {

// CMA-ES, the evolution strategy that adapts a covariance matrix (Hansen 2016, "The CMA Evolution
// Strategy: A Tutorial", arXiv 1604.00772): minimises a function of d numbers by its values at
// lambda candidates a generation. Recombines the best lambda / 2 with the tutorial's constants and
// no negative weights. The run is a function of options and values alone: normal numbers come from
// the counter-based generator keyed by (seed, generation). Its state is float32 on the processor;
// the eigendecomposition is made in double precision, every 1 / (10 d (c_1 + c_mu)) generations
// (5 at d = 500, lambda = 20). Not thread-safe.
class CmaEs {
 public:
  struct Options {
    int64_t dimensions = 500;  // d, at least 1
    int64_t population = 20;   // lambda, at least 2
    double sigma = 1;          // initial step size, above 0
    uint64_t seed = 0;
  };

  // Starts at zero.
  explicit CmaEs(const Options& options);

  // [lambda, d]; the same until Update.
  at::Tensor Candidates() const;
  // One generation by the finite values of the candidates, lambda numbers. Equal values rank by
  // index.
  void Update(std::span<const double> values);

  // [d]: where the search stands; under noise a better estimate than the best candidate.
  const at::Tensor& mean() const { return mean_; }
  // Step size.
  double sigma() const;
  uint64_t generation() const { return generation_; }

  // Everything but the generation, by name, sharing memory; to restore it, copy into the tensors
  // and set the generation.
  std::map<std::string, at::Tensor> State() const;
  void set_generation(uint64_t generation) { generation_ = generation; }
  void HalveSigma() { sigma_ /= 2; }

 private:
  at::Tensor Normals() const;
  void Decompose();

  const Options options_;
  // The tutorial's mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu and the mean length of N(0, I).
  double selected_, sigma_rate_, sigma_damping_, path_rate_, rank_one_rate_, rank_mu_rate_, length_;
  uint64_t decompose_every_;
  at::Tensor weights_;                       // [mu]
  at::Tensor mean_, sigma_;                  // [d], [1]
  at::Tensor sigma_path_, covariance_path_;  // [d]
  at::Tensor covariance_, basis_, scales_;   // C [d, d] and, as last decomposed, B [d, d] and D [d]
  uint64_t generation_ = 0;
};

}  // namespace ddpt
