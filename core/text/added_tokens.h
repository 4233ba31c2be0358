#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ddpt {

// A token that is matched in the text as a whole, before the text is cut into words.
struct AddedToken {
  std::string content;  // never empty
  uint32_t id = 0;
  bool special = false;      // left out by Decode where asked
  bool normalized = false;   // matched after those that are not
  bool lstrip = false;       // takes the whitespace on its left with it
  bool rstrip = false;       // takes the whitespace on its right with it
  bool single_word = false;  // only where no \w character touches it
};

// Finds added tokens in text exactly as the `tokenizers` package does, oddities included: a match
// that fails single_word hides shorter ones inside it, and text that rstrip took can still match.
// Immutable and thread-safe.
class AddedTokens {
 public:
  // A stretch of the text: an added token, or what lies between.
  struct Piece {
    std::string_view text;
    std::optional<uint32_t> id;
  };

  explicit AddedTokens(std::vector<AddedToken> tokens);
  AddedTokens(const AddedTokens&) = delete;
  AddedTokens& operator=(const AddedTokens&) = delete;

  // Leftmost match first, of those the longest. `text` is valid UTF-8; the pieces point into it and
  // are never empty.
  std::vector<Piece> Split(std::string_view text) const;

 private:
  // The tokens of one pass by their first byte, longest first.
  using Buckets = std::array<std::vector<const AddedToken*>, 256>;

  static const AddedToken* Match(const Buckets& buckets, std::string_view text);
  static void SplitPiece(const Buckets& buckets, std::string_view text, std::vector<Piece>* pieces);

  const std::vector<AddedToken> tokens_;
  Buckets literal_, normalized_;
};

}  // namespace ddpt
