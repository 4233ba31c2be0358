#include "server/tokens.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/digest.h"
#include "core/base/status.h"
#include "nlohmann/json.hpp"

namespace ddpt {
namespace {

constexpr size_t kTokenLimit = 1024;
constexpr size_t kNameLimit = 64;
constexpr size_t kHexDigits = 64;
constexpr absl::string_view kScheme = "Bearer ";

bool IsDigest(absl::string_view text) {
  return text.size() == kHexDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isxdigit(c); });
}

bool IsName(absl::string_view text) {
  return text.size() <= kNameLimit && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-' || c == '@';
         });
}

absl::StatusOr<Token> ParseToken(absl::string_view line) {
  const std::vector<absl::string_view> parts =
      absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (parts.size() != 3) {
    return absl::InvalidArgumentError("is not SHA-256-IN-HEX SCOPE[,SCOPE...] NAME");
  }
  if (!IsDigest(parts[0])) {
    return absl::InvalidArgumentError("does not begin with a SHA-256 of 64 hexadecimal digits");
  }
  Token token{.digest = absl::HexStringToBytes(parts[0]), .name = std::string(parts[2])};
  for (const absl::string_view name : absl::StrSplit(parts[1], ',')) {
    const auto scope = ParseScope({name.data(), name.size()});
    if (!scope)
      return absl::InvalidArgumentError("has a scope other than read, sample, train, admin");
    token.scopes.push_back(*scope);
  }
  if (!IsName(parts[2])) {
    return absl::InvalidArgumentError(
        absl::StrCat("has a name that is not 1..", kNameLimit, " of letters, digits and \"._-@\""));
  }
  return token;
}

bool Same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

absl::StatusOr<std::vector<Token>> ParseTokens(std::string_view text) {
  std::vector<Token> tokens;
  size_t number = 0;
  for (const absl::string_view raw : absl::StrSplit(Piece(text), '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty() || line.front() == '#') continue;
    absl::StatusOr<Token> token = ParseToken(line);
    if (!token.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " ", token.status().message()));
    }
    if (tokens.size() == kTokenLimit) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " is one more than the limit of ", kTokenLimit, " tokens"));
    }
    const auto same = [&](const Token& other) { return other.digest == token->digest; };
    if (std::any_of(tokens.begin(), tokens.end(), same)) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " has the SHA-256 of another"));
    }
    tokens.push_back(*std::move(token));
  }
  return tokens;
}

absl::StatusOr<std::unique_ptr<TokenFile>> TokenFile::Open(const std::string& path,
                                                           const Log& log) {
  std::unique_ptr<TokenFile> file(new TokenFile(path, log));
  DDPT_RETURN_IF_ERROR(file->Load());
  return file;
}

absl::Status TokenFile::Load() {
  DDPT_ASSIGN_OR_RETURN(const auto texts, file_.Poll());
  if (!texts) return absl::OkStatus();
  auto tokens = ParseTokens(texts->front());
  DDPT_RETURN_IF_ERROR(Annotate(tokens.status(), path_));
  log_.Info("tokens_loaded", {{"file", path_}, {"tokens", tokens->size()}});
  tokens_ = std::make_shared<const std::vector<Token>>(*std::move(tokens));
  return absl::OkStatus();
}

absl::StatusOr<std::string> TokenFile::Check(std::string_view authorization,
                                             std::string_view method, Scope scope) {
  std::shared_ptr<const std::vector<Token>> tokens;
  {
    std::lock_guard lock(mutex_);
    if (const absl::Status status = Load(); !status.ok()) {
      log_.Warn("tokens_not_reloaded", {{"message", std::string(status.message())}});
    }
    tokens = tokens_;
  }
  absl::string_view given = Piece(authorization);
  if (!absl::StartsWithIgnoreCase(given, kScheme)) {
    return absl::UnauthenticatedError("this server asks for \"authorization: Bearer TOKEN\"");
  }
  given.remove_prefix(kScheme.size());
  Sha256 sha256;
  sha256.Update({given.data(), given.size()});
  const std::string digest = sha256.Finish();
  const Token* found = nullptr;
  for (const Token& token : *tokens) {
    if (Same(token.digest, digest)) found = &token;
  }
  if (found == nullptr) return absl::UnauthenticatedError("the token is none of this server's");
  if (std::count(found->scopes.begin(), found->scopes.end(), scope) == 0) {
    return absl::PermissionDeniedError(
        absl::StrCat(Piece(method), " needs the scope \"", Piece(ScopeName(scope)),
                     "\", which the token of \"", found->name, "\" has not"));
  }
  return found->name;
}

}  // namespace ddpt
