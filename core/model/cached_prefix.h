#pragma once

#include <ATen/core/Tensor.h>

#include "core/model/kv_rows.h"

namespace ddpt {

// What PrefixCache keeps of the tokens before an answer.
struct CachedPrefix {
  KvSequence past;  // keys and values of all of them
  // Of the last of them: the last block's output but for cross-attention, and what the block starts
  // from, [1, 1, d].
  at::Tensor base, normed;
};

}  // namespace ddpt
