#include "core/base/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "nlohmann/json.hpp"

namespace ddpt {
namespace {

using nlohmann::json;

constexpr char kMetadataKey[] = "__metadata__";
constexpr uint64_t kMaxSize = std::numeric_limits<int64_t>::max();

constexpr std::pair<std::string_view, uint64_t> kElementBytes[] = {
    {"F64", 8},     {"I64", 8},     {"U64", 8},  {"F32", 4}, {"I32", 4},
    {"U32", 4},     {"F16", 2},     {"BF16", 2}, {"I16", 2}, {"U16", 2},
    {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"I8", 1},   {"U8", 1},  {"BOOL", 1}};

template <typename... Pieces>
absl::Status Lie(const Pieces&... pieces) {
  return absl::InvalidArgumentError(absl::StrCat(pieces...));
}

// As much of a text from the file as an error message can carry.
std::string Shown(const std::string& text) {
  constexpr size_t kShown = 128;
  return text.size() <= kShown ? text : text.substr(0, kShown) + "...";
}

std::string TensorNamed(const std::string& name) {
  return absl::StrCat("tensor \"", Shown(name), "\": ");
}

std::optional<DataType> ReadableType(std::string_view name) {
  for (const DataType dtype : {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16}) {
    if (name == SafetensorsTypeName(dtype)) return dtype;
  }
  return std::nullopt;
}

// The members of one entry as they stand in the header.
struct RawEntry {
  std::optional<std::string> dtype;
  std::optional<std::vector<uint64_t>> shape;
  std::optional<std::vector<uint64_t>> data_offsets;
};

absl::StatusOr<SafetensorsEntry> CheckEntry(const RawEntry& raw, uint64_t data_bytes) {
  if (!raw.dtype.has_value()) return Lie("its entry has no dtype");
  if (!raw.shape.has_value()) return Lie("its entry has no shape");
  if (!raw.data_offsets.has_value()) return Lie("its entry has no data_offsets");
  const auto* known = std::ranges::find(kElementBytes, std::string_view(*raw.dtype),
                                        &std::pair<std::string_view, uint64_t>::first);
  if (known == std::end(kElementBytes)) {
    return Lie("its dtype \"", Shown(*raw.dtype), "\" is unknown");
  }
  if (raw.data_offsets->size() != 2) return Lie("its data_offsets are not two offsets");
  SafetensorsEntry entry;
  entry.dtype = ReadableType(*raw.dtype);
  entry.shape.assign(raw.shape->begin(), raw.shape->end());
  entry.begin = raw.data_offsets->front();
  entry.end = raw.data_offsets->back();
  const std::string offsets = absl::StrCat("its data_offsets ", entry.begin, "..", entry.end);
  if (entry.begin > entry.end) return Lie(offsets, " run backwards");
  if (entry.end > data_bytes) return Lie(offsets, " leave the ", data_bytes, " bytes of data");
  DDPT_ASSIGN_OR_RETURN(const uint64_t count, ElementCount(entry.shape, kMaxSize / 8));
  if (count * known->second != entry.end - entry.begin) {
    return Lie("its shape ", ShapeString(entry.shape), " of ", *raw.dtype, " takes ",
               count * known->second, " bytes, ", offsets, " hold ", entry.end - entry.begin);
  }
  return entry;
}

// Follows the JSON parser through the one structure a header may have:
//   {name: {"dtype": string, "shape": [sizes], "data_offsets": [begin, end]}, ...}.
// Every event that has no place there ends the parse.
class HeaderReader final : public json::json_sax_t {
 public:
  explicit HeaderReader(uint64_t data_bytes) : data_bytes_(data_bytes) {}

