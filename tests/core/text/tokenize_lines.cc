// tokenize-lines DIRECTORY [--special]: reads one JSON string a line and writes [ids, text of the
// ids] a line, by ddpt::Tokenizer; with --special the checkpoint's tokens stand around each string.
// For tokenizer_parity_test.py.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/text/tokenizer.h"

int main(int argc, char** argv) {
  const bool special = argc == 3 && argv[2] == std::string_view("--special");
  if (argc != 2 && !special) {
    std::cerr << "usage: tokenize-lines DIRECTORY [--special]\n";
    return 2;
  }
  const auto tokenizer = ddpt::Tokenizer::Load(argv[1]);
  if (!tokenizer.ok()) {
    std::cerr << tokenizer.status() << "\n";
    return 1;
  }
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    const auto text = nlohmann::json::parse(line).get<std::string>();
    const auto ids = (*tokenizer)->Encode(text, {.add_special = special});
    if (!ids.ok()) {
      std::cerr << ids.status() << "\n";
      return 1;
    }
    std::cout << nlohmann::json{*ids, (*tokenizer)->Decode(*ids, /*skip_special=*/false)} << "\n";
  }
}
