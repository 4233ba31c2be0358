#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/decoding/generator.h"

namespace ddpt {

// A row on its way through a GenerationBatch (inside of generator.cc): from logits to tokens, text
// and deltas. It takes one row of the model, or, in beam search, one for each beam. Not
// thread-safe.
class RunningRow {
 public:
  // Beam search where the row's options have it.
  static std::unique_ptr<RunningRow> Create(GenerationRow row, size_t slot,
                                            const Tokenizer* tokenizer);
  virtual ~RunningRow() = default;

  const GenerationRow& row() const { return row_; }
  size_t slot() const { return slot_; }

  // Rows of the model that it takes now: one at first.
  virtual size_t width() const = 0;
  // Chooses the next tokens from `logits` [width(), vocabulary] and tells the sink. Afterwards
  // ended() may hold.
  virtual void Advance(std::span<float> logits, std::span<const uint8_t> usable,
                       uint32_t end_token) = 0;
  // After Advance, of each row of the model that it takes next: the one of those before that it
  // continues, and its last token.
  virtual std::vector<int64_t> Parents() const = 0;
  virtual std::vector<uint32_t> LastTokens() const = 0;

  // Ends with a status, or silently with nullopt.
  void End(std::optional<absl::Status> status);
  bool ended() const { return ended_; }
  // What to report; nullopt for a row that was given up.
  const std::optional<absl::Status>& status() const { return status_; }

 protected:
  RunningRow(GenerationRow row, size_t slot) : row_(std::move(row)), slot_(slot) {}

 private:
  const GenerationRow row_;
  const size_t slot_;
  bool ended_ = false;
  std::optional<absl::Status> status_;
};

}  // namespace ddpt
