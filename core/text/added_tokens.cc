#include "core/text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "core/text/unicode.h"

namespace ddpt {
namespace {

bool IsWordChar(char32_t code) { return (CharClasses(code) & kWord) != 0; }

bool StandsAlone(std::string_view text, size_t begin, size_t end) {
  const bool left = begin == 0 || !IsWordChar(LastChar(text.substr(0, begin)));
  const bool right = end == text.size() || !IsWordChar(NextChar(text.substr(end)).code);
  return left && right;
}

size_t SkipSpacesLeft(std::string_view text, size_t position) {
  while (position > 0) {
    size_t before = position - 1;
    while ((text[before] & 0xC0) == 0x80) --before;
    if ((CharClasses(NextChar(text.substr(before)).code) & kSpace) == 0) break;
    position = before;
  }
  return position;
}

size_t SkipSpacesRight(std::string_view text, size_t position) {
  while (position < text.size()) {
    const Utf8Char next = NextChar(text.substr(position));
    if ((CharClasses(next.code) & kSpace) == 0) break;
    position += next.length;
  }
  return position;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  for (const AddedToken& token : tokens_) {
    Buckets& buckets = token.normalized ? normalized_ : literal_;
    buckets[static_cast<uint8_t>(token.content[0])].push_back(&token);
  }
  for (Buckets* buckets : {&literal_, &normalized_}) {
    for (auto& bucket : *buckets) {
      std::stable_sort(bucket.begin(), bucket.end(), [](const AddedToken* a, const AddedToken* b) {
        return a->content.size() > b->content.size();
      });
    }
  }
}

std::vector<AddedTokens::Piece> AddedTokens::Split(std::string_view text) const {
  std::vector<Piece> literal, pieces;
  SplitPiece(literal_, text, &literal);
  for (const Piece& piece : literal) {
    if (piece.id.has_value()) {
      pieces.push_back(piece);
    } else {
      SplitPiece(normalized_, piece.text, &pieces);
    }
  }
  return pieces;
}

const AddedToken* AddedTokens::Match(const Buckets& buckets, std::string_view text) {
  for (const AddedToken* token : buckets[static_cast<uint8_t>(text[0])]) {
    if (text.starts_with(token->content)) return token;
  }
  return nullptr;
}

void AddedTokens::SplitPiece(const Buckets& buckets, std::string_view text,
                             std::vector<Piece>* pieces) {
  size_t done = 0;
  for (size_t position = 0; position < text.size();) {
    const AddedToken* token = Match(buckets, text.substr(position));
    if (token == nullptr) {
      ++position;
      continue;
    }
    size_t begin = position, end = position + token->content.size();
    position = end;
    if (token->single_word && !StandsAlone(text, begin, end)) continue;
    if (token->lstrip) begin = std::max(SkipSpacesLeft(text, begin), done);
    if (token->rstrip) end = SkipSpacesRight(text, end);
    if (done < begin) pieces->push_back({text.substr(done, begin - done), std::nullopt});
    pieces->push_back({text.substr(begin, end - begin), token->id});
    done = end;
  }
  if (done < text.size()) pieces->push_back({text.substr(done), std::nullopt});
}

}  // namespace ddpt
