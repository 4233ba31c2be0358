#include "core/tuning/dataset.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/digest.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using Json = nlohmann::json;
using Kind = DatasetFormat::Kind;

// A JSON value inside the file and the line that it starts on.
struct Record {
  std::string_view text;
  uint64_t line;
};

std::string_view Trimmed(std::string_view text) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(Piece(text));
  return {trimmed.data(), trimmed.size()};
}

absl::Status LineError(uint64_t line, std::string_view field, std::string_view problem) {
  return FieldError("data",
                    absl::StrCat("line ", line, ", field '", Piece(field), "': ", Piece(problem)));
}

std::vector<Record> SplitLines(std::string_view bytes) {
  std::vector<Record> records;
  for (uint64_t line = 1; !bytes.empty(); ++line) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    const std::string_view text = Trimmed(bytes.substr(0, end));
    if (!text.empty()) records.push_back({text, line});
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  return records;
}

// Cuts a JSON array into its elements without parsing them, so that each is parsed alone: errors
// get a line, and memory stays that of one element.
absl::StatusOr<std::vector<Record>> SplitArray(std::string_view bytes) {
  std::vector<Record> records;
  uint64_t line = 1, start_line = 1;
  size_t depth = 0, start = 0;
  bool in_string = false, closed = false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (c == '\n') ++line;
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (closed && !absl::ascii_isspace(c))
      return LineError(line, "-", "text after the closing ']'");
    if (c == '"') in_string = true;
    const bool ends_element = depth == 1 && (c == ',' || c == ']');
    if (ends_element) {
      const std::string_view text = Trimmed(bytes.substr(start, i - start));
      if (!text.empty()) {
        records.push_back({text, start_line});
      } else if (c == ',' || !records.empty()) {
        return LineError(line, "-", "an element is missing before this separator");
      }
      start = i + 1;
    }
    if (c == '[' || c == '{') {
      if (depth == 0) start = i + 1;
      if (depth == 1) start_line = line;
      ++depth;
    } else if (c == ']' || c == '}') {
      if (--depth > 0) continue;
      if (c == '}') return LineError(line, "-", "'}' where the array ends with ']'");
      closed = true;
    }
  }
  if (!closed) return LineError(line, "-", "the array does not end; ']' is missing");
  return records;
}

absl::StatusOr<std::string> StringField(const Json& object, const std::string& field,
                                        uint64_t line) {
  const auto found = object.find(field);
  if (found == object.end()) return LineError(line, field, "is missing");
  if (!found->is_string()) {
    return LineError(line, field, absl::StrCat("is ", found->type_name(), ", not a string"));
  }
  return found->get<std::string>();
}

absl::StatusOr<TrainingExample> ReadConala(const Json& object, uint64_t line) {
  const auto rewritten = object.find("rewritten_intent");
  const bool has_rewritten = rewritten != object.end() && !rewritten->is_null();
  TrainingExample example;
  DDPT_ASSIGN_OR_RETURN(example.instruction,
                        StringField(object, has_rewritten ? "rewritten_intent" : "intent", line));
  DDPT_ASSIGN_OR_RETURN(example.code, StringField(object, "snippet", line));
  return example;
}

absl::StatusOr<TrainingExample> ReadCodeAlpaca(const Json& object, uint64_t line) {
  TrainingExample example;
  DDPT_ASSIGN_OR_RETURN(example.instruction, StringField(object, "instruction", line));
  DDPT_ASSIGN_OR_RETURN(example.code, StringField(object, "output", line));
  if (object.contains("input")) {
    DDPT_ASSIGN_OR_RETURN(const std::string input, StringField(object, "input", line));
    if (!input.empty()) absl::StrAppend(&example.instruction, "\n", input);
  }
  return example;
}

absl::StatusOr<TrainingExample> ReadNamedFields(const Json& object, const DatasetFormat& format,
                                                uint64_t line) {
  TrainingExample example;
  DDPT_ASSIGN_OR_RETURN(example.instruction, StringField(object, format.instruction_field, line));
  DDPT_ASSIGN_OR_RETURN(example.code, StringField(object, format.code_field, line));
  const auto attributes = object.find("attributes");
  if (attributes == object.end()) return example;
  if (!attributes->is_object()) {
    return LineError(line, "attributes",
                     absl::StrCat("is ", attributes->type_name(), ", not an object"));
  }
  for (const auto& [name, value] : attributes->items()) {
    DDPT_ASSIGN_OR_RETURN(example.attributes[name], StringField(*attributes, name, line));
  }
  return example;
}