  absl::Status status() const { return status_; }
  SafetensorsHeader TakeHeader() { return std::move(header_); }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool value) override { return Unexpected(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return Unexpected(absl::StrCat(value)); }
  bool number_float(number_float_t, const string_t& text) override { return Unexpected(text); }
  bool binary(binary_t&) override { return Unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (depth_ != kInArray || value > kMaxSize) return Unexpected(absl::StrCat(value));
    if (array_->size() == kMaxSafetensorsRank) {
      return Fail(Where(), "its ", member_, " has more than ", kMaxSafetensorsRank, " elements");
    }
    array_->push_back(value);
    return true;
  }

  bool string(string_t& value) override {
    if (depth_ != kInEntry) return Unexpected(value);
    if (InMetadata()) return header_.metadata.emplace(member_, std::move(value)).second;
    if (member_ != "dtype") return Unexpected(value);
    raw_.dtype = std::move(value);
    return true;
  }

  bool start_object(size_t) override {
    if (depth_ >= kInEntry) return Unexpected("an object");
    ++depth_;
    raw_ = {};
    members_.clear();
    return true;
  }

  bool end_object() override {
    if (depth_-- == kInEntry && !InMetadata()) return FinishEntry();
    return true;
  }

  bool start_array(size_t) override {
    if (depth_ != kInEntry || InMetadata() || member_ == "dtype") return Unexpected("an array");
    array_ = &(member_ == "shape" ? raw_.shape : raw_.data_offsets).emplace();
    ++depth_;
    return true;
  }

  bool end_array() override {
    --depth_;
    return true;
  }

  bool key(string_t& key) override {
    std::set<std::string>& seen = depth_ == kInHeader ? names_ : members_;
    if (!seen.insert(key).second) return Fail("the header has \"", Shown(key), "\" twice");
    (depth_ == kInHeader ? name_ : member_) = std::move(key);
    if (depth_ == kInHeader) return true;
    if (InMetadata() || member_ == "dtype" || member_ == "shape" || member_ == "data_offsets") {
      return true;
    }
    return Fail(Where(), "its entry has the unknown member \"", Shown(member_), "\"");
  }

  bool parse_error(size_t position, const std::string&, const json::exception&) override {
    return Fail("the header is not valid JSON at byte ", position);
  }

 private:
  enum Depth { kOutside, kInHeader, kInEntry, kInArray };

  bool InMetadata() const { return name_ == kMetadataKey; }
  std::string Where() const { return TensorNamed(name_); }

  template <typename... Pieces>
  bool Fail(const Pieces&... pieces) {
    status_ = Lie(pieces...);
    return false;
  }

  bool Unexpected(const std::string& value) {
    if (depth_ == kOutside) return Fail("the header is not a JSON object");
    if (InMetadata()) {
      return depth_ == kInHeader ? Fail(kMetadataKey, " is not an object")
                                 : Fail(kMetadataKey, " \"", Shown(member_), "\" is not a string");
    }
    if (depth_ == kInHeader) return Fail(Where(), "its entry is not an object");
    if (member_ == "dtype") return Fail(Where(), "its dtype is not a string");
    if (member_ == "data_offsets") return Fail(Where(), "its data_offsets are not two offsets");
    if (depth_ == kInEntry) return Fail(Where(), "its shape is not an array");
    return Fail(Where(), "its shape has the dimension ", Shown(value), ", which is no size");
  }

  bool FinishEntry() {
    if (header_.entries.size() == kMaxSafetensorsTensors) {
      return Fail("the header has more than ", kMaxSafetensorsTensors, " tensors");
    }
    auto entry = CheckEntry(raw_, data_bytes_);
    if (!entry.ok()) return Fail(Where(), entry.status().message());
    entry->name = name_;
    header_.entries.push_back(*std::move(entry));
    return true;
  }

  const uint64_t data_bytes_;
  int depth_ = kOutside;
  std::string name_, member_;
  std::set<std::string> names_, members_;
  RawEntry raw_;
  std::vector<uint64_t>* array_ = nullptr;
  SafetensorsHeader header_;
  absl::Status status_;
};

absl::Status SortContiguous(std::vector<SafetensorsEntry>& entries, uint64_t data_bytes) {
  std::ranges::sort(entries, [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t end = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != end) {
      return Lie(TensorNamed(entry.name), "its data begins at ", entry.begin,
                 entry.begin < end ? ", inside the tensor before it, which ends at "
                                   : ", after a hole: the tensor before it ends at ",
                 end);
    }
    end = entry.end;
  }
  if (end != data_bytes) {
    return Lie("the tensors end at ", end, " of ", data_bytes, " bytes of data");
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view SafetensorsTypeName(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat32:
      return "F32";
    case DataType::kFloat16:
      return "F16";
    case DataType::kBFloat16:
      return "BF16";
  }
  return "unknown";
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view text,
                                                         uint64_t data_bytes) {
  HeaderReader reader(data_bytes);
  json::sax_parse(text.begin(), text.end(), &reader);
  DDPT_RETURN_IF_ERROR(reader.status());
  SafetensorsHeader header = reader.TakeHeader();
  DDPT_RETURN_IF_ERROR(SortContiguous(header.entries, data_bytes));
  return header;
}

}  // namespace ddpt
