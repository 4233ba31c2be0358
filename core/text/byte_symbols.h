#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ddpt {

// The spelling of bytes in the files of byte-level vocabularies (GPT-2): printable Latin-1 bytes
// stand for themselves, the other 68 are the characters from U+0100 on; space is "Ġ" (U+0120).

char32_t ByteSymbol(uint8_t byte);

// One symbol per byte, as UTF-8.
std::string SymbolsOfBytes(std::string_view bytes);

// The inverse. A token with a character that is no symbol (an added one, e.g. "<｜end｜>") is its
// own bytes.
std::string BytesOfSymbols(std::string_view token);

}  // namespace ddpt
