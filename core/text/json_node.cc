#include "core/text/json_node.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr uint64_t kFileLimit = 64 << 20;

}  // namespace

absl::StatusOr<JsonNode> JsonNode::Load(const std::string& path) {
  DDPT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kFileLimit));
  auto document = std::make_shared<Document>();
  document->path = path;
  document->root = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  JsonNode root(document, &document->root, "");
  if (document->root.is_discarded()) return root.Error("not valid JSON");
  if (!document->root.is_object()) return root.WrongType("an object");
  return root;
}

absl::StatusOr<JsonNode> JsonNode::LoadIfExists(const std::string& path) {
  auto loaded = Load(path);
  if (!absl::IsNotFound(loaded.status())) return loaded;
  auto document = std::make_shared<Document>();
  document->path = path;
  return JsonNode(document, &document->root, "");
}

JsonNode JsonNode::Get(std::string_view key) const {
  std::string where = where_.empty() ? std::string(key) : absl::StrCat(where_, ".", Piece(key));
  const nlohmann::json* child = nullptr;
  if (IsObject()) {
    const auto found = value_->find(key);
    if (found != value_->end()) child = &*found;
  }
  return JsonNode(document_, child, std::move(where));
}

absl::StatusOr<std::string> JsonNode::String() const {
  if (!IsString()) return WrongType("a string");
  return value_->get<std::string>();
}

absl::StatusOr<std::string> JsonNode::StringOrEmpty() const {
  if (IsNull()) return "";
  return String();
}

absl::StatusOr<bool> JsonNode::Bool(bool fallback) const {
  if (IsNull()) return fallback;
  if (!value_->is_boolean()) return WrongType("a boolean");
  return value_->get<bool>();
}

absl::StatusOr<uint32_t> JsonNode::Id() const {
  if (value_ == nullptr || !value_->is_number_unsigned()) return WrongType("a token id");
  const auto id = value_->get<uint64_t>();
  if (id > kMaxTokenId) return Error(absl::StrCat("id ", id, " is over the limit ", kMaxTokenId));
  return static_cast<uint32_t>(id);
}

absl::StatusOr<std::vector<JsonNode>> JsonNode::Elements() const {
  std::vector<JsonNode> elements;
  if (IsNull()) return elements;
  if (!IsArray()) return WrongType("an array");
  elements.reserve(value_->size());
  for (const nlohmann::json& element : *value_) {
    elements.push_back(
        JsonNode(document_, &element, absl::StrCat(where_, "[", elements.size(), "]")));
  }
  return elements;
}

absl::StatusOr<std::vector<std::pair<std::string, JsonNode>>> JsonNode::Members() const {
  std::vector<std::pair<std::string, JsonNode>> members;
  if (IsNull()) return members;
  if (!IsObject()) return WrongType("an object");
  members.reserve(value_->size());
  for (const auto& [key, value] : value_->items()) {
    members.emplace_back(key, JsonNode(document_, &value, absl::StrCat(where_, "[\"", key, "\"]")));
  }
  return members;
}

absl::Status JsonNode::Error(std::string_view problem) const {
  return absl::InvalidArgumentError(
      absl::StrCat(document_->path, ": ", where_, where_.empty() ? "" : ": ", Piece(problem)));
}

absl::Status JsonNode::WrongType(std::string_view wanted) const {
  if (IsNull()) return Error(absl::StrCat("missing; must be ", Piece(wanted)));
  std::string shown =
      value_->dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
  if (shown.size() > 40) shown = shown.substr(0, 40) + "...";
  return Error(absl::StrCat(shown, " is not ", Piece(wanted)));
}

}  // namespace ddpt
