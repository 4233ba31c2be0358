#include "core/model/config_reader.h"

namespace ddpt {

using Json = nlohmann::json;

const Json* ConfigReader::Find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<int64_t> ConfigReader::Integer(const char* key) {
  const Json* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer() ||
      (value->is_number_unsigned() && value->get<uint64_t>() > uint64_t{1} << 62)) {
    Fail(key, absl::StrCat(value->dump(-1, ' ', true), " is not an integer"));
    return std::nullopt;
  }
  return value->get<int64_t>();
}

int64_t ConfigReader::Required(const char* key) {
  const std::optional<int64_t> value = Integer(key);
  if (!value) Fail(key, "is missing");
  return value.value_or(0);
}

double ConfigReader::Number(const char* key, double fallback) {
  const Json* value = Find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) Fail(key, "is not a number");
  return value->is_number() ? value->get<double>() : fallback;
}

bool ConfigReader::Bool(const char* key, bool fallback) {
  const Json* value = Find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) Fail(key, "is neither true nor false");
  return value->is_boolean() ? value->get<bool>() : fallback;
}

std::string ConfigReader::Text(const char* key, std::string_view fallback) {
  const Json* value = Find(key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) Fail(key, "is not a text");
  return value->is_string() ? value->get<std::string>() : std::string(fallback);
}

void ConfigReader::Demand(const char* key, const Json& wanted) {
  const Json* value = Find(key);
  if (value == nullptr || *value == wanted) return;
  Fail(key, absl::StrCat(value->dump(-1, ' ', true), ": only ", wanted.dump(), " is supported"));
}

void ConfigReader::Fail(const char* key, const std::string& problem) {
  if (!status_.ok()) return;
  status_ = absl::InvalidArgumentError(absl::StrCat(prefix_, key, ": ", problem));
}

absl::Status CheckToken(const char* key, const std::optional<int64_t>& id, int64_t vocabulary) {
  if (!id) return absl::InvalidArgumentError(absl::StrCat(key, ": is missing"));
  if (*id >= 0 && *id < vocabulary) return absl::OkStatus();
  return OutsideLimit(key, *id, absl::StrCat("in 0..", vocabulary - 1, ", the vocabulary"));
}

}  // namespace ddpt
