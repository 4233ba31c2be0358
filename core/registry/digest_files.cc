#include "core/registry/digest_files.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr size_t kDigestDigits = 64;

}  // namespace

bool IsDigest(std::string_view text) {
  return text.size() == kDigestDigits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

absl::Status CheckDigest(std::string_view field, std::string_view text) {
  if (IsDigest(text)) return absl::OkStatus();
  const std::string shown = absl::CHexEscape(Piece(text.substr(0, kDigestDigits)));
  return FieldError(field, absl::StrCat("\"", shown, "\" is not 64 lower-case hexadecimal digits"));
}

std::string DigestOfFile(std::string_view name, std::string_view suffix) {
  const std::string_view digest = name.substr(0, kDigestDigits);
  if (!IsDigest(digest)) return "";
  const std::string_view rest = name.substr(kDigestDigits);
  const bool own =
      rest == suffix || absl::StartsWith(Piece(rest), absl::StrCat(Piece(suffix), ".tmp."));
  return own ? std::string(digest) : "";
}

absl::Status CreateFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return absl::OkStatus();
  const bool full = error == std::errc::no_space_on_device;
  return {full ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kUnavailable,
          absl::StrCat("cannot create ", path, ": ", error.message())};
}

}  // namespace ddpt
