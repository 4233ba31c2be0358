#include "core/text/stream_decoder.h"

#include <utility>

#include "core/text/unicode.h"

namespace ddpt {

std::string StreamDecoder::Push(uint32_t id) {
  if (skip_special_ && tokenizer_->is_special(id)) return "";
  pending_ += tokenizer_->TokenBytes(id);
  std::string text;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Char next = NextChar(rest);
    if (next.state == Utf8Char::kIncomplete) break;
    if (next.code == '\t' && tokenizer_->options().spaces_as_tabs) {
      text += "    ";
    } else {
      AppendUtf8(next.code, &text);
    }
    rest.remove_prefix(next.length);
  }
  pending_ = std::string(rest);
  return text;
}

std::string StreamDecoder::Flush() { return ReplaceInvalidUtf8(std::exchange(pending_, "")); }

}  // namespace ddpt
