#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/client.h"
#include "core/base/tensor.h"
#include "core/evaluation/tsne.h"

namespace ddpt {

struct PictureOptions {
  v1::SampleRequest sample;  // which prompts are drawn, and how
  uint32_t tokens = 500;     // of the vocabulary, drawn at random by tsne.seed; 4..3000
  TsneOptions tsne;          // with less perplexity where there are too few points
};

// Prompts of a task among the tokens of the base model.
struct PromptPicture {
  v1::SampleResponse drawn;
  std::vector<Tensor> prompts;  // [n, w] each
  // Empty for prefixes, which no tokens are near:
  v1::DescribeResponse first = {};      // the first prompt's nearest tokens
  std::vector<uint32_t> nearest = {};   // the nearest of each of its vectors, none twice
  std::vector<std::string> words = {};  // of `nearest`, then of the tokens drawn at random
  std::vector<float> token_norms = {};  // of the latter
  TsneOptions tsne = {};                // as made
  // Of the directions of all tokens, in the order of `words`, then of the vectors of all prompts.
  TsneMap map = {};
};

// Draws the prompts and asks the server what is near them. Blocks for the calls and for a t-SNE.
absl::StatusOr<PromptPicture> TakePromptPicture(Client& client, const PictureOptions& options);

}  // namespace ddpt
