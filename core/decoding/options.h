#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace ddpt {

// How tokens are chosen. The defaults are greedy decoding.
struct DecodingOptions {
  uint32_t max_new_tokens = 256;  // 1 .. the model's positions left
  double temperature = 0;         // 0 (greedy) .. 10
  double top_p = 1;               // above 0 .. 1
  uint32_t top_k = 0;             // 0 keeps all
  double repetition_penalty = 1;  // 0.1 .. 10; on tokens of the answer so far
  uint64_t seed = 0;              // of the sampling; greedy ignores it
  uint32_t num_beams = 1;         // 1..16; above 1: beam search, greedy only
  double length_penalty = 1;      // -10..10; exponent of the length in a beam's score
  std::vector<std::string> stop;  // at most 16 of 1..64 bytes
  uint32_t n = 1;                 // choices, 1..16; of beam search the best, up to num_beams
  uint32_t best_of = 1;           // candidates, 1..64; above 1: at least n, of which the likeliest
                                  // are told (core/decoding/best_of.h); sampled, no beams
  bool logprobs = false;          // report them

  bool wants_logprobs() const { return logprobs || best_of > 1; }
  // Rows of a GenerationBatch that a request takes.
  uint32_t rows() const { return num_beams > 1 ? 1 : std::max(n, best_of); }
};

// A FieldError names "decoding.<field>", the value and the limit. max_new_tokens is checked against
// the model by ValidateRequest.
absl::Status ValidateDecoding(const DecodingOptions& options);

}  // namespace ddpt
