#include "core/text/byte_symbols.h"

#include <array>

#include "core/text/unicode.h"

namespace ddpt {
namespace {

constexpr char32_t kFirstMoved = 0x100;
constexpr int kMovedCount = 68;

constexpr bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

struct Tables {
  std::array<char32_t, 256> symbols{};
  std::array<int16_t, kFirstMoved + kMovedCount> bytes{};  // by symbol; -1: no symbol
};

constexpr Tables MakeTables() {
  Tables tables;
  tables.bytes.fill(-1);
  char32_t moved = kFirstMoved;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t symbol = StandsForItself(byte) ? byte : moved++;
    tables.symbols[byte] = symbol;
    tables.bytes[symbol] = byte;
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

}  // namespace

char32_t ByteSymbol(uint8_t byte) { return kTables.symbols[byte]; }

std::string SymbolsOfBytes(std::string_view bytes) {
  std::string token;
  for (const char byte : bytes) AppendUtf8(ByteSymbol(static_cast<uint8_t>(byte)), &token);
  return token;
}

std::string BytesOfSymbols(std::string_view token) {
  std::string bytes;
  for (std::string_view rest = token; !rest.empty();) {
    const Utf8Char next = NextChar(rest);
    if (next.code >= kTables.bytes.size() || kTables.bytes[next.code] < 0) {
      return std::string(token);
    }
    bytes += static_cast<char>(kTables.bytes[next.code]);
    rest.remove_prefix(next.length);
  }
  return bytes;
}

}  // namespace ddpt
