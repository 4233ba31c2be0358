#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/evaluation/bootstrap.h"
#include "ddpt/v1/evaluation.pb.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace ddpt {

class Client;
struct Session;

// `ddpt evaluate --data`: what prompts are worth on a data set, measured by the server.
class PromptEvaluation {
 public:
  // Adds its flags; --data is returned.
  CLI::Option* Add(CLI::App& command);
  // Whether --data was given.
  bool wanted() const { return !data_.empty(); }
  // Uploads the data, asks for the evaluation, shows how far it is, prints the table, and writes
  // the file where one is wanted. Asked again after an interruption it goes on where it was.
  // `language` is that of the code, for CodeBLEU, or "". A FieldError names the contender.
  absl::Status Run(const v1::DecodingOptions& decoding, const ResampleOptions& resample,
                   const std::string& language, Session& session);

 private:
  absl::Status WriteOutcomes(Client& client, const v1::EvaluateResponse& all) const;

  std::string data_;
  std::vector<std::string> contenders_;
  std::string outcomes_file_;  // "": none
  v1::EvaluateRequest request_;
};

// The prompt that a contender names: "none", "task:NAME", "task:NAME@STEPS", "id:PROMPT_ID",
// "text:WORDS" or "file:PATH", with "NAME=" before it where the row is to have another name.
absl::StatusOr<v1::EvaluateRequest::Contender> ParseContender(const std::string& words);

}  // namespace ddpt