absl::Status CheckText(std::string_view text, std::string_view field, uint64_t line) {
  if (Trimmed(text).empty()) return LineError(line, field, "is empty");
  if (text.size() > kMaxExampleBytes) {
    return LineError(line, field,
                     absl::StrCat(text.size(), " bytes exceed the limit of ", kMaxExampleBytes));
  }
  if (text.find('\0') != text.npos) return LineError(line, field, "contains a NUL byte");
  return absl::OkStatus();
}

absl::Status CheckExample(const TrainingExample& example, const DatasetFormat& format, Kind kind,
                          uint64_t line) {
  const bool conala = kind == Kind::kConala, alpaca = kind == Kind::kCodeAlpaca;
  DDPT_RETURN_IF_ERROR(CheckText(example.instruction,
                                 conala   ? "intent"
                                 : alpaca ? "instruction"
                                          : format.instruction_field,
                                 line));
  const absl::Status attributes = ValidateAttributes(example.attributes);
  if (!attributes.ok()) return LineError(line, "attributes", std::string(attributes.message()));
  return CheckText(example.code, conala ? "snippet" : alpaca ? "output" : format.code_field, line);
}

std::string Digest(const std::vector<TrainingExample>& examples) {
  Sha256 sha;
  for (const TrainingExample& example : examples) {
    sha.Update(absl::StrCat(example.instruction.size(), ":", example.instruction,
                            example.code.size(), ":", example.code));
    for (const auto& [name, value] : example.attributes) {
      sha.Update(absl::StrCat("+", name.size(), ":", name, value.size(), ":", value));
    }
  }
  std::string hex;
  for (const unsigned char byte : sha.Finish())
    absl::StrAppend(&hex, absl::Hex(byte, absl::kZeroPad2));
  return hex;
}

absl::Status CheckCount(uint64_t count) {
  if (count == 0) return FieldError("data", "holds no examples; at least 1 is needed");
  if (count > kMaxDatasetExamples) {
    return FieldError("data",
                      absl::StrCat(count, " examples exceed the limit of ", kMaxDatasetExamples));
  }
  return absl::OkStatus();
}

// Two texts of the longest, each character an escape of six, and as much again of what is not read.
// Parsed, a record may take a hundred times its bytes.
constexpr size_t kMaxRecordBytes = 2 << 20;

absl::StatusOr<Json> ParseObject(const Record& record) {
  if (record.text.size() > kMaxRecordBytes) {
    return LineError(record.line, "-",
                     absl::StrCat("is an example of ", record.text.size(),
                                  " bytes, above the limit of ", kMaxRecordBytes));
  }
  Json object = Json::parse(record.text, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) {
    return LineError(record.line, "-", "is not valid JSON in UTF-8");
  }
  if (!object.is_object())
    return LineError(record.line, "-", absl::StrCat("is ", object.type_name(), ", not an object"));
  return object;
}

absl::StatusOr<Kind> DetectKind(const std::vector<Record>& records) {
  if (records.empty()) return Kind::kCodeAlpaca;
  DDPT_ASSIGN_OR_RETURN(const Json first, ParseObject(records.front()));
  return first.contains("snippet") ? Kind::kConala : Kind::kCodeAlpaca;
}

// Without what makes no difference between two texts.
std::string Normalised(std::string_view text) {
  return absl::StrReplaceAll(Piece(Trimmed(text)), {{"\r\n", "\n"}, {"\r", "\n"}});
}

// The first of the examples that are the same.
struct DistinctExample {
  uint64_t index;
  std::string instruction;  // SHA-256, hexadecimal
  std::string whole;        // likewise, of instruction and code
};

std::vector<DistinctExample> DistinctExamples(const Dataset& dataset) {
  std::vector<DistinctExample> distinct;
  std::unordered_set<std::string> seen;
  for (uint64_t i = 0; i < dataset.examples.size(); ++i) {
    std::string instruction = Sha256Hex(Normalised(dataset.examples[i].instruction));
    std::string whole = Sha256Hex(instruction + Normalised(dataset.examples[i].code));
    if (!seen.insert(whole + AttributeText(dataset.examples[i].attributes)).second) continue;
    distinct.push_back({i, std::move(instruction), std::move(whole)});
  }
  return distinct;
}

// The first 52 bits of a hexadecimal hash, from 0 to below 1.
double UnitInterval(const std::string& hash) {
  return static_cast<double>(std::stoull(hash.substr(0, 13), nullptr, 16)) * 0x1p-52;
}

}  // namespace

