#include "client/evaluation_file.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kFileLimit = uint64_t{1} << 30;

std::string Text(const Json& json, const char* key) { return json.at(key).get<std::string>(); }

EvaluationFile FromJson(const Json& json) {
  EvaluationFile evaluation{.model = Text(json, "model"),
                            .dataset_digest = Text(json, "dataset_digest"),
                            .language = Text(json, "language"),
                            .resamples = json.at("resamples"),
                            .seed = json.at("seed")};
  for (const Json& contender : json.at("contenders")) {
    evaluation.contenders.push_back({Text(contender, "name"), Text(contender, "prompt")});
  }
  for (const Json& entry : json.at("table")) {
    v1::EvaluateResponse::Cell& cell = evaluation.table.emplace_back();
    cell.set_contender(Text(entry, "contender"));
    cell.set_metric(Text(entry, "metric"));
    cell.set_value(entry.at("value"));
    cell.set_low(entry.at("interval").at(0));
    cell.set_high(entry.at("interval").at(1));
  }
  for (const Json& example : json.at("examples")) {
    evaluation.examples.push_back({Text(example, "instruction"), Text(example, "code"),
                                   example.at("codes").get<std::map<std::string, std::string>>()});
  }
  return evaluation;
}

}  // namespace

absl::Status WriteEvaluationFile(const std::string& path, const EvaluationFile& evaluation) {
  Json json = {{"model", evaluation.model},       {"dataset_digest", evaluation.dataset_digest},
               {"language", evaluation.language}, {"resamples", evaluation.resamples},
               {"seed", evaluation.seed},         {"contenders", Json::array()},
               {"table", Json::array()},          {"examples", Json::array()}};
  for (const auto& [name, prompt] : evaluation.contenders) {
    json["contenders"].push_back({{"name", name}, {"prompt", prompt}});
  }
  for (const auto& cell : evaluation.table) {
    json["table"].push_back({{"contender", cell.contender()},
                             {"metric", cell.metric()},
                             {"value", cell.value()},
                             {"interval", {cell.low(), cell.high()}}});
  }
  for (const auto& [instruction, reference, codes] : evaluation.examples) {
    json["examples"].push_back(
        {{"instruction", instruction}, {"code", reference}, {"codes", codes}});
  }
  return WriteFileAtomic(path, json.dump(1) + "\n");
}

absl::StatusOr<EvaluationFile> ReadEvaluationFile(const std::string& path) {
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kFileLimit));
  try {
    return FromJson(Json::parse(bytes));
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is no file of evaluate --outcomes: ", error.what()));
  }
}

}  // namespace ddpt
