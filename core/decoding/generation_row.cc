#include "core/decoding/generation_row.h"

#include <utility>

namespace ddpt {

RunningRow::RunningRow(GenerationRow row, size_t slot, const Tokenizer* tokenizer)
    : row_(std::move(row)), slot_(slot), decoder_(tokenizer), stops_(row_.options->stop) {}

void RunningRow::Advance(std::span<float> logits, std::span<const uint8_t> usable,
                         uint32_t end_token) {
  const absl::StatusOr<ChosenToken> token =
      ChooseToken(logits, usable, answer_, *row_.options, row_.choice);
  if (!token.ok()) return End(token.status());
  answer_.push_back(token->id);
  const Delta delta = MakeDelta(*token, end_token);
  if (!row_.sink(delta)) return End(absl::CancelledError("the receiver wants no more"));
  if (delta.finish_reason) End(absl::OkStatus());
}

void RunningRow::End(std::optional<absl::Status> status) {
  ended_ = true;
  status_ = std::move(status);
}

Delta RunningRow::MakeDelta(const ChosenToken& token, uint32_t end_token) {
  Delta delta;
  delta.choice = row_.choice;
  delta.token_ids = {token.id};
  if (row_.options->logprobs) delta.logprobs = {token.logprob};
  delta.output_tokens = static_cast<uint32_t>(answer_.size());
  const bool end = token.id == end_token;
  if (!end) delta.text = stops_.Push(decoder_.Push(token.id));
  if (end || stops_.stopped()) {
    delta.finish_reason = FinishReason::kStop;
  } else if (answer_.size() >= row_.options->max_new_tokens) {
    delta.finish_reason = FinishReason::kLength;
  }
  if (delta.finish_reason) {
    delta.text += stops_.Push(decoder_.Flush());
    if (!stops_.stopped()) delta.text += stops_.Flush();
  }
  return delta;
}

}  // namespace ddpt
