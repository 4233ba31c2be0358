#pragma once

#include <cstdint>
#include <string>

#include "core/text/tokenizer.h"

namespace ddpt {

// Text of a token stream, id by id. Whatever is returned is whole characters: bytes that may still
// become one are held back (three at most). Joined, the pieces are Tokenizer::Decode of all ids.
// One per stream; not thread-safe. The tokenizer is not owned.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer* tokenizer, bool skip_special = true)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  // The characters that `id` completes, often none. An id without a token gives none.
  std::string Push(uint32_t id);

  // At the end: U+FFFD where bytes are still held back, else "". The decoder is as new afterwards.
  std::string Flush();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace ddpt
