#pragma once

#include "absl/status/statusor.h"

namespace ddpt {

class LanguageModel;
class Tokenizer;

// What a model makes of 20 built-in pairs of an instruction and code, in nats a token.
struct SelfTestResult {
  double nll = 0;           // of the code
  double shuffled_nll = 0;  // of the same tokens in another order
  double uniform_nll = 0;   // of a model that knows nothing: the logarithm of the vocabulary
  // Less than 3 nats a token, and less than for its tokens in disorder. A model whose heads or
  // layers are read in another order needs more; a model as small as the embedded one hardly
  // notices another rotation of its heads' channels, so a fault may also pass.
  bool plausible = false;
};

// Blocks for the scoring of 40 short answers. Errors are ScoreAll's and the tokenizer's.
absl::StatusOr<SelfTestResult> SelfTest(const LanguageModel& model, const Tokenizer& tokenizer);

}  // namespace ddpt
