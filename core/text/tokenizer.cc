#include "core/text/tokenizer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/status.h"
#include "core/text/byte_symbols.h"
#include "core/text/stream_decoder.h"
#include "core/text/unicode.h"
#include "core/text/words.h"

namespace ddpt {

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Load(const std::string& directory,
                                                                 const Options& options) {
  DDPT_ASSIGN_OR_RETURN(TokenizerSpec spec, ReadTokenizerFiles(directory));
  return std::unique_ptr<const Tokenizer>(new Tokenizer(std::move(spec), options));
}

Tokenizer::Tokenizer(TokenizerSpec spec, const Options& options)
    : options_(options),
      add_prefix_space_(spec.add_prefix_space),
      split_words_(spec.split_words),
      prefix_(std::move(spec.prefix)),
      suffix_(std::move(spec.suffix)),
      eos_(spec.eos),
      bpe_(spec.byte_ids, spec.merges),
      added_(spec.added),
      ids_(std::move(spec.vocab)) {
  for (const auto& [token, id] : ids_) SetRow(id, BytesOfSymbols(token), /*special=*/false);
  for (const AddedToken& token : spec.added) {
    SetRow(token.id, token.content, token.special);
    ids_[token.content] = token.id;
  }
}

void Tokenizer::SetRow(uint32_t id, std::string bytes, bool special) {
  if (rows_.size() <= id) rows_.resize(id + 1);
  rows_[id] = {std::move(bytes), /*used=*/true, special};
}

absl::StatusOr<std::vector<uint32_t>> Tokenizer::Encode(std::string_view text,
                                                        const EncodeOptions& options) const {
  if (text.size() > options_.max_input_bytes) {
    return FieldError(options.field, absl::StrCat(text.size(), " bytes are over the limit of ",
                                                  options_.max_input_bytes));
  }
  std::string clean = ReplaceInvalidUtf8(text);
  if (options_.spaces_as_tabs) absl::StrReplaceAll({{"    ", "\t"}}, &clean);
  std::vector<uint32_t> ids;
  if (options.add_special) ids = prefix_;
  for (const AddedTokens::Piece& piece : added_.Split(clean)) {
    if (piece.id.has_value()) {
      ids.push_back(*piece.id);
    } else {
      AppendText(piece.text, &ids);
    }
  }
  if (options.add_special) ids.insert(ids.end(), suffix_.begin(), suffix_.end());
  return ids;
}

void Tokenizer::AppendText(std::string_view text, std::vector<uint32_t>* ids) const {
  std::string prefixed;
  if (add_prefix_space_ && !text.starts_with(' ')) {
    prefixed = absl::StrCat(" ", Piece(text));
    text = prefixed;
  }
  bpe_.AppendIds(split_words_ ? SplitWords(text) : std::vector{text}, ids);
}

std::string Tokenizer::Decode(std::span<const uint32_t> ids, bool skip_special) const {
  StreamDecoder decoder(this, skip_special);
  std::string text;
  for (const uint32_t id : ids) text += decoder.Push(id);
  return text + decoder.Flush();
}

std::string_view Tokenizer::TokenBytes(uint32_t id) const {
  return id < rows_.size() ? std::string_view(rows_[id].bytes) : std::string_view();
}

std::optional<uint32_t> Tokenizer::IdOf(std::string_view token) const {
  const auto found = ids_.find(std::string(token));
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

}  // namespace ddpt
