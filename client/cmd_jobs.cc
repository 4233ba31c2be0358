#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands.h"
#include "client/flags.h"
#include "client/job_events.h"
#include "client/job_report.h"
#include "client/output.h"
#include "client/pages.h"
#include "client/progress.h"
#include "client/prompt_file.h"
#include "client/session.h"
#include "client/training_flags.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "ddpt/v1/training.pb.h"

namespace ddpt {
namespace {

using Job = v1::TrainingJob;

void PrintJob(const Job& job, Session& session) {
  if (session.json) return PrintJson(session, ToJson(job));
  session.out << absl::StrFormat(
      "%s  %-20s %-9s step %d/%d  loss %.4f  validation %.4f\n", job.job_id(), job.task(),
      EnumWord(*Job::State_descriptor(), job.state(), "STATE_"), job.step(), job.total_steps(),
      job.train_loss(), job.validation_nll());
  if (!job.error().empty()) session.out << "  " << job.error() << "\n";
}

void PrintData(const Job& job, Session& session) {
  session.out << absl::StrFormat(
      "  trains on %d examples, validates on %d; duplicates left out: %d\n", job.train_examples(),
      job.validation_examples(), job.duplicate_examples());
  if (job.shared_instructions() == 0) return;
  session.out << absl::StrFormat(
      "  warning: validation examples whose instruction is trained on with other code: %d\n",
      job.shared_instructions());
}

// Follows a job to its end; its failure is the command's.
absl::Status Watch(Client& client, const v1::WatchJobRequest& request, Session& session) {
  ProgressBar progress(session.err, session.terminal, "training");
  Job last;
  DDPT_RETURN_IF_ERROR(client.WatchJob(request, [&](const v1::JobEvent& event) {
    last = event.job();
    if (session.json) {
      PrintJson(session, ToJson(event));
      session.out.flush();
    } else {
      progress.Update(last.step(), last.total_steps(),
                      absl::StrFormat("loss %.4f %s", last.train_loss(), event.message()));
    }
    return true;
  }));
  if (last.job_id().empty()) {  // all events were before those that are asked for
    v1::GetJobRequest job;
    job.set_job_id(request.job_id());
    DDPT_ASSIGN_OR_RETURN(last, client.GetJob(job));
  }
  if (last.state() == Job::STATE_FAILED)
    return absl::InternalError("the job failed: " + last.error());
  if (last.state() == Job::STATE_CANCELLED) return absl::CancelledError("the job was cancelled");
  if (!session.json) PrintJob(last, session);
  return absl::OkStatus();
}

std::string NewOperationId() {
  std::random_device random;
  return absl::StrFormat("cli-%08x%08x%08x", random(), random(), random());
}

absl::Status Train(TrainingFlags& flags, Session& session) {
  v1::TrainRequest request = flags.request;
  if (request.operation_id().empty()) {
    request.set_operation_id(NewOperationId());
    session.err << "operation id " << request.operation_id() << "\n";
  }
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  if (!flags.file.empty()) {
    DDPT_ASSIGN_OR_RETURN(const v1::Dataset data,
                          client->UploadDataset(request.data_format(), flags.file));
    request.set_dataset_digest(data.digest());
  }
  if (!flags.validation_file.empty()) {
    DDPT_ASSIGN_OR_RETURN(const v1::Dataset data,
                          client->UploadDataset(request.data_format(), flags.validation_file));
    request.set_validation_digest(data.digest());
  }
  if (!flags.start_file.empty()) {
    DDPT_ASSIGN_OR_RETURN(*request.mutable_start_prompt(), ReadPrompt(flags.start_file, 0));
  }
  DDPT_ASSIGN_OR_RETURN(const Job job, client->Train(request));
  if (!flags.watch || !session.json) PrintJob(job, session);
  if (!session.json) PrintData(job, session);
  if (!flags.watch) return absl::OkStatus();
  v1::WatchJobRequest watch;
  watch.set_job_id(job.job_id());
  return Watch(*client, watch, session);
}

absl::Status List(const v1::ListJobsRequest& request, Session& session) {
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  DDPT_ASSIGN_OR_RETURN(const v1::ListJobsResponse all,
                        AllPages(*client, request, &Client::ListJobs));
  if (session.json) {
    PrintJson(session, ToJson(all));
  } else {
    for (const Job& job : all.jobs()) PrintJob(job, session);
  }
  return absl::OkStatus();
}

absl::Status Show(Session& session, const std::function<absl::StatusOr<Job>(Client&)>& call) {
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  DDPT_ASSIGN_OR_RETURN(const Job job, call(*client));
  PrintJob(job, session);
  return absl::OkStatus();
}

struct ReportFlags {
  v1::GetJobRequest request;
  std::string file;
};

absl::Status WriteReport(const ReportFlags& flags, Session& session) {
  DDPT_ASSIGN_OR_RETURN(auto client, session.Connect());
  DDPT_ASSIGN_OR_RETURN(const auto events, EventsSoFar(*client, flags.request.job_id()));
  DDPT_RETURN_IF_ERROR(WriteFileAtomic(flags.file, JobReport(events)));
  const Job& job = events.back().job();
  if (session.json) {
    PrintJson(session, {{"file", flags.file}, {"events", events.size()}, {"job", ToJson(job)}});
  } else {
    session.out << absl::StrFormat("%s: %d events of %s\n", flags.file, events.size(),
                                   job.job_id());
  }
  return absl::OkStatus();
}

template <typename Request>
void AddJobId(CLI::App& command, Request& request) {
  command
      .add_option_function<std::string>(
          "JOB", [&](const std::string& value) { request.set_job_id(value); }, "Id of the job")
      ->required();
}

void AddTrain(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("train", "Start a training job, or find it again");
  auto flags = std::make_shared<TrainingFlags>();
  AddTrainingFlags(*command, *flags);
  command->callback([flags, &session] { session.status = Train(*flags, session); });
}

void AddList(CLI::App& jobs, Session& session) {
  CLI::App* command = jobs.add_subcommand("list", "Training jobs, newest first");
  auto request = std::make_shared<v1::ListJobsRequest>();
  command->add_option_function<std::string>(
      "--task", [request](const std::string& value) { request->set_task(value); }, "Of this task");
  command->callback([request, &session] { session.status = List(*request, session); });
}

void AddGet(CLI::App& jobs, Session& session) {
  CLI::App* command = jobs.add_subcommand("get", "One training job");
  auto request = std::make_shared<v1::GetJobRequest>();
  auto* by_id = command->add_option_function<std::string>(
      "JOB", [request](const std::string& value) { request->set_job_id(value); }, "Id of the job");
  command
      ->add_option_function<std::string>(
          "--operation-id",
          [request](const std::string& value) { request->set_operation_id(value); },
          "Find it by the id that started it")
      ->excludes(by_id);
  command->callback([request, &session] {
    session.status = Show(session, [&](Client& client) { return client.GetJob(*request); });
  });
}

void AddWatch(CLI::App& jobs, Session& session) {
  CLI::App* command =
      jobs.add_subcommand("watch", "Follow a job to its end; with --json one event a line");
  auto request = std::make_shared<v1::WatchJobRequest>();
  AddJobId(*command, *request);
  command->add_option_function<uint64_t>(
      "--after", [request](uint64_t value) { request->set_after_event(value); },
      "Leaves out the events up to this one");
  command->callback([request, &session] {
    absl::StatusOr<std::unique_ptr<Client>> client = session.Connect();
    session.status = client.ok() ? Watch(**client, *request, session) : client.status();
  });
}

void AddReport(CLI::App& jobs, Session& session) {
  CLI::App* command = jobs.add_subcommand(
      "report",
      "Write a job's learning curves, so far, to an HTML page; with --json file, events and job");
  auto flags = std::make_shared<ReportFlags>();
  AddJobId(*command, flags->request);
  command->add_option("--out", flags->file, "Page to be written, .html")->required();
  command->callback([flags, &session] { session.status = WriteReport(*flags, session); });
}

void AddCancel(CLI::App& jobs, Session& session) {
  CLI::App* command = jobs.add_subcommand("cancel", "Stop a job after its current step");
  auto request = std::make_shared<v1::CancelJobRequest>();
  AddJobId(*command, *request);
  command->callback([request, &session] {
    session.status = Show(session, [&](Client& client) { return client.CancelJob(*request); });
  });
}

}  // namespace

void AddJobCommands(CLI::App& app, Session& session) {
  AddTrain(app, session);
  CLI::App* jobs = app.add_subcommand("jobs", "Training jobs");
  jobs->require_subcommand(1);
  AddList(*jobs, session);
  AddGet(*jobs, session);
  AddWatch(*jobs, session);
  AddReport(*jobs, session);
  AddCancel(*jobs, session);
}

}  // namespace ddpt
