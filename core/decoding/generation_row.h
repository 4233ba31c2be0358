#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/decoding/generator.h"
#include "core/decoding/stop_matcher.h"
#include "core/decoding/token_chooser.h"
#include "core/text/stream_decoder.h"

namespace ddpt {

// A row on its way through a GenerationBatch (inside of generator.cc): from logits to tokens, text
// and deltas. Not thread-safe.
class RunningRow {
 public:
  RunningRow(GenerationRow row, size_t slot, const Tokenizer* tokenizer);

  const GenerationRow& row() const { return row_; }
  size_t slot() const { return slot_; }
  uint32_t last_token() const { return answer_.back(); }

  // Chooses the next token and tells the sink. Afterwards ended() may hold.
  void Advance(std::span<float> logits, std::span<const uint8_t> usable, uint32_t end_token);
  // Ends with a status, or silently with nullopt.
  void End(std::optional<absl::Status> status);

  bool ended() const { return ended_; }
  // What to report; nullopt for a row that was given up.
  const std::optional<absl::Status>& status() const { return status_; }

 private:
  Delta MakeDelta(const ChosenToken& token, uint32_t end_token);

  const GenerationRow row_;
  const size_t slot_;
  std::vector<uint32_t> answer_;
  StreamDecoder decoder_;
  StopMatcher stops_;
  bool ended_ = false;
  std::optional<absl::Status> status_;
};

}  // namespace ddpt
