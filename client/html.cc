#include "client/html.h"

#include "absl/strings/str_replace.h"
#include "core/base/status.h"

namespace ddpt {

std::string EscapeHtml(std::string_view text) {
  return absl::StrReplaceAll(
      Piece(text),
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

}  // namespace ddpt
