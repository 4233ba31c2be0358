#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/evaluation/syntax_tree.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace ddpt {

// The texts of a file of at most 256 MiB, JSON Lines: each a string, or an object with the string
// `field`. Blocks. Errors: those of ReadFile; InvalidArgument, the line that is neither.
absl::StatusOr<std::vector<std::string>> ReadTexts(const std::string& path,
                                                   const std::string& field = "code");

// An error that names both files unless they have as many examples, `count` and `wanted`, at least
// one.
absl::Status CheckSameLength(const std::string& path, size_t count, const std::string& other,
                             size_t wanted);

// --language, one of `languages`.
CLI::Option* AddLanguageFlag(CLI::App& command, std::string& language,
                             const std::vector<std::string>& languages);

}  // namespace ddpt
