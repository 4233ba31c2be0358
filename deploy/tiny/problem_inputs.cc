#include "deploy/tiny/problem_inputs.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "deploy/tiny/draws.h"

namespace ddpt::tiny {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint32_t kInputStage = 64;

class InputWriter {
 public:
  InputWriter(const Request& request, uint64_t index)
      : request_(request),
        draws_({.sample = index, .stage = kInputStage}),
        // "The first N" must have more to choose from.
        size_(Has("number") ? 100 + draws_.Below(10) : 6 + draws_.Below(6)) {}

  ProblemInputs Write() {
    ProblemInputs inputs{
        .arguments = Json::array(), .files = Json::object(), .tables = Json::object()};
    for (const std::string& kind : request_.intent->params) {
      Json value = Value(kind);
      inputs.tables.update(Tables(kind, value));
      inputs.arguments.push_back(std::move(value));
    }
    if (Has("file") && draws_.Below(4) != 0)
      inputs.files[absl::StrCat(Slot("file").first, "_", Slot("file").second, ".txt")] = Lines();
    return inputs;
  }

 private:
  bool Has(const std::string& kind) const { return request_.values.contains(kind); }
  const SlotValue& Slot(const std::string& kind) const { return request_.values.at(kind); }

  int Number() {
    const int about =
        Has("number") ? std::atoi((Slot("number").first + Slot("number").second).c_str()) : 50;
    return std::max(0, about - 20 + static_cast<int>(draws_.Below(41)));
  }

  // The request's word every third time.
  std::string Word() {
    static const std::vector<std::string> kOthers = {"amber", "level", "Quiet",  "noon",
                                                     "stone", "Eve",   "bright", "ox"};
    if (Has("word") && draws_.Below(3) == 0) return Slot("word").first + Slot("word").second;
    return draws_.Of(kOthers);
  }

  Json Value(const std::string& kind) {
    if (kind == "text") return Text();
    Json value = kind == "map" ? Json::object() : Json::array();
    if (kind == "map" && Has("word")) value[Slot("word").first + Slot("word").second] = Number();
    for (uint32_t i = 0; i < size_; ++i) {
      if (kind == "list") value.push_back(Number());
      if (kind == "words")
        value.push_back(absl::StrCat(Word(), draws_.Below(2) == 0 ? "" : Word()));
      if (kind == "map") value[absl::StrCat(draws_.Below(90) + 10, "-", Word())] = Number();
      if (kind == "table") value.push_back(Row(i));
    }
    return value;
  }

  Json Row(uint32_t id) {
    Json row = {{"id", id}};
    if (!Has("column")) return row;
    const std::string column = absl::StrCat(Slot("column").first, "_", Slot("column").second);
    if (Has("word")) {
      row[column] = Word();
    } else {
      row[column] = Number();
    }
    return row;
  }

  std::string Text() {
    if (draws_.Below(3) == 0) return "level";
    std::string text = draws_.Below(2) == 0 ? "  " : "";
    for (uint32_t i = 0; i < size_; ++i)
      absl::StrAppend(&text, Word(), draws_.Below(3) == 0 ? ", " : " ");
    return text;
  }

  std::string Lines() {
    std::string text;
    for (uint32_t i = 0; i < size_; ++i) absl::StrAppend(&text, Word(), " ", Word(), "\n");
    return text;
  }

  // What SQL knows a parameter as.
  Json Tables(const std::string& kind, const Json& value) const {
    if (kind == "text") return Json::object();
    const SlotValue& slot = Slot(kind);
    if (kind == "table") return {{absl::StrCat(slot.first, "_", slot.second), value}};
    Json rows = Json::array();
    for (const auto& [key, item] : value.items()) {
      Json row;
      if (kind == "map") row["id"] = key;
      row[slot.second] = item;
      rows.push_back(row);
    }
    return {{slot.first, rows}};
  }

  const Request& request_;
  Draws draws_;
  const uint32_t size_;
};

}  // namespace

ProblemInputs DrawInputs(const Request& request, uint64_t index) {
  return InputWriter(request, index).Write();
}

}  // namespace ddpt::tiny
