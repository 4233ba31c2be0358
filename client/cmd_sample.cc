#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands.h"
#include "client/flags.h"
#include "client/output.h"
#include "client/prompt_file.h"
#include "client/session.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

struct Flags {
  v1::SampleRequest sample;
  v1::ReplayRequest replay;
  std::string instruction;
  std::string out_file;
};

absl::StatusOr<v1::SampleResponse> Call(Flags& flags, Client& client) {
  const bool omit = flags.out_file.empty();
  if (!flags.replay.prompt_id().empty()) {
    if (!flags.instruction.empty()) flags.replay.set_instruction(flags.instruction);
    *flags.replay.mutable_attributes() = flags.sample.attributes();
    flags.replay.set_omit_embedding(omit);
    return client.Replay(flags.replay);
  }
  if (flags.sample.task().empty()) return FieldError("TASK", "is needed without --replay");
  if (!flags.instruction.empty()) flags.sample.set_instruction(flags.instruction);
  flags.sample.set_omit_embedding(omit);
  return client.Sample(flags.sample);
}

void PrintReceipt(const v1::Receipt& receipt, std::ostream& stream) {
  stream << "task " << receipt.task() << ", version " << receipt.version() << ", seed "
         << receipt.seed() << ", "
         << EnumWord(*v1::Sampler_descriptor(), receipt.sampler(), "SAMPLER_") << " with "
         << receipt.steps() << " steps: " << DurationWord(receipt.compute_seconds())
         << " of computing, " << DurationWord(receipt.queue_seconds()) << " of waiting, batch of "
         << receipt.batch_width() << ", " << receipt.arithmetic() << "\n";
}

void Print(v1::SampleResponse response, Session& session) {
  if (session.json) {
    for (v1::Prompt& prompt : *response.mutable_prompts()) prompt.clear_embedding();
    return PrintJson(session, ToJson(response));
  }
  for (const v1::Prompt& prompt : response.prompts()) {
    session.out << prompt.prompt_id() << "\n";
    if (prompt.has_validation_nll()) {
      session.err << "validation: " << absl::StrFormat("%.4f", prompt.validation_nll())
                  << " nats a token, the best of its draws\n";
    }
    if (prompt.has_exact_replay() && !prompt.exact_replay()) {
      session.err << "ddpt: the bytes of this replay may differ from those of the original\n";
    }
  }
  PrintReceipt(response.receipt(), session.err);
}

absl::Status Run(Flags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  DDPT_ASSIGN_OR_RETURN(v1::SampleResponse response, Call(flags, *client));
  if (!flags.out_file.empty()) DDPT_RETURN_IF_ERROR(WritePrompts(flags.out_file, response));
  Print(std::move(response), session);
  return absl::OkStatus();
}

void AddFlags(CLI::App& command, Flags& flags) {
  command.add_option_function<std::string>(
      "TASK", [&](const std::string& value) { flags.sample.set_task(value); }, "Name of the task");
  command.add_option_function<uint32_t>(
      "--count", [&](uint32_t value) { flags.sample.set_count(value); }, "Prompts; default 1");
  command.add_option_function<uint64_t>(
      "--task-version", [&](uint64_t value) { flags.sample.set_version(value); },
      "Default: the active version");
  AddSamplingFlags(command, *flags.sample.mutable_sampling());
  command.add_option("--instruction", flags.instruction, "For conditional tasks");
  AddAttributeFlag(command, *flags.sample.mutable_attributes());
  command.add_option_function<std::string>(
      "--replay", [&](const std::string& value) { flags.replay.set_prompt_id(value); },
      "Makes the prompt of this id again instead");
  command.add_flag_callback(
      "--require-exact", [&] { flags.replay.set_require_exact(true); },
      "With --replay: fail rather than return other bytes");
  command.add_option("--out", flags.out_file, "Writes the embeddings to this .safetensors file");
}

}  // namespace

void AddSampleCommand(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("sample", "Draw soft prompts of a task; prints one prompt id a line");
  auto flags = std::make_shared<Flags>();
  AddFlags(*command, *flags);
  command->callback([flags, &session] { session.status = Run(*flags, session); });
}

}  // namespace ddpt
