#include "tests/integration/training_fixture.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/status.h"
#include "tests/integration/model_fixture.h"

namespace ddpt {
namespace {

template <typename Response>
absl::StatusOr<Response> Answer(const grpc::Status& status, const Response& response) {
  if (!status.ok()) return FromGrpcStatus(status);
  return response;
}

std::string Instruction(int i) { return absl::StrCat("add ", i, " to größe"); }
std::string Code(int i) { return absl::StrCat("def add(a):\n    return a + ", i, "\n"); }

}  // namespace

Config TrainingConfig(const std::string& state) {
  Config config = TestConfig(state);
  config.model = RandomModel();
  return config;
}

v1::TrainRequest SmallTraining(const std::string& operation_id) {
  v1::TrainRequest request;
  request.set_operation_id(operation_id);
  request.set_task("sql");
  for (int i = 0; i < 10; ++i) {
    v1::Example* example = request.mutable_examples()->add_examples();
    example->set_instruction(Instruction(i));
    example->set_code(Code(i));
  }
  v1::TrainingOptions& options = *request.mutable_options();
  options.set_steps(12);
  options.set_warmup_steps(1);
  options.set_batch_size(4);
  options.set_checkpoint_every(3);
  options.set_learning_rate(0.004);
  options.set_context_length(3);
  options.set_latent_width(8);
  options.set_train_steps(50);
  options.set_validation_steps(50);
  options.set_max_prompt_rms(20);
  return request;
}

v1::TrainRequest EndlessTraining(const std::string& operation_id) {
  v1::TrainRequest request = SmallTraining(operation_id);
  request.mutable_options()->set_steps(10'000);
  request.mutable_options()->set_checkpoint_every(10'000);
  return request;
}

v1::TrainRequest MediumTraining() {
  v1::TrainRequest request = SmallTraining("medium");
  request.mutable_options()->set_steps(120);
  request.mutable_options()->set_checkpoint_every(10);
  return request;
}

const std::string& UndisturbedDigest() {
  static const std::string digest = [] {
    TemporaryDirectory directory;
    TestServer server(TrainingConfig(directory.path()));
    const auto job = TrainingClient(server.channel()).TrainToTheEnd(MediumTraining());
    EXPECT_TRUE(job.ok()) << job.status();
    EXPECT_EQ(job->state(), v1::TrainingJob::STATE_SUCCEEDED) << job->error();
    return job.value_or(v1::TrainingJob()).denoiser_digest();
  }();
  return digest;
}

void MakePrefix(v1::TrainRequest& request, v1::PrefixPlace place) {
  request.set_method(v1::METHOD_PREFIX_TUNING);
  v1::TrainingOptions& options = *request.mutable_options();
  options.clear_latent_width();
  options.set_learning_rate(0.03);
  options.set_prefix_place(place);
}

void MakeBlackBox(v1::TrainRequest& request) {
  request.set_method(v1::METHOD_BBT);
  v1::TrainingOptions& options = *request.mutable_options();
  options.clear_learning_rate();
  options.clear_warmup_steps();
  options.set_subspace_width(20);
  options.set_population(6);
}

std::string SmallDataFile() {
  std::string lines;
  for (int i = 0; i < 10; ++i) {
    absl::StrAppend(&lines, R"({"instruction": ")", Instruction(i), R"(", "code": ")",
                    R"(def add(a):\n    return a + )", i, R"(\n"})", "\n");
  }
  return lines;
}

TrainingClient::TrainingClient(const std::shared_ptr<grpc::Channel>& channel)
    : stub_(v1::TrainingService::NewStub(channel)) {}

absl::StatusOr<v1::TrainingJob> TrainingClient::Train(const v1::TrainRequest& request) {
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  v1::TrainingJob job;
  return Answer(stub_->Train(&context, request, &job), job);
}

absl::StatusOr<v1::TrainingJob> TrainingClient::Get(const std::string& job_id) {
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  v1::GetJobRequest request;
  request.set_job_id(job_id);
  v1::TrainingJob job;
  return Answer(stub_->GetJob(&context, request, &job), job);
}

absl::StatusOr<v1::TrainingJob> TrainingClient::Find(const std::string& operation_id) {
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  v1::GetJobRequest request;
  request.set_operation_id(operation_id);
  v1::TrainingJob job;
  return Answer(stub_->GetJob(&context, request, &job), job);
}

absl::StatusOr<v1::TrainingJob> TrainingClient::Cancel(const std::string& job_id) {
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  v1::CancelJobRequest request;
  request.set_job_id(job_id);
  v1::TrainingJob job;
  return Answer(stub_->CancelJob(&context, request, &job), job);
}

absl::StatusOr<v1::ListJobsResponse> TrainingClient::List(const std::string& task,
                                                          uint32_t page_size,
                                                          const std::string& page_token) {
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  v1::ListJobsRequest request;
  request.set_task(task);
  request.set_page_size(page_size);
  request.set_page_token(page_token);
  v1::ListJobsResponse response;
  return Answer(stub_->ListJobs(&context, request, &response), response);
}

absl::StatusOr<v1::Dataset> TrainingClient::Upload(const v1::DataChunk::Header& header,
                                                   const std::vector<std::string>& chunks) {
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  v1::Dataset dataset;
  const auto writer = stub_->UploadDataset(&context, &dataset);
  v1::DataChunk message;
  *message.mutable_header() = header;
  bool open = writer->Write(message);
  for (size_t i = 0; open && i < chunks.size(); ++i) {
    message.set_chunk(chunks[i]);
    open = writer->Write(message);
  }
  writer->WritesDone();
  return Answer(writer->Finish(), dataset);
}

absl::StatusOr<std::vector<v1::JobEvent>> TrainingClient::Watch(const std::string& job_id,
                                                                uint64_t after,
                                                                const Enough& enough) {
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  v1::WatchJobRequest request;
  request.set_job_id(job_id);
  request.set_after_event(after);
  const auto reader = stub_->WatchJob(&context, request);
  std::vector<v1::JobEvent> events;
  v1::JobEvent event;
  while (reader->Read(&event)) {
    events.push_back(event);
    if (!enough || !enough(event)) continue;
    context.TryCancel();
    reader->Finish();
    return events;
  }
  return Answer(reader->Finish(), events);
}

absl::StatusOr<v1::TrainingJob> TrainingClient::Await(const std::string& job_id) {
  const auto events = Watch(job_id);
  if (!events.ok()) return events.status();
  return Get(job_id);
}

absl::StatusOr<v1::TrainingJob> TrainingClient::TrainToTheEnd(const v1::TrainRequest& request) {
  const auto job = Train(request);
  if (!job.ok()) return job;
  return Await(job->job_id());
}

TemporaryDirectory* TrainingTest::directory_ = nullptr;
TestServer* TrainingTest::server_ = nullptr;
TrainingClient* TrainingTest::client_ = nullptr;

void TrainingTest::SetUpTestSuite() {
  directory_ = new TemporaryDirectory();
  Config config = TrainingConfig(directory_->path() + "/state");
  config.data_directories = {directory_->path()};
  server_ = new TestServer(config);
  client_ = new TrainingClient(server_->channel());
}

void TrainingTest::TearDownTestSuite() {
  delete client_;
  delete server_;
  delete directory_;
}

std::string TrainingTest::Name() {
  const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
  return absl::StrReplaceAll(absl::AsciiStrToLower(name.substr(0, 60)), {{"/", "-"}});
}

v1::TrainRequest TrainingTest::Small(const std::string& suffix) {
  v1::TrainRequest request = SmallTraining(Name() + suffix);
  request.set_task(Name());
  return request;
}

v1::TrainRequest TrainingTest::Endless(const std::string& suffix) {
  v1::TrainRequest request = EndlessTraining(Name() + suffix);
  request.set_task(Name());
  return request;
}

TrainingClient::Enough Reached(uint64_t step) {
  return [step](const v1::JobEvent& event) { return event.job().step() >= step; };
}

}  // namespace ddpt
