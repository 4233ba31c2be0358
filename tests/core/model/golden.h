#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/model/batch.h"
#include "core/model/language_model.h"
#include "core/model/load.h"
#include "tests/device.h"

namespace ddpt {

// A checkpoint of tests/data/codet5p_golden.py or t5_golden.py and what it must compute. The first
// three rows are short; the fourth has an instruction of 512 tokens and an answer of one, the last
// the other way round.
struct Golden {
  using Rows = std::vector<std::vector<uint32_t>>;

  static std::string Directory(const std::string& name);
  // Ends the test where the files do not load.
  static Golden Load(const std::string& name, ModelDtype dtype = ModelDtype::kFloat32);

  std::shared_ptr<const LanguageModel> model;
  Rows instructions, answers;
  Rows prefixes;               // start token, then the instruction where the family's habit is so
  at::Tensor prompt;           // [n, w]
  at::Tensor prompt_gradient;  // of the mean nll under the prompt
  float loss;                  // that nll
  at::Tensor logprobs_plain, logprobs_prompted;  // [rows, longest answer], -1 in the padding
  Rows greedy;                                   // 64 tokens under the prompt

  // Log-probabilities of the answers of all rows as one padded batch, -1 in the padding.
  at::Tensor LogProbs(const EncoderBatch& inputs) const;
};

// Of token ids where the models of the tests are.
at::TensorOptions Ids();

// Largest absolute difference.
double Difference(const at::Tensor& a, const at::Tensor& b);

}  // namespace ddpt
