#include "core/text/spec_builder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/text/byte_symbols.h"

namespace ddpt {

absl::Status SpecBuilder::SetVocab(const JsonNode& vocab) {
  DDPT_ASSIGN_OR_RETURN(const auto members, vocab.Members());
  spec_.vocab.reserve(members.size());
  for (const auto& [token, node] : members) {
    DDPT_ASSIGN_OR_RETURN(const uint32_t id, node.Id());
    const auto [owner, inserted] = owners_.try_emplace(id, token);
    if (!inserted) {
      return node.Error(absl::StrCat("id ", id, " is that of \"", owner->second, "\" too"));
    }
    spec_.vocab[token] = id;
  }
  for (int byte = 0; byte < 256; ++byte) {
    const std::string symbol = SymbolsOfBytes(std::string(1, static_cast<char>(byte)));
    const auto found = spec_.vocab.find(symbol);
    if (found == spec_.vocab.end()) {
      return vocab.Error(absl::StrCat("no token for byte ", byte, ", \"", symbol, "\""));
    }
    spec_.byte_ids[byte] = found->second;
  }
  return absl::OkStatus();
}

absl::Status SpecBuilder::AddMerge(std::string_view left, std::string_view right) {
  std::array<uint32_t, 3> ids;
  const std::string tokens[] = {std::string(left), std::string(right),
                                absl::StrCat(Piece(left), Piece(right))};
  for (int i = 0; i < 3; ++i) {
    const auto found = spec_.vocab.find(tokens[i]);
    if (found == spec_.vocab.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("token \"", tokens[i], "\" is not in the vocabulary"));
    }
    ids[i] = found->second;
  }
  spec_.merges.push_back({ids[0], ids[1], ids[2]});
  return absl::OkStatus();
}

absl::Status SpecBuilder::AddToken(const JsonNode& node, AddedToken token) {
  if (token.content.empty()) return node.Error("the token is empty");
  if (const auto found = spec_.vocab.find(token.content);
      found != spec_.vocab.end() && found->second != token.id) {
    return node.Error(absl::StrCat("\"", token.content, "\" has id ", token.id, " here and ",
                                   found->second, " in the vocabulary"));
  }
  if (!added_.try_emplace(token.content, token.id).second) {
    return node.Error(absl::StrCat("\"", token.content, "\" is listed twice"));
  }
  const auto [owner, inserted] = owners_.try_emplace(token.id, token.content);
  if (!inserted && owner->second != token.content) {
    return node.Error(absl::StrCat("id ", token.id, " is that of \"", owner->second, "\" too"));
  }
  spec_.added.push_back(std::move(token));
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> SpecBuilder::IdOf(const JsonNode& node, const std::string& token) const {
  for (const auto* map : {&added_, &spec_.vocab}) {
    if (const auto found = map->find(token); found != map->end()) return found->second;
  }
  return node.Error(absl::StrCat("\"", token, "\" is neither in the vocabulary nor added"));
}

absl::StatusOr<std::string> TokenContent(const JsonNode& node) {
  return node.IsObject() ? node.Get("content").String() : node.String();
}

absl::StatusOr<AddedToken> ReadAddedToken(const JsonNode& node, bool special) {
  AddedToken token;
  DDPT_ASSIGN_OR_RETURN(token.content, TokenContent(node));
  DDPT_ASSIGN_OR_RETURN(token.special, node.Get("special").Bool(special));
  DDPT_ASSIGN_OR_RETURN(token.normalized, node.Get("normalized").Bool(!token.special));
  DDPT_ASSIGN_OR_RETURN(token.lstrip, node.Get("lstrip").Bool(false));
  DDPT_ASSIGN_OR_RETURN(token.rstrip, node.Get("rstrip").Bool(false));
  DDPT_ASSIGN_OR_RETURN(token.single_word, node.Get("single_word").Bool(false));
  return token;
}

}  // namespace ddpt
