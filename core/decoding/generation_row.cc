#include "core/decoding/generation_row.h"

#include <utility>

#include "core/decoding/beam_search.h"
#include "core/decoding/stop_matcher.h"
#include "core/decoding/token_chooser.h"
#include "core/text/stream_decoder.h"

namespace ddpt {
namespace {

// The text of an answer, token by token, up to its stop string.
class AnswerText {
 public:
  AnswerText(const Tokenizer* tokenizer, const std::vector<std::string>& stops)
      : decoder_(tokenizer), stops_(stops) {}

  std::string Push(uint32_t token) { return stops_.Push(decoder_.Push(token)); }
  bool stopped() const { return stops_.stopped(); }
  // What is held back at the end.
  std::string Flush() {
    std::string text = stops_.Push(decoder_.Flush());
    if (!stops_.stopped()) text += stops_.Flush();
    return text;
  }

 private:
  StreamDecoder decoder_;
  StopMatcher stops_;
};

// Token by token, greedy or drawn.
class ChoosingRow final : public RunningRow {
 public:
  ChoosingRow(GenerationRow row, size_t slot, const Tokenizer* tokenizer)
      : RunningRow(std::move(row), slot), text_(tokenizer, this->row().options->stop) {}

  size_t width() const override { return 1; }

  void Advance(std::span<float> logits, std::span<const uint8_t> usable,
               uint32_t end_token) override {
    const absl::StatusOr<ChosenToken> token =
        ChooseToken(logits, usable, answer_, *row().options, row().choice);
    if (!token.ok()) return End(token.status());
    answer_.push_back(token->id);
    const Delta delta = MakeDelta(*token, end_token);
    if (!row().sink(delta)) return End(absl::CancelledError("the receiver wants no more"));
    if (delta.finish_reason) End(absl::OkStatus());
  }

  std::vector<int64_t> Parents() const override { return {0}; }
  std::vector<uint32_t> LastTokens() const override { return {answer_.back()}; }

 private:
  Delta MakeDelta(const ChosenToken& token, uint32_t end_token) {
    Delta delta;
    delta.choice = row().choice;
    delta.token_ids = {token.id};
    if (row().options->wants_logprobs()) delta.logprobs = {token.logprob};
    delta.output_tokens = static_cast<uint32_t>(answer_.size());
    const bool end = token.id == end_token;
    if (!end) delta.text = text_.Push(token.id);
    if (end || text_.stopped()) {
      delta.finish_reason = FinishReason::kStop;
    } else if (answer_.size() >= row().options->max_new_tokens) {
      delta.finish_reason = FinishReason::kLength;
    }
    if (delta.finish_reason) delta.text += text_.Flush();
    return delta;
  }

  std::vector<uint32_t> answer_;
  AnswerText text_;
};

// The best answers of a beam search, all told at its end.
class BeamRow final : public RunningRow {
 public:
  BeamRow(GenerationRow row, size_t slot, const Tokenizer* tokenizer)
      : RunningRow(std::move(row), slot),
        tokenizer_(tokenizer),
        search_(*this->row().options, tokenizer) {}

  size_t width() const override { return search_.width(); }

  void Advance(std::span<float> logits, std::span<const uint8_t> usable,
               uint32_t end_token) override {
    const absl::Status status = search_.Advance(logits, usable, end_token);
    if (!status.ok()) return End(status);
    if (!search_.done()) return;
    for (uint32_t choice = 0; choice < row().options->n; ++choice) {
      if (choice == search_.finished().size()) break;
      if (!row().sink(MakeDelta(choice, end_token))) {
        return End(absl::CancelledError("the receiver wants no more"));
      }
    }
    End(absl::OkStatus());
  }

  std::vector<int64_t> Parents() const override { return search_.Parents(); }
  std::vector<uint32_t> LastTokens() const override { return search_.LastTokens(); }

 private:
  Delta MakeDelta(uint32_t choice, uint32_t end_token) const {
    const Hypothesis& answer = search_.finished()[choice];
    Delta delta;
    delta.choice = choice;
    delta.token_ids = answer.tokens;
    if (row().options->logprobs) delta.logprobs = answer.logprobs;
    delta.output_tokens = static_cast<uint32_t>(answer.tokens.size());
    delta.finish_reason = answer.finish_reason;
    delta.beam_score = answer.score;
    AnswerText text(tokenizer_, row().options->stop);
    for (const uint32_t token : answer.tokens) {
      if (token != end_token) delta.text += text.Push(token);
    }
    delta.text += text.Flush();
    return delta;
  }

  const Tokenizer* tokenizer_;
  BeamSearch search_;
};

}  // namespace

std::unique_ptr<RunningRow> RunningRow::Create(GenerationRow row, size_t slot,
                                               const Tokenizer* tokenizer) {
  if (row.options->num_beams > 1) {
    return std::make_unique<BeamRow>(std::move(row), slot, tokenizer);
  }
  return std::make_unique<ChoosingRow>(std::move(row), slot, tokenizer);
}

void RunningRow::End(std::optional<absl::Status> status) {
  ended_ = true;
  status_ = std::move(status);
}

}  // namespace ddpt
