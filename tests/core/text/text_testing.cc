#include "tests/core/text/text_testing.h"

#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace ddpt {

std::string DataPath(std::string_view name) {
  return std::string(DDPT_TEST_DATA) + "/" + std::string(name);
}

std::vector<nlohmann::json> ReadJsonLines(const std::string& path) {
  std::vector<nlohmann::json> values;
  std::ifstream file(path, std::ios::binary);
  for (std::string line; std::getline(file, line);) values.push_back(nlohmann::json::parse(line));
  return values;
}

std::unique_ptr<const Tokenizer> LoadTokenizer(std::string_view name,
                                               const Tokenizer::Options& options) {
  auto loaded = Tokenizer::Load(DataPath(name), options);
  if (!loaded.ok()) {
    std::cerr << loaded.status() << "\n";
    std::abort();
  }
  return *std::move(loaded);
}

std::vector<uint32_t> Ids(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.Encode(text).value();
}

TempDirectory::TempDirectory(const std::map<std::string, std::string>& files) {
  std::string pattern = (std::filesystem::temp_directory_path() / "ddpt_text_XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
  for (const auto& [name, content] : files) {
    std::ofstream(path_ + "/" + name, std::ios::binary) << content;
  }
}

TempDirectory::~TempDirectory() { std::filesystem::remove_all(path_); }

}  // namespace ddpt
