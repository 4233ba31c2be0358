#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/base/tensor.h"

namespace ddpt {

class LanguageModel;

struct NearToken {
  uint32_t id = 0;
  float cosine = 0;  // similarity, -1..1; 0 for a vector of zeros
};

// For each row of `vectors` [n, w] the `count` tokens whose rows of the encoder's embedding have
// the greatest cosine with it, the nearest first, equal ones by id; fewer where fewer are tokens.
// Ids for which `is_token` is false are left out. Blocks for n * vocabulary * w multiply-adds;
// holds no more than 16 rows of the vocabulary's length.
std::vector<std::vector<NearToken>> NearestTokens(const LanguageModel& model, const Tensor& vectors,
                                                  const std::function<bool(uint32_t)>& is_token,
                                                  size_t count);

// What the encoder sees of tokens [ids.size(), w]. Ids must be inside the vocabulary.
Tensor TokenVectors(const LanguageModel& model, std::span<const uint32_t> ids);

}  // namespace ddpt
