#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"
#include "ddpt/v1/prompt.pb.h"

namespace ddpt {

// The elements [n, w] of a prompt from a server, which is not trusted to keep its word. Pure.
absl::StatusOr<Tensor> DecodePrompt(const v1::Tensor& tensor);

// Prompts on disk: a safetensors file with one float32 tensor `prompts` [count, n, w] and the
// metadata `prompt_ids` (a JSON list) and `receipt` (a JSON object). These functions block on the
// file system.

// The embeddings of `response`, which must be there and of one shape.
absl::Status WritePrompts(const std::string& path, const v1::SampleResponse& response);

// Prompt `index` of the file, [n, w] float32.
absl::StatusOr<v1::Tensor> ReadPrompt(const std::string& path, uint64_t index);

}  // namespace ddpt