absl::StatusOr<Dataset> ParseDataset(std::string_view bytes, const DatasetFormat& format) {
  if (bytes.size() > kMaxDatasetBytes) {
    return FieldError("data",
                      absl::StrCat(bytes.size(), " bytes exceed the limit of ", kMaxDatasetBytes));
  }
  const std::string_view body = Trimmed(bytes);
  const bool is_array = !body.empty() && body.front() == '[';
  Kind kind = format.kind == Kind::kDetect && !is_array ? Kind::kJsonLines : format.kind;
  if (kind != Kind::kJsonLines && !is_array)
    return LineError(1, "-", "a JSON array is expected, '[' is missing");

  std::vector<Record> records;
  if (kind == Kind::kJsonLines) {
    records = SplitLines(bytes);
  } else {
    DDPT_ASSIGN_OR_RETURN(records, SplitArray(bytes));
  }
  DDPT_RETURN_IF_ERROR(CheckCount(records.size()));
  if (kind == Kind::kDetect) {
    DDPT_ASSIGN_OR_RETURN(kind, DetectKind(records));
  }

  Dataset dataset;
  dataset.examples.reserve(records.size());
  for (const Record& record : records) {
    DDPT_ASSIGN_OR_RETURN(const Json object, ParseObject(record));
    absl::StatusOr<TrainingExample> example =
        kind == Kind::kConala       ? ReadConala(object, record.line)
        : kind == Kind::kCodeAlpaca ? ReadCodeAlpaca(object, record.line)
                                    : ReadNamedFields(object, format, record.line);
    if (!example.ok()) return example.status();
    DDPT_RETURN_IF_ERROR(CheckExample(*example, format, kind, record.line));
    dataset.examples.push_back(*std::move(example));
  }
  dataset.digest = Digest(dataset.examples);
  return dataset;
}

absl::StatusOr<Dataset> MakeDataset(std::vector<TrainingExample> examples) {
  DDPT_RETURN_IF_ERROR(CheckCount(examples.size()));
  for (size_t i = 0; i < examples.size(); ++i) {
    DDPT_RETURN_IF_ERROR(CheckExample(examples[i], DatasetFormat(), Kind::kJsonLines, i + 1));
  }
  Dataset dataset{.examples = std::move(examples), .digest = ""};
  dataset.digest = Digest(dataset.examples);
  return dataset;
}

absl::StatusOr<DataSplit> SplitDataset(const Dataset& dataset, double share) {
  std::vector<DistinctExample> distinct = DistinctExamples(dataset);
  std::ranges::stable_sort(distinct, {}, &DistinctExample::instruction);
  const std::string first = distinct.front().instruction, last = distinct.back().instruction;
  if (first == last) {
    return FieldError("data",
                      "holds 1 instruction; at least 2 are needed, one of them to validate");
  }
  DataSplit split;
  split.duplicates = dataset.examples.size() - distinct.size();
  for (const auto& [index, instruction, whole] : distinct) {
    const bool validates =
        instruction == first || (instruction != last && UnitInterval(instruction) < share);
    (validates ? split.validation : split.train).push_back(index);
  }
  return split;
}

absl::StatusOr<DataSplit> SplitDataset(const Dataset& train, const Dataset& validation) {
  DataSplit split;
  std::unordered_set<std::string> instructions, wholes;
  for (DistinctExample& example : DistinctExamples(train)) {
    split.train.push_back(example.index);
    instructions.insert(std::move(example.instruction));
    wholes.insert(std::move(example.whole));
  }
  uint64_t leaks = 0, first_leak = 0;
  for (const auto& [index, instruction, whole] : DistinctExamples(validation)) {
    split.validation.push_back(index);
    split.shared_instructions += instructions.contains(instruction);
    if (wholes.contains(whole) && ++leaks == 1) first_leak = index + 1;
  }
  if (leaks > 0) {
    return FieldError(
        "validation_data",
        absl::StrCat("holds ", leaks, " training examples, the first of them as example ",
                     first_leak));
  }
  split.duplicates = train.examples.size() - split.train.size() + validation.examples.size() -
                     split.validation.size();
  return split;
}

std::string SerializeDataset(const Dataset& dataset) {
  std::string lines;
  for (const TrainingExample& example : dataset.examples) {
    Json object = {{"instruction", example.instruction}, {"code", example.code}};
    if (!example.attributes.empty()) object["attributes"] = example.attributes;
    absl::StrAppend(&lines, object.dump(), "\n");
  }
  return lines;
}

}  // namespace ddpt
