#include "client/evaluate_prompts.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/evaluation_file.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/prompt_file.h"
#include "client/session.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/tuning/dataset.h"

namespace ddpt {
namespace {

using Table = google::protobuf::RepeatedPtrField<v1::EvaluateResponse::Cell>;

nlohmann::ordered_json ToJson(const Table& table) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& cell : table) {
    json[cell.contender()][cell.metric()] = {{"value", cell.value()},
                                             {"interval", {cell.low(), cell.high()}}};
  }
  return json;
}

// A line for each column, since there are more of these than contenders.
void Print(const Table& table, std::ostream& out) {
  std::vector<std::string> contenders, metrics;
  std::map<std::pair<std::string, std::string>, std::string> cells;
  for (const auto& cell : table) {
    const auto note = [](std::vector<std::string>& names, const std::string& name) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    };
    note(contenders, cell.contender());
    note(metrics, cell.metric());
    cells[{cell.metric(), cell.contender()}] =
        absl::StrFormat("%.4f [%.4f, %.4f]", cell.value(), cell.low(), cell.high());
  }
  out << absl::StrFormat("%-24s", "");
  for (const std::string& contender : contenders) out << absl::StrFormat("  %-24s", contender);
  for (const std::string& metric : metrics) {
    out << "\n" << absl::StrFormat("%-24s", metric);
    for (const std::string& contender : contenders) {
      out << absl::StrFormat("  %-24s", cells[{metric, contender}]);
    }
  }
  out << "\n";
}

}  // namespace

absl::StatusOr<v1::EvaluateRequest::Contender> ParseContender(const std::string& words) {
  v1::EvaluateRequest::Contender contender;
  const size_t equals = words.find('=');
  const size_t colon = words.find(':');
  const bool named = equals != std::string::npos && equals < colon;
  contender.set_name(named ? words.substr(0, equals) : words);
  absl::string_view kind = absl::string_view(words).substr(named ? equals + 1 : 0);
  v1::PromptSource& prompt = *contender.mutable_prompt();
  if (kind == "none") return contender;
  if (absl::ConsumePrefix(&kind, "task:")) {
    const std::vector<std::string> parts = absl::StrSplit(kind, absl::MaxSplits('@', 1));
    prompt.set_task(parts[0]);
    uint32_t steps = 0;
    if (parts.size() == 2 && !absl::SimpleAtoi(parts[1], &steps)) {
      return FieldError("contender", absl::StrCat("\"", parts[1], "\" is no number of steps"));
    }
    if (parts.size() == 2) contender.mutable_sampling()->set_steps(steps);
  } else if (absl::ConsumePrefix(&kind, "id:")) {
    prompt.set_prompt_id(std::string(kind));
  } else if (absl::ConsumePrefix(&kind, "text:")) {
    prompt.set_text(std::string(kind));
  } else if (absl::ConsumePrefix(&kind, "file:")) {
    DDPT_ASSIGN_OR_RETURN(*prompt.mutable_embedding(), ReadPrompt(std::string(kind), 0));
  } else {
    return FieldError("contender",
                      absl::StrCat("\"", words, "\" is not [NAME=]none, ",
                                   "task:NAME[@STEPS], id:PROMPT_ID, text:WORDS or ", "file:PATH"));
  }
  return contender;
}

CLI::Option* PromptEvaluation::Add(CLI::App& command) {
  CLI::Option* data = command.add_option(
      "--data", data_, "A data set, as for train, whose instructions the server answers");
  command
      .add_option("--contender", contenders_,
                  "[NAME=]none, task:NAME[@STEPS], id:PROMPT_ID, text:WORDS or file:PATH; again "
                  "for more")
      ->needs(data);
  command
      .add_option_function<std::vector<std::string>>(
          "--metric",
          [this](const std::vector<std::string>& names) {
            request_.mutable_metrics()->Assign(names.begin(), names.end());
          },
          "Of --data: nll, or a figure named below; default all, those of CodeBLEU with --language")
      ->needs(data);
  command
      .add_option("--outcomes", outcomes_file_,
                  "Also write the table and the code of each example to this file, for ddpt report")
      ->needs(data);
  return data;
}

absl::Status PromptEvaluation::Run(const v1::DecodingOptions& decoding,
                                   const ResampleOptions& resample, const std::string& language,
                                   Session& session) {
  *request_.mutable_decoding() = decoding;
  request_.set_language(language);
  request_.set_bootstrap(resample.resamples);
  request_.set_seed(resample.seed);
  request_.set_language(language);
  request_.set_outcomes(!outcomes_file_.empty());
  for (const std::string& words : contenders_) {
    DDPT_ASSIGN_OR_RETURN(*request_.add_contenders(), ParseContender(words));
  }
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  DDPT_ASSIGN_OR_RETURN(const v1::Dataset data, client->UploadDataset({}, data_));
  request_.set_dataset_digest(data.digest());
  v1::EvaluateResponse all;  // that is worth keeping
  {
    ProgressBar progress(session.err, session.terminal, "evaluating");
    DDPT_RETURN_IF_ERROR(client->Evaluate(request_, [&](const v1::EvaluateResponse& message) {
      if (!session.json && message.outcomes().empty()) {
        progress.Update(message.examples_done(), message.examples_total(), "");
      }
      all.MergeFrom(message);
      return true;
    }));
  }
  if (!outcomes_file_.empty()) DDPT_RETURN_IF_ERROR(WriteOutcomes(*client, all));
  if (session.json) {
    PrintJson(session, ToJson(all.table()));
  } else {
    Print(all.table(), session.out);
  }
  return absl::OkStatus();
}

absl::Status PromptEvaluation::WriteOutcomes(Client& client,
                                             const v1::EvaluateResponse& all) const {
  DDPT_ASSIGN_OR_RETURN(const v1::ModelInfo model, client.GetModel());
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(data_, kMaxDatasetBytes));
  DDPT_ASSIGN_OR_RETURN(const Dataset data, ParseDataset(bytes, {}));
  if (data.digest != request_.dataset_digest()) {
    return absl::FailedPreconditionError(absl::StrCat(data_, " changed meanwhile"));
  }
  EvaluationFile evaluation{.model = model.name(),
                            .dataset_digest = data.digest,
                            .language = request_.language(),
                            .resamples = request_.bootstrap(),
                            .seed = request_.seed()};
  for (size_t i = 0; i < contenders_.size(); ++i) {
    const std::string& name = request_.contenders(static_cast<int>(i)).name();
    evaluation.contenders.push_back(
        {name, std::string(absl::StripPrefix(contenders_[i], name + "="))});
  }
  evaluation.table.assign(all.table().begin(), all.table().end());
  for (const TrainingExample& example : data.examples) {
    evaluation.examples.push_back({example.instruction, example.code, {}});
  }
  for (const auto& outcome : all.outcomes()) {
    if (outcome.example() >= evaluation.examples.size()) {
      return absl::InternalError(
          absl::StrCat("the server sent an outcome of example ", outcome.example()));
    }
    evaluation.examples[outcome.example()].codes[outcome.contender()] = outcome.code();
  }
  return WriteEvaluationFile(outcomes_file_, evaluation);
}

}  // namespace ddpt
