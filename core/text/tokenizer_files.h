#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "core/text/added_tokens.h"
#include "core/text/bpe.h"

namespace ddpt {

// A byte-level BPE tokenizer as its files describe it, checked: no two tokens share an id, ids are
// below 2^20, every byte has a token, and every id named anywhere belongs to a token.
struct TokenizerSpec {
  absl::flat_hash_map<std::string, uint32_t> vocab;  // without added tokens, in byte symbols
  std::array<uint32_t, 256> byte_ids{};
  std::vector<BpeMerge> merges;
  std::vector<AddedToken> added;
  bool add_prefix_space = false;
  bool split_words = true;
  std::vector<uint32_t> prefix, suffix;  // put around a text where special tokens are asked for
  std::optional<uint32_t> eos;
};

// Reads `tokenizer.json` where the directory has it, else `vocab.json` and `merges.txt` with
// `added_tokens.json`, `special_tokens_map.json` and `tokenizer_config.json` where there are such.
// NOT_FOUND where it has neither; otherwise INVALID_ARGUMENT naming the file, the key and the
// problem. Blocks.
//
// tokenizer.json must be a BPE model between a ByteLevel pre-tokenizer and a ByteLevel decoder. A
// normalizer, dropout, affixes, byte_fallback and ignore_merges are refused, since leaving them out
// would change ids; truncation and padding are the caller's business and not read. Of the
// separate files, `added_tokens_decoder` of tokenizer_config.json wins over added_tokens.json; a
// RoBERTa `tokenizer_class` puts `cls_token` and `sep_token` around a text. The end token is
// `eos_token` of tokenizer_config.json, else of special_tokens_map.json, in both layouts.
absl::StatusOr<TokenizerSpec> ReadTokenizerFiles(const std::string& directory);

}  // namespace ddpt
