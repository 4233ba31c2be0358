#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace ddpt {

// The contents of the files of a tokenizer directory, see ReadTokenizerFiles.
struct TokenizerFiles {
  std::string vocab_json;
  std::string merges_txt;
  std::string tokenizer_config_json;
};

// Trains a byte-level BPE vocabulary of the CodeGen kind on a small corpus (megabytes at most).
// Ids: the special tokens in their order, then the 256 byte symbols by code point, then the merged
// tokens in the order of their merges. Each step merges the pair that occurs most often inside
// words, of equals the one whose left, then right bytes come first; it stops early where no pair
// occurs twice, so the vocabulary may be smaller than asked for. Pairs that would spell a special
// token are passed over. The first special token is named as start, end and unknown token.
// Deterministic: the same bytes on every machine.
//
// `corpus`: texts; ill-formed UTF-8 counts as U+FFFD; special tokens in them are plain text.
// FieldError naming `vocab_size` where it is below 256 + special tokens or above 65,536, and
// `special_tokens[i]` where one is empty, repeated, ill-formed or spells a byte symbol.
absl::StatusOr<TokenizerFiles> TrainByteLevelBpe(std::span<const std::string> corpus,
                                                 uint32_t vocab_size,
                                                 std::span<const std::string> special_tokens);

}  // namespace ddpt
