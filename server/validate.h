#pragma once

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "core/diffusion/denoiser_spec.h"
#include "ddpt/v1/code.pb.h"
#include "ddpt/v1/prompt.pb.h"
#include "ddpt/v1/task.pb.h"

namespace ddpt {

// Pure checks of requests, made before anything is allocated or admitted. Every refusal is a
// FieldError that names the field, its value and the limit.

struct RequestLimits {
  size_t max_count = 1024;
  size_t max_message_bytes = size_t{4} << 20;
};

inline constexpr size_t kInstructionLimit = 65'536;  // bytes, or token ids
inline constexpr size_t kBestOfLimit = 64;
inline constexpr int kBestOfExamplesLimit = 64;
inline constexpr uint32_t kPageLimit = 1000;

// What can be said without the denoiser.
absl::Status ValidateSample(const v1::SampleRequest& request, const RequestLimits& limits);
absl::Status ValidateInstruction(const v1::GenerateRequest& request);
absl::Status ValidateInstruction(const v1::ScoreRequest& request);
absl::Status ValidateInstruction(const v1::DescribeRequest& request);
absl::Status ValidateReplay(const v1::ReplayRequest& request);
// What the answer weighs: `count` embeddings of the denoiser within the message limit.
absl::Status ValidateResponseSize(size_t count, bool omit_embedding, v1::DataType dtype,
                                  const DenoiserSpec& spec, const RequestLimits& limits);
absl::Status ValidateDataType(std::string_view field, v1::DataType dtype);
absl::Status ValidatePageSize(uint32_t page_size);
absl::Status ValidateImportHeader(const v1::ImportTaskRequest::Header& header);

}  // namespace ddpt
