#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ddpt {

// A value of a JSON file that knows where it stands: every error is INVALID_ARGUMENT
// "<file>: <key.key[index]>: <problem>". Copies share the document. Immutable.
class JsonNode {
 public:
  // Reads and parses a file of at most 64 MiB. Blocks.
  static absl::StatusOr<JsonNode> Load(const std::string& path);
  // The same, or a null node where there is no such file.
  static absl::StatusOr<JsonNode> LoadIfExists(const std::string& path);

  // The value of a key; a null node where this is no object or has no such key.
  JsonNode Get(std::string_view key) const;
  // True for JSON's null and for what is absent.
  bool IsNull() const { return value_ == nullptr || value_->is_null(); }
  bool IsString() const { return value_ != nullptr && value_->is_string(); }
  bool IsObject() const { return value_ != nullptr && value_->is_object(); }
  bool IsArray() const { return value_ != nullptr && value_->is_array(); }

  absl::StatusOr<std::string> String() const;
  // "" where null.
  absl::StatusOr<std::string> StringOrEmpty() const;
  // `fallback` where null.
  absl::StatusOr<bool> Bool(bool fallback) const;
  // A token id: 0 .. kMaxTokenId.
  absl::StatusOr<uint32_t> Id() const;
  // The elements of an array, or none where null.
  absl::StatusOr<std::vector<JsonNode>> Elements() const;
  // The members of an object in the order of their keys, or none where null.
  absl::StatusOr<std::vector<std::pair<std::string, JsonNode>>> Members() const;

  absl::Status Error(std::string_view problem) const;

  static constexpr uint32_t kMaxTokenId = (1u << 20) - 1;

 private:
  struct Document {
    std::string path;
    nlohmann::json root;
  };

  JsonNode(std::shared_ptr<const Document> document, const nlohmann::json* value, std::string where)
      : document_(std::move(document)), value_(value), where_(std::move(where)) {}

  absl::Status WrongType(std::string_view wanted) const;

  std::shared_ptr<const Document> document_;
  const nlohmann::json* value_;
  std::string where_;
};

}  // namespace ddpt
