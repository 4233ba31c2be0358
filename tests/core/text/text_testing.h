#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/tokenizer.h"

namespace ddpt {

// A path below tests/data.
std::string DataPath(std::string_view name);

// The values of a golden file of one JSON value a line.
std::vector<nlohmann::json> ReadJsonLines(const std::string& path);

// The tokenizer of a directory below tests/data; the test dies where it does not load.
std::unique_ptr<const Tokenizer> LoadTokenizer(std::string_view name,
                                               const Tokenizer::Options& options = {});

// The ids of a text that is within the limits.
std::vector<uint32_t> Ids(const Tokenizer& tokenizer, std::string_view text);

// A fresh directory with the given files, removed at the end.
class TempDirectory {
 public:
  explicit TempDirectory(const std::map<std::string, std::string>& files);
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace ddpt
