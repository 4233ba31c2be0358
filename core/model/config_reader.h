#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ddpt {

// Reads keys of one object of a config.json and keeps the first problem: INVALID_ARGUMENT "<key>:
// <problem>". What is null counts as absent. Not thread-safe.
class ConfigReader {
 public:
  // `object` must outlive the reader; `prefix` stands before each key in errors.
  ConfigReader(const nlohmann::json& object, std::string prefix)
      : object_(object), prefix_(std::move(prefix)) {}

  std::optional<int64_t> Integer(const char* key);
  int64_t Required(const char* key);
  double Number(const char* key, double fallback);
  bool Bool(const char* key, bool fallback);
  std::string Text(const char* key, std::string_view fallback);
  // Where the key is there, its value must be `wanted`.
  void Demand(const char* key, const nlohmann::json& wanted);

  void Fail(const char* key, const std::string& problem);
  const absl::Status& status() const { return status_; }

 private:
  const nlohmann::json* Find(const char* key) const;

  const nlohmann::json& object_;
  const std::string prefix_;
  absl::Status status_;
};

// INVALID_ARGUMENT "<key>: <value> is not <limit>".
absl::Status OutsideLimit(const std::string& key, const auto& value, const std::string& limit) {
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", value, " is not ", limit));
}

// A token id must be there and inside the vocabulary.
absl::Status CheckToken(const char* key, const std::optional<int64_t>& id, int64_t vocabulary);

}  // namespace ddpt
