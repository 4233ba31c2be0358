#include "server/convert_code.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/convert.h"

namespace ddpt {
namespace {

constexpr uint64_t kDefaultNewTokens = 256;

}  // namespace

absl::StatusOr<DecoderPrefix> FromProto(v1::DecoderPrefix prefix) {
  switch (prefix) {
    case v1::DECODER_PREFIX_UNSPECIFIED:
      return DecoderPrefix::kHabit;
    case v1::DECODER_PREFIX_NONE:
      return DecoderPrefix::kNone;
    case v1::DECODER_PREFIX_INSTRUCTION:
      return DecoderPrefix::kInstruction;
    default:
      return FieldError("decoder_prefix", absl::StrCat(prefix, " is no DecoderPrefix"));
  }
}

absl::StatusOr<DecodingOptions> FromProto(const v1::DecodingOptions& decoding,
                                          uint64_t positions_left) {
  DecodingOptions options;
  options.max_new_tokens =
      decoding.has_max_new_tokens()
          ? decoding.max_new_tokens()
          : static_cast<uint32_t>(std::clamp<uint64_t>(positions_left, 1, kDefaultNewTokens));
  options.temperature = decoding.temperature();
  options.top_p = decoding.has_top_p() ? decoding.top_p() : 1;
  options.top_k = decoding.top_k();
  options.repetition_penalty =
      decoding.has_repetition_penalty() ? decoding.repetition_penalty() : 1;
  options.num_beams = decoding.has_num_beams() ? decoding.num_beams() : 1;
  options.length_penalty = decoding.has_length_penalty() ? decoding.length_penalty() : 1;
  options.seed = decoding.has_seed() ? decoding.seed() : RandomSeed();
  options.stop.assign(decoding.stop().begin(), decoding.stop().end());
  options.n = decoding.has_n() ? decoding.n() : 1;
  options.best_of = decoding.has_best_of() ? decoding.best_of() : 1;
  options.logprobs = decoding.logprobs();
  DDPT_RETURN_IF_ERROR(ValidateDecoding(options));
  return options;
}

PromptedRequest WithPrompt(const ResolvedPrompt& prompt, std::vector<uint32_t> instruction_ids,
                           DecoderPrefix prefix) {
  PromptedRequest request;
  request.instruction_ids = std::move(instruction_ids);
  request.soft_prompt = prompt.soft;
  request.manual_ids = prompt.manual_ids;
  request.manual_in_decoder = prompt.manual_in_decoder;
  request.prefix = prefix;
  return request;
}

uint64_t PositionsLeft(const PromptedRequest& request, const ModelGeometry& geometry) {
  const uint64_t used = DecoderIds(request, geometry).size();
  const auto all = static_cast<uint64_t>(geometry.max_positions);
  return used < all ? all - used : 0;
}

v1::GenerateResponse ToProto(const Delta& delta, uint32_t input_tokens) {
  v1::GenerateResponse response;
  response.set_text(delta.text);
  response.mutable_token_ids()->mutable_ids()->Assign(delta.token_ids.begin(),
                                                      delta.token_ids.end());
  response.mutable_logprobs()->Assign(delta.logprobs.begin(), delta.logprobs.end());
  response.set_choice_index(delta.choice);
  if (!delta.finish_reason) return response;
  response.set_finish_reason(*delta.finish_reason == FinishReason::kStop
                                 ? v1::FINISH_REASON_STOP
                                 : v1::FINISH_REASON_LENGTH);
  if (delta.beam_score) response.set_beam_score(*delta.beam_score);
  response.mutable_usage()->set_input_tokens(input_tokens);
  response.mutable_usage()->set_output_tokens(delta.output_tokens);
  if (!delta.mean_logprob) return response;
  response.set_mean_logprob(*delta.mean_logprob);
  response.mutable_usage()->set_candidate_tokens(delta.candidate_tokens);
  return response;
}

}  // namespace ddpt
