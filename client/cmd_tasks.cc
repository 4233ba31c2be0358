#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands.h"
#include "client/flags.h"
#include "client/output.h"
#include "client/pages.h"
#include "client/session.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/diffusion/random_denoiser.h"
#include "ddpt/v1/task.pb.h"

namespace ddpt {
namespace {

void PrintTask(const v1::TaskInfo& task, Session& session) {
  if (session.json) return PrintJson(session, ToJson(task));
  session.out << task.task() << ": active version " << task.active_version() << ", updated "
              << TimeWord(task.update_time()) << "\n";
  for (const v1::TaskVersion& version : task.versions()) {
    session.out << absl::StrFormat(
        "  %4d  %-13s %-11s n=%d w=%d h=%d T=%d condition=%d  %s  %s\n", version.version(),
        version.method(), EnumWord(*v1::Reading_descriptor(), version.reading(), "READING_"),
        version.context_length(), version.width(), version.latent_width(), version.train_steps(),
        version.condition_width(), TimeWord(version.create_time()),
        version.denoiser_digest().substr(0, 12));
  }
}

absl::Status List(const v1::ListTasksRequest& request, Session& session) {
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  DDPT_ASSIGN_OR_RETURN(const v1::ListTasksResponse all,
                        AllPages(*client, request, &Client::ListTasks));
  if (session.json) {
    PrintJson(session, ToJson(all));
    return absl::OkStatus();
  }
  for (const v1::TaskInfo& task : all.tasks()) {
    session.out << absl::StrFormat("%-32s version %-4d %3d kept  %s\n", task.task(),
                                   task.active_version(), task.versions_size(),
                                   TimeWord(task.update_time()));
  }
  return absl::OkStatus();
}

// Makes the call that returns a task, and prints it.
absl::Status Show(Session& session,
                  const std::function<absl::StatusOr<v1::TaskInfo>(Client&)>& call) {
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  DDPT_ASSIGN_OR_RETURN(const v1::TaskInfo task, call(*client));
  PrintTask(task, session);
  return absl::OkStatus();
}

absl::Status Delete(const v1::DeleteTaskRequest& request, Session& session) {
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  DDPT_ASSIGN_OR_RETURN(const v1::DeleteTaskResponse response, client->DeleteTask(request));
  if (session.json) {
    PrintJson(session, ToJson(response));
  } else {
    session.err << "deleted " << request.task() << "\n";
  }
  return absl::OkStatus();
}

template <typename Request>
void AddTaskName(CLI::App& command, Request& request) {
  command
      .add_option_function<std::string>(
          "TASK", [&](const std::string& value) { request.set_task(value); }, "Name of the task")
      ->required();
}

template <typename Request>
void AddExpectedVersion(CLI::App& command, Request& request) {
  command.add_option_function<uint64_t>(
      "--expected-version", [&](uint64_t value) { request.set_expected_version(value); },
      "Do nothing unless this is the active version");
}

void AddList(CLI::App& tasks, Session& session) {
  CLI::App* command = tasks.add_subcommand("list", "All tasks, by name");
  auto request = std::make_shared<v1::ListTasksRequest>();
  command->add_option_function<uint32_t>(
      "--page-size", [request](uint32_t value) { request->set_page_size(value); },
      "Tasks fetched at a time");
  command->callback([=, &session] { session.status = List(*request, session); });
}

void AddGet(CLI::App& tasks, Session& session) {
  CLI::App* command = tasks.add_subcommand("get", "One task with its versions");
  auto request = std::make_shared<v1::GetTaskRequest>();
  AddTaskName(*command, *request);
  command->callback([=, &session] {
    session.status = Show(session, [&](Client& client) { return client.GetTask(*request); });
  });
}

void AddImport(CLI::App& tasks, Session& session) {
  CLI::App* command = tasks.add_subcommand("import", "Store a denoiser file as a new version");
  auto header = std::make_shared<v1::ImportTaskRequest::Header>();
  auto file = std::make_shared<std::string>();
  AddTaskName(*command, *header);
  command->add_option("FILE", *file, "Denoiser, .safetensors")->required();
  AddEnumFlag(
      *command, "--promote", *v1::PromotePolicy_descriptor(), "PROMOTE_POLICY_",
      [header](int value) { header->set_promote(static_cast<v1::PromotePolicy>(value)); },
      "Whether it becomes the active version; default always");
  command->callback([=, &session] {
    session.status =
        Show(session, [&](Client& client) { return client.ImportTask(*header, *file); });
  });
}

void AddPromote(CLI::App& tasks, Session& session) {
  CLI::App* command = tasks.add_subcommand("promote", "Make a version the active one");
  auto request = std::make_shared<v1::PromoteTaskRequest>();
  AddTaskName(*command, *request);
  command
      ->add_option_function<uint64_t>(
          "VERSION", [request](uint64_t value) { request->set_version(value); }, "1, 2, 3, ...")
      ->required();
  AddExpectedVersion(*command, *request);
  command->callback([=, &session] {
    session.status = Show(session, [&](Client& client) { return client.PromoteTask(*request); });
  });
}

void AddRollback(CLI::App& tasks, Session& session) {
  CLI::App* command =
      tasks.add_subcommand("rollback", "Make the version active that was so before");
  auto request = std::make_shared<v1::RollbackTaskRequest>();
  AddTaskName(*command, *request);
  AddExpectedVersion(*command, *request);
  command->callback([=, &session] {
    session.status = Show(session, [&](Client& client) { return client.RollbackTask(*request); });
  });
}

void AddDelete(CLI::App& tasks, Session& session) {
  CLI::App* command = tasks.add_subcommand("delete", "Delete a task with all its versions");
  auto request = std::make_shared<v1::DeleteTaskRequest>();
  AddTaskName(*command, *request);
  AddExpectedVersion(*command, *request);
  command->callback([=, &session] { session.status = Delete(*request, session); });
}

struct RandomFlags {
  DenoiserSpec spec;
  std::string file;
  std::string reading = "x0";
  uint64_t seed = 0;
};

absl::Status WriteRandom(RandomFlags& flags, Session& session) {
  flags.spec.method = Method::kRandom;
  flags.spec.reading = *ParseReading(flags.reading);
  DDPT_RETURN_IF_ERROR(ValidateSpec(flags.spec));
  DDPT_ASSIGN_OR_RETURN(const std::string bytes,
                        Denoiser::Serialize(flags.spec, RandomWeights(flags.spec, flags.seed)));
  DDPT_RETURN_IF_ERROR(WriteFileAtomic(flags.file, bytes));
  if (session.json) {
    PrintJson(session, {{"file", flags.file}, {"denoiser_digest", Sha256Hex(bytes)}});
  } else {
    session.out << Sha256Hex(bytes) << "  " << flags.file << "\n";
  }
  return absl::OkStatus();
}

void AddRandom(CLI::App& tasks, Session& session) {
  CLI::App* command = tasks.add_subcommand(
      "random", "Write a denoiser file with random weights, to try things; needs no server");
  auto flags = std::make_shared<RandomFlags>();
  command->add_option("FILE", flags->file, "Denoiser to be written, .safetensors")->required();
  command->add_option("--context", flags->spec.context_length, "n, context tokens")
      ->capture_default_str();
  command->add_option("--width", flags->spec.width, "w, the encoder's width")
      ->capture_default_str();
  command->add_option("--latent", flags->spec.latent, "h, latent width")->capture_default_str();
  command->add_option("--layers", flags->spec.layers, "Hidden layers")->capture_default_str();
  command->add_option("--condition", flags->spec.condition_width, "Width of the condition; 0: none")
      ->capture_default_str();
  command->add_option("--reading", flags->reading, "How the output enters the prompt")
      ->check(CLI::IsMember({"x0", "x0_residual", "residual"}))
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "Of the weights")->capture_default_str();
  command->callback([=, &session] { session.status = WriteRandom(*flags, session); });
}

}  // namespace

void AddTaskCommands(CLI::App& app, Session& session) {
  CLI::App* tasks = app.add_subcommand("tasks", "Tasks and the versions of their denoisers");
  tasks->require_subcommand(1);
  AddList(*tasks, session);
  AddGet(*tasks, session);
  AddImport(*tasks, session);
  AddPromote(*tasks, session);
  AddRollback(*tasks, session);
  AddDelete(*tasks, session);
  AddRandom(*tasks, session);
}

}  // namespace ddpt
