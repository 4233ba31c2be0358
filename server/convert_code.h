#pragma once

#include "absl/status/statusor.h"
#include "core/decoding/generator.h"
#include "core/decoding/options.h"
#include "core/decoding/request.h"
#include "ddpt/v1/code.pb.h"
#include "server/base_model.h"
#include "server/prompt_resolver.h"

namespace ddpt {

// Between the messages of CodeService and the structs of core. Pure.

// FieldError for an unknown value.
absl::StatusOr<DecoderPrefix> FromProto(v1::DecoderPrefix prefix);

// FieldErrors of ValidateDecoding. An absent max_new_tokens is 256, or less where `positions_left`
// is; an absent seed is drawn.
absl::StatusOr<DecodingOptions> FromProto(const v1::DecodingOptions& decoding,
                                          uint64_t positions_left);

// The request under a prompt; checked against the model by ValidateRequest later.
PromptedRequest WithPrompt(const ResolvedPrompt& prompt, std::vector<uint32_t> instruction_ids,
                           DecoderPrefix prefix);

// What the decoder has room for after start token and prefix; 0 where there is none.
uint64_t PositionsLeft(const PromptedRequest& request, const ModelGeometry& geometry);

v1::GenerateResponse ToProto(const Delta& delta, uint32_t input_tokens);

}  // namespace ddpt
