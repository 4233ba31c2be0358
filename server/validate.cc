#include "server/validate.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/tensor.h"
#include "core/registry/registry.h"
#include "server/convert.h"

namespace ddpt {
namespace {

constexpr size_t kQuoteLimit = 80;
// Prompt id, shape and framing of one prompt, and the receipt.
constexpr size_t kPromptOverhead = 1024;
constexpr size_t kReceiptOverhead = 1024;

// Callers' text in messages, cut.
std::string Quoted(std::string_view text) {
  const bool cut = text.size() > kQuoteLimit;
  return absl::StrCat("\"", Piece(text.substr(0, kQuoteLimit)), cut ? "...\"" : "\"");
}

template <typename Request>
absl::Status InstructionWithinLimit(const Request& request) {
  const bool has_ids = request.has_instruction_ids();
  const size_t size = has_ids ? request.instruction_ids().ids_size() : request.instruction().size();
  if (size <= kInstructionLimit) return absl::OkStatus();
  return FieldError(has_ids ? "instruction_ids" : "instruction",
                    absl::StrCat(size, has_ids ? " token ids" : " bytes",
                                 " are above the limit of ", kInstructionLimit));
}

// Samplers and ranges that depend on the denoiser are ValidateSampling's.
absl::Status ValidateSamplingOptions(const v1::SamplingOptions& sampling) {
  if (!v1::Sampler_IsValid(sampling.sampler())) {
    return FieldError("sampling.sampler", absl::StrCat(sampling.sampler(), " is no Sampler"));
  }
  if (sampling.has_best_of() && (sampling.best_of() < 1 || sampling.best_of() > kBestOfLimit)) {
    return FieldError("sampling.best_of",
                      absl::StrCat(sampling.best_of(), " is outside 1..", kBestOfLimit));
  }
  if (sampling.has_best_of_examples()) {
    const int examples = sampling.best_of_examples().examples_size();
    if (sampling.best_of() < 2) {
      return FieldError("sampling.best_of_examples", "needs sampling.best_of above 1");
    }
    if (examples < 1 || examples > kBestOfExamplesLimit) {
      return FieldError("sampling.best_of_examples",
                        absl::StrCat(examples, " are outside 1..", kBestOfExamplesLimit));
    }
  }
  if (sampling.anytime() && sampling.full_space_noise()) {
    return FieldError("sampling.anytime", "does not go with full_space_noise");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateDataType(std::string_view field, v1::DataType dtype) {
  if (v1::DataType_IsValid(dtype)) return absl::OkStatus();
  return FieldError(field, absl::StrCat(dtype, " is no DataType"));
}

absl::Status ValidateSample(const v1::SampleRequest& request, const RequestLimits& limits) {
  DDPT_RETURN_IF_ERROR(CheckTaskName(request.task()));
  if (request.has_version() && request.version() == 0) {
    return FieldError("version", "0 is below 1; leave it out for the active version");
  }
  if (request.has_count() && (request.count() < 1 || request.count() > limits.max_count)) {
    return FieldError("count", absl::StrCat(request.count(), " is outside 1..", limits.max_count));
  }
  DDPT_RETURN_IF_ERROR(ValidateSamplingOptions(request.sampling()));
  DDPT_RETURN_IF_ERROR(InstructionWithinLimit(request));
  DDPT_RETURN_IF_ERROR(ValidateDataType("embedding_dtype", request.embedding_dtype()));
  return ValidateDataType("initial_noise.dtype", request.initial_noise().dtype());
}

absl::Status ValidateInstruction(const v1::GenerateRequest& request) {
  return InstructionWithinLimit(request);
}

absl::Status ValidateInstruction(const v1::ScoreRequest& request) {
  return InstructionWithinLimit(request);
}

absl::Status ValidateInstruction(const v1::DescribeRequest& request) {
  return InstructionWithinLimit(request);
}

absl::Status ValidateReplay(const v1::ReplayRequest& request) {
  if (request.prompt_id().empty()) return FieldError("prompt_id", "is empty");
  DDPT_RETURN_IF_ERROR(InstructionWithinLimit(request));
  return ValidateDataType("embedding_dtype", request.embedding_dtype());
}

absl::Status ValidateResponseSize(size_t count, bool omit_embedding, v1::DataType dtype,
                                  const DenoiserSpec& spec, const RequestLimits& limits) {
  const size_t embedding =
      omit_embedding ? 0 : static_cast<size_t>(spec.size()) * ElementSize(FromProto(dtype));
  const size_t each = embedding + kPromptOverhead;
  const size_t room = limits.max_message_bytes - kReceiptOverhead;
  if (count * each <= room) return absl::OkStatus();
  return FieldError(
      "count", absl::StrCat(count, " prompts of ", each, " bytes are above the message limit of ",
                            limits.max_message_bytes, " bytes; the largest count is ", room / each,
                            omit_embedding ? "" : ", with omit_embedding it is larger"));
}

absl::Status ValidatePageSize(uint32_t page_size) {
  if (page_size <= kPageLimit) return absl::OkStatus();
  return FieldError("page_size", absl::StrCat(page_size, " is outside 1..", kPageLimit));
}

absl::Status ValidateImportHeader(const v1::ImportTaskRequest::Header& header) {
  DDPT_RETURN_IF_ERROR(CheckTaskName(header.task()));
  const auto& sha256 = header.sha256();
  const bool hexadecimal =
      std::all_of(sha256.begin(), sha256.end(), [](char c) { return absl::ascii_isxdigit(c); });
  if (!sha256.empty() && (sha256.size() != 64 || !hexadecimal)) {
    return FieldError("header.sha256",
                      absl::StrCat(Quoted(sha256), " is not 64 hexadecimal digits"));
  }
  if (!v1::PromotePolicy_IsValid(header.promote())) {
    return FieldError("header.promote", absl::StrCat(header.promote(), " is no PromotePolicy"));
  }
  if (header.promote() == v1::PROMOTE_POLICY_IF_BETTER) {
    return FieldError("header.promote",
                      "IF_BETTER needs validation figures, which an import has none of; use NEVER "
                      "or ALWAYS");
  }
  return absl::OkStatus();
}

}  // namespace ddpt
