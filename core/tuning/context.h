#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/tensor.h"
#include "core/tuning/options.h"
#include "core/tuning/prepared_examples.h"

namespace ddpt {

// E, the context that training starts from, [n, w], by options.context_start; a function of options
// and examples alone. For prefix tuning it is, in the place of embeddings, the keys and values that
// the model itself has for the tokens.
//   kText        embeddings of `text_ids` (not empty), repeated or cut to n
//   kVocabulary  embeddings of tokens drawn from those that `examples` use, so that all are tokens
//                that the model was trained on
//   kRandom      (not for prefix tuning) normal numbers with the standard deviation of the model's
//   embeddings
Tensor StartingContext(const LanguageModel& model, const TuningOptions& options,
                       std::span<const uint32_t> text_ids,
                       const std::vector<EncodedExample>& examples);

// Standard deviation of all elements of the encoder's embedding.
double EmbeddingDeviation(const LanguageModel& model);

}  // namespace ddpt
