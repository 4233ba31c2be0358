#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <vector>

#include "core/model/language_model.h"

namespace ddpt {

// The constants of teacher-forced examples (LanguageModel::Trunk), without gradient unless the
// weights need one. What the parts mean is the family's business; for every family dimension 0 is
// the row, and dimension 1 may be padded with zeros on the right, so that single examples can be
// kept and batched anew each step:
//
//   DecoderTrunk batch = StackTrunks({&cached[3], &cached[17]});
//
// Rows keep their first P logits; what stands in the padding of Head's output is meaningless.
struct DecoderTrunk {
  std::vector<at::Tensor> parts;
};

// All rows of `trunks` (not empty, of one model) in order, padded to the longest.
DecoderTrunk StackTrunks(std::span<const DecoderTrunk* const> trunks);

// Bytes held.
size_t TrunkBytes(const DecoderTrunk& trunk);

struct LanguageModel::Prefilled {
  std::unique_ptr<DecoderState> state;
  at::Tensor logits;  // [B, vocabulary] float32
};

}  // namespace ddpt
