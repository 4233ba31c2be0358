#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "core/model/codet5p_config.h"
#include "deploy/tiny/texts.h"

namespace ddpt::tiny {

struct BaseOptions {
  std::string output;
  uint64_t seed = 1;  // of the initial weights
  int64_t steps = 3000;
  int64_t batch = 64;
  double learning_rate = 2e-3;  // the highest: 5 % of the steps warm up to it, a cosine ends at 2 %
  uint32_t vocabulary = 768;    // tokens at most
  // An example keeps this many tokens of its encoder's text, half as many of the decoder's prefix,
  // and of the code what is left of them beside the prefix; the rest, with the end token, is cut.
  int64_t max_tokens = 1024;
  Codet5pConfig geometry;  // the stacks alone count
};

// Trains vocabulary and weights of a base model from scratch, on the processor by two threads, and
// writes it to `output` as a Hugging Face directory. Prints the loss as it goes. Deterministic on
// one kind of machine. INVALID_ARGUMENT where the geometry is none of the model's.
absl::Status TrainBase(Texts& texts, const BaseOptions& options);

}  // namespace ddpt::tiny
