#pragma once

#include <span>
#include <string_view>

#include "absl/status/statusor.h"

namespace ddpt {

// How a checkpoint is spoken to: what stands around an instruction in words, and what the decoder
// sees before the answer. Instructions that come as token ids are taken as they are.
struct Habits {
  std::string_view name;    // of the preset
  std::string_view source;  // where the preset was taken from
  // Before and after the instruction's text, in the encoder and in the decoder's prefix.
  std::string_view before = {}, after = {};
  // The tokenizer's own tokens around the encoder's text: <s> and </s> of RoBERTa's kind.
  bool special_tokens = false;
  // Four spaces become a tab before encoding, and a tab four spaces after decoding.
  bool spaces_as_tabs = false;
  // The decoder's prefix is the instruction, not nothing.
  bool instruction_in_decoder = false;
  // The start token precedes the decoder's prefix. Without a prefix it is there in any case.
  bool start_token = true;
};

// All presets, each under a name of its own.
std::span<const Habits> AllHabits();

// FieldError("habits", ...) naming the presets.
absl::StatusOr<Habits> FindHabits(std::string_view name);

// The preset of a parallel-block checkpoint by its published name or directory: that of
// InstructCodeT5+ where "instructcodet5p" is in it, else that of 2B, 6B and 16B. Capitals do not
// matter.
Habits ParallelHabits(std::string_view checkpoint);

}  // namespace ddpt
