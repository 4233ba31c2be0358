#pragma once

#include <cstdint>
#include <vector>

#include "core/decoding/generator.h"
#include "core/decoding/options.h"

namespace ddpt {

// Gathers the candidates of a request with best_of > 1 and tells, when all have ended, the n with
// the highest mean log-probability of their tokens under the model itself (minus the nll of
// ScoreAnswer), the best first, ties to the earlier: a delta each, as choices 0..n-1. Not
// thread-safe.
class BestOf {
 public:
  // `sink` gets the choices; what it says ends the last candidate.
  BestOf(const DecodingOptions& options, DeltaSink sink);

  // The sink of every candidate; their deltas have log-probabilities.
  bool Take(const Delta& delta);

 private:
  struct Candidate {
    Delta answer;  // so far, in one
    double sum = 0;
  };

  bool Tell();

  const uint32_t n_;
  const bool logprobs_;
  const DeltaSink sink_;
  std::vector<Candidate> candidates_;
  size_t ended_ = 0;
};

}  // namespace ddpt
