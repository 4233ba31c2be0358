#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "client/commands.h"
#include "client/examples.h"
#include "client/flags.h"
#include "client/output.h"
#include "client/session.h"
#include "core/base/status.h"
#include "ddpt/v1/code.pb.h"

namespace ddpt {
namespace {

struct TextFlags {
  std::string text;
  std::string file;
};

struct GenerateFlags {
  v1::GenerateRequest request;
  TextFlags instruction;
  ExamplesFlags examples;  // instead of one instruction
  PromptFlags prompt;
};

struct ScoreFlags {
  v1::ScoreRequest request;
  TextFlags instruction;
  ExamplesFlags examples;  // instead of one instruction and its code
  TextFlags code;
  PromptFlags prompt;
};

// The first message of all, and each choice with its pieces put together.
struct Answer {
  v1::GenerateResponse first;
  std::map<uint32_t, v1::GenerateResponse> choices;
};

void Collect(const v1::GenerateResponse& message, Answer& answer) {
  if (answer.choices.empty()) answer.first = message;
  v1::GenerateResponse& choice = answer.choices[message.choice_index()];
  const std::string text = choice.text() + message.text();
  choice.MergeFrom(message);
  choice.set_text(text);
  choice.clear_receipt();
  choice.clear_prompt_id();
}

nlohmann::ordered_json AnswerJson(const Answer& answer) {
  nlohmann::ordered_json choices = nlohmann::ordered_json::array();
  for (const auto& [index, choice] : answer.choices) choices.push_back(ToJson(choice));
  for (auto& choice : choices) choice.erase("prompt_id");
  nlohmann::ordered_json json = {{"choices", choices}, {"prompt_id", answer.first.prompt_id()}};
  if (answer.first.has_receipt()) json["receipt"] = ToJson(answer.first.receipt());
  return json;
}

// An example's own attributes, where the prompt depends on such.
void SetAttributes(const TrainingExample& example, v1::PromptSource& prompt) {
  if (example.attributes.empty() || !(prompt.has_task() || prompt.has_prompt_id())) return;
  *prompt.mutable_attributes() = {example.attributes.begin(), example.attributes.end()};
}

absl::StatusOr<nlohmann::ordered_json> GenerateExample(Client& client, v1::GenerateRequest request,
                                                       const TrainingExample& example) {
  request.set_instruction(example.instruction);
  SetAttributes(example, *request.mutable_prompt());
  Answer answer;
  DDPT_RETURN_IF_ERROR(client.Generate(request, [&](const v1::GenerateResponse& message) {
    Collect(message, answer);
    return true;
  }));
  const v1::GenerateResponse& choice = answer.choices[0];
  return nlohmann::ordered_json{{"instruction", example.instruction},
                                {"code", choice.text()},
                                {"output_tokens", choice.usage().output_tokens()}};
}

// `each`: the logarithms of all tokens, too.
absl::StatusOr<nlohmann::ordered_json> ScoreExample(Client& client, v1::ScoreRequest request,
                                                    const TrainingExample& example, bool each) {
  request.set_instruction(example.instruction);
  SetAttributes(example, *request.mutable_prompt());
  request.set_code(example.code);
  DDPT_ASSIGN_OR_RETURN(const v1::ScoreResponse response, client.Score(request));
  nlohmann::ordered_json json = {{"instruction", example.instruction},
                                 {"nll", response.nll()},
                                 {"tokens", response.token_logprobs_size()}};
  if (each) json["token_logprobs"] = response.token_logprobs();
  return json;
}

absl::Status Generate(GenerateFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(*flags.request.mutable_prompt(), flags.prompt.Resolve());
  DDPT_ASSIGN_OR_RETURN(const auto client, session.Connect());
  if (!flags.examples.path.empty()) {
    return AnswerExamples(flags.examples, session, [&](const TrainingExample& example) {
      return GenerateExample(*client, flags.request, example);
    });
  }
  DDPT_ASSIGN_OR_RETURN(*flags.request.mutable_instruction(),
                        TextOrFile(flags.instruction.text, flags.instruction.file));
  Answer answer;
  const bool live = !session.json && flags.request.decoding().n() <= 1;
  DDPT_RETURN_IF_ERROR(client->Generate(flags.request, [&](const v1::GenerateResponse& message) {
    Collect(message, answer);
    if (live) session.out << message.text() << std::flush;
    return true;
  }));
  if (session.json) {
    PrintJson(session, AnswerJson(answer));
  } else if (live) {
    session.out << "\n";
  } else {
    for (const auto& [index, choice] : answer.choices) {
      session.out << "# choice " << index << "\n" << choice.text() << "\n";
    }
  }
  return absl::OkStatus();
}

absl::Status Score(ScoreFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(*flags.request.mutable_prompt(), flags.prompt.Resolve());
  DDPT_ASSIGN_OR_RETURN(const auto client, session.Connect());
  if (!flags.examples.path.empty()) {
    return AnswerExamples(flags.examples, session, [&](const TrainingExample& example) {
      return ScoreExample(*client, flags.request, example, session.json);
    });
  }
  DDPT_ASSIGN_OR_RETURN(*flags.request.mutable_instruction(),
                        TextOrFile(flags.instruction.text, flags.instruction.file));
  DDPT_ASSIGN_OR_RETURN(*flags.request.mutable_code(),
                        TextOrFile(flags.code.text, flags.code.file));
  DDPT_ASSIGN_OR_RETURN(const v1::ScoreResponse response, client->Score(flags.request));
  if (session.json) {
    PrintJson(session, ToJson(response));
  } else {
    session.out << absl::StrFormat("%.6f nats a token over %d tokens\n", response.nll(),
                                   response.token_logprobs_size());
  }
  return absl::OkStatus();
}

template <typename Request>
void AddInstruction(CLI::App& command, TextFlags& text, ExamplesFlags& examples, Request& request) {
  auto* words = command.add_option("INSTRUCTION", text.text, "What the code is to do");
  auto* file = command.add_option("--instruction-file", text.file, "Read it from a file; -: stdin");
  AddExamplesFlags(command, examples)->excludes(words)->excludes(file);
  words->excludes(file);
  AddDecoderPrefixFlag(command,
                       [&](v1::DecoderPrefix value) { request.set_decoder_prefix(value); });
}

}  // namespace

void AddCodeCommands(CLI::App& app, Session& session) {
  CLI::App* generate = app.add_subcommand("generate", "Code for an instruction, as it comes");
  auto wanted = std::make_shared<GenerateFlags>();
  AddInstruction(*generate, wanted->instruction, wanted->examples, wanted->request);
  wanted->prompt.Add(*generate);
  v1::DecodingOptions& decoding = *wanted->request.mutable_decoding();
  AddDecodingFlags(*generate, decoding);
  generate->add_option_function<uint32_t>(
      "--choices", [&](uint32_t value) { decoding.set_n(value); },
      "Independent answers; default 1");
  generate->add_flag_callback(
      "--logprobs", [&] { decoding.set_logprobs(true); }, "With --json: of each token");
  AddSamplingFlags(*generate, *wanted->request.mutable_sampling());
  generate->callback([wanted, &session] { session.status = Generate(*wanted, session); });

  CLI::App* score = app.add_subcommand("score", "Log-probability of given code");
  auto scored = std::make_shared<ScoreFlags>();
  AddInstruction(*score, scored->instruction, scored->examples, scored->request);
  auto* code = score->add_option("--code", scored->code.text, "The code");
  code->excludes(
      score->add_option("--code-file", scored->code.file, "Read it from a file; -: stdin"));
  scored->prompt.Add(*score);
  AddSamplingFlags(*score, *scored->request.mutable_sampling());
  score->callback([scored, &session] { session.status = Score(*scored, session); });
}

}  // namespace ddpt
