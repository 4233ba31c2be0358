#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/commands.h"
#include "client/flags.h"
#include "client/output.h"
#include "client/session.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

absl::Status Model(Session& session) {
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  DDPT_ASSIGN_OR_RETURN(const v1::ModelInfo model, client->GetModel());
  if (session.json) {
    PrintJson(session, ToJson(model));
    return absl::OkStatus();
  }
  const auto stack = [](const v1::ModelInfo::Stack& s) {
    return absl::StrFormat("width %d, %d layers, %d heads", s.width(), s.layers(), s.heads());
  };
  session.out << model.name() << " (" << model.family() << "), "
              << absl::StrFormat("%.1f", static_cast<double>(model.parameters()) / 1e6)
              << " M parameters, " << model.dtype() << " on " << model.device() << "\n  encoder "
              << stack(model.encoder()) << "\n  decoder " << stack(model.decoder())
              << "\n  vocabulary " << model.vocabulary_size() << ", positions "
              << model.max_positions() << "\n  digest " << model.digest() << "\n";
  return absl::OkStatus();
}

absl::Status Tokenize(const v1::TokenizeRequest& request, Session& session) {
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  DDPT_ASSIGN_OR_RETURN(const v1::TokenizeResponse response, client->Tokenize(request));
  if (session.json) {
    PrintJson(session, ToJson(response));
  } else {
    session.out << absl::StrJoin(response.token_ids().ids(), " ") << "\n";
  }
  return absl::OkStatus();
}

absl::Status Detokenize(const v1::DetokenizeRequest& request, Session& session) {
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  DDPT_ASSIGN_OR_RETURN(const v1::DetokenizeResponse response, client->Detokenize(request));
  if (session.json) {
    PrintJson(session, ToJson(response));
  } else {
    session.out << response.text() << "\n";
  }
  return absl::OkStatus();
}

struct DescribeFlags {
  v1::DescribeRequest request;
  PromptFlags prompt;
};

absl::Status Describe(DescribeFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(*flags.request.mutable_prompt(), flags.prompt.Resolve());
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  DDPT_ASSIGN_OR_RETURN(const v1::DescribeResponse response, client->Describe(flags.request));
  if (session.json) {
    PrintJson(session, ToJson(response));
    return absl::OkStatus();
  }
  for (int i = 0; i < response.vectors_size(); ++i) {
    const auto& vector = response.vectors(i);
    session.out << absl::StrFormat("%3d  norm %.4g ", i, vector.norm());
    for (const auto& near : vector.neighbours()) {
      session.out << absl::StrFormat("  %s %.3f", nlohmann::json(near.token()).dump(),
                                     near.cosine());
    }
    session.out << "\n";
  }
  if (response.has_distance_to_task()) {
    session.out << absl::StrFormat("%.4g from the mean of its task's prompts; usual is %.4g\n",
                                   response.distance_to_task(), response.task_spread());
  }
  return absl::OkStatus();
}

}  // namespace

void AddModelCommands(CLI::App& app, Session& session) {
  CLI::App* describe = app.add_subcommand("describe", "What a prompt looks like in tokens");
  auto described = std::make_shared<DescribeFlags>();
  described->prompt.Add(*describe);
  describe->add_option_function<uint32_t>(
      "--neighbours", [described](uint32_t value) { described->request.set_neighbours(value); },
      "Nearest tokens a vector; default 5");
  describe->add_option_function<std::string>(
      "--instruction",
      [described](const std::string& value) { described->request.set_instruction(value); },
      "What the prompt of a conditional task is conditioned on");
  describe->callback([described, &session] { session.status = Describe(*described, session); });

  CLI::App* model = app.add_subcommand("model", "The base model that the server has loaded");
  model->callback([&session] { session.status = Model(session); });

  CLI::App* tokenize = app.add_subcommand("tokenize", "Token ids of a text");
  auto text = std::make_shared<v1::TokenizeRequest>();
  tokenize
      ->add_option_function<std::string>(
          "TEXT", [text](const std::string& value) { text->set_text(value); }, "The text")
      ->required();
  tokenize->callback([text, &session] { session.status = Tokenize(*text, session); });

  CLI::App* detokenize = app.add_subcommand("detokenize", "The text of token ids");
  auto ids = std::make_shared<v1::DetokenizeRequest>();
  detokenize
      ->add_option_function<std::vector<uint32_t>>(
          "IDS",
          [ids](const std::vector<uint32_t>& values) {
            ids->mutable_token_ids()->mutable_ids()->Assign(values.begin(), values.end());
          },
          "Token ids")
      ->required();
  detokenize->add_flag_callback(
      "--skip-special", [ids] { ids->set_skip_special(true); }, "Leaves special tokens out");
  detokenize->callback([ids, &session] { session.status = Detokenize(*ids, session); });
}

}  // namespace ddpt
