#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "core/text/added_tokens.h"
#include "core/text/bpe.h"
#include "core/text/tokenizer_files.h"

namespace ddpt {

// A byte-level BPE tokenizer of the GPT-2, CodeGen and RoBERTa kinds with the ids of the Python
// `tokenizers` package. Immutable and thread-safe; calls do not block.
class Tokenizer {
 public:
  struct Options {
    // Habit of CodeT5+ from 2B up: each four spaces become one tab before encoding, and every tab
    // of decoded text four spaces.
    bool spaces_as_tabs = false;
    uint64_t max_input_bytes = 1 << 20;
  };

  struct EncodeOptions {
    std::string_view field = "text";  // stands in errors
    // Puts the tokens of the checkpoint around the text: RoBERTa's <s> and </s>, nothing for
    // CodeGen.
    bool add_special = false;
  };

  // Reads a Hugging Face directory, see ReadTokenizerFiles. Blocks.
  static absl::StatusOr<std::unique_ptr<const Tokenizer>> Load(const std::string& directory,
                                                               const Options& options);
  static absl::StatusOr<std::unique_ptr<const Tokenizer>> Load(const std::string& directory) {
    return Load(directory, Options());
  }

  // The ids of a text. Ill-formed UTF-8 is encoded as if each maximal ill-formed part were U+FFFD.
  // INVALID_ARGUMENT naming the field where the text is over max_input_bytes.
  absl::StatusOr<std::vector<uint32_t>> Encode(std::string_view text,
                                               const EncodeOptions& options) const;
  absl::StatusOr<std::vector<uint32_t>> Encode(std::string_view text) const {
    return Encode(text, EncodeOptions());
  }

  // The text of some ids, valid UTF-8: ill-formed bytes become U+FFFD as above. Ids without a token
  // give nothing. An added token gives its content as it stands (the Python package reads Latin
  // letters in it as bytes). Decode(Encode(s)) is s for valid s without lstrip, rstrip and
  // add_prefix_space, and for spaces_as_tabs without tabs in s.
  std::string Decode(std::span<const uint32_t> ids, bool skip_special = true) const;

  // One past the largest id. A model may have more rows; and rows below may have no token.
  uint32_t vocab_size() const { return static_cast<uint32_t>(rows_.size()); }
  // Whether any token has this id; an id that has none must never be generated.
  bool HasToken(uint32_t id) const { return id < rows_.size() && rows_[id].used; }
  bool is_special(uint32_t id) const { return id < rows_.size() && rows_[id].special; }
  // The bytes that an id stands for, not always whole characters; "" without a token.
  std::string_view TokenBytes(uint32_t id) const;
  // Of a token as the files spell it, e.g. "Ġdef" or "</s>".
  std::optional<uint32_t> IdOf(std::string_view token) const;
  // The end token that the files name, if any.
  std::optional<uint32_t> eos_id() const { return eos_; }
  const Options& options() const { return options_; }

 private:
  struct Row {
    std::string bytes;
    bool used = false;
    bool special = false;
  };

  Tokenizer(TokenizerSpec spec, const Options& options);
  void SetRow(uint32_t id, std::string bytes, bool special);
  void AppendText(std::string_view text, std::vector<uint32_t>* ids) const;

  const Options options_;
  const bool add_prefix_space_, split_words_;
  const std::vector<uint32_t> prefix_, suffix_;
  const std::optional<uint32_t> eos_;
  const Bpe bpe_;
  const AddedTokens added_;
  absl::flat_hash_map<std::string, uint32_t> ids_;
  std::vector<Row> rows_;
};

}  // namespace ddpt
