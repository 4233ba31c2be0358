#include "tests/integration/server_fixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "client/http_get.h"
#include "client/status.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/diffusion/random_denoiser.h"
#include "tests/device.h"
#include "tests/integration/raw_call.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr size_t kChunk = 1 << 16;

template <typename Response>
absl::StatusOr<Response> Answer(const grpc::Status& status, const Response& response) {
  if (!status.ok()) return FromGrpcStatus(status);
  return response;
}

}  // namespace

void SetTimeout(grpc::ClientContext& context, milliseconds timeout) {
  context.set_deadline(system_clock::now() + timeout);
}

void Spin(std::chrono::microseconds time) {
  const auto end = steady_clock::now() + time;
  while (steady_clock::now() < end) continue;
}

TemporaryDirectory::TemporaryDirectory() {
  path_ = testing::TempDir() + "ddpt-XXXXXX";
  EXPECT_NE(mkdtemp(path_.data()), nullptr);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

DenoiserSpec SmallSpec() {
  DenoiserSpec spec;
  spec.train_steps = 100;
  spec.context_length = 4;
  spec.width = 16;
  spec.latent = 16;
  spec.layers = 1;
  spec.time_features = 8;
  spec.method = Method::kRandom;
  return spec;
}

DenoiserSpec SlowSpec() {
  DenoiserSpec spec = SmallSpec();
  spec.train_steps = 10'000;
  spec.beta_end = 0.002;
  const bool gpu = TestDevice() != "cpu";  // which has no trouble with a small one
  spec.latent = gpu ? 1024 : 128;
  spec.layers = gpu ? 4 : 2;
  return spec;
}

std::string DenoiserFile(const DenoiserSpec& spec, uint64_t seed) {
  auto file = Denoiser::Serialize(spec, RandomWeights(spec, seed));
  EXPECT_TRUE(file.ok()) << file.status();
  return *file;
}

Config TestConfig(const std::string& state) {
  Config config;
  config.listen = "127.0.0.1:0";
  config.metrics_listen = "127.0.0.1:0";
  config.state = state;
  config.model = "none";
  config.device = TestDevice();
  config.dtype = "float32";  // figures are compared
  config.threads = 1;
  config.log_level = "off";
  return config;
}

TestServer::TestServer(Config config) {
  auto server = Server::Create(std::move(config));
  if (!server.ok()) {
    ADD_FAILURE() << server.status();
    std::abort();
  }
  server_ = *std::move(server);
  EXPECT_TRUE(server_->Serve().ok());
  channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  prompts_ = v1::PromptService::NewStub(channel_);
  tasks_ = v1::TaskService::NewStub(channel_);
}

absl::StatusOr<v1::SampleResponse> TestServer::Sample(const v1::SampleRequest& request,
                                                      milliseconds timeout) {
  grpc::ClientContext context;
  SetTimeout(context, timeout);
  v1::SampleResponse response;
  return Answer(prompts_->Sample(&context, request, &response), response);
}

absl::StatusOr<v1::SampleResponse> TestServer::Replay(const v1::ReplayRequest& request) {
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  v1::SampleResponse response;
  return Answer(prompts_->Replay(&context, request, &response), response);
}

absl::StatusOr<v1::TaskInfo> TestServer::Import(const v1::ImportTaskRequest::Header& header,
                                                const std::string& file) {
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  v1::TaskInfo response;
  const auto writer = tasks_->ImportTask(&context, &response);
  v1::ImportTaskRequest request;
  *request.mutable_header() = header;
  bool open = writer->Write(request);
  for (size_t begin = 0; open && begin < file.size(); begin += kChunk) {
    request.set_chunk(file.substr(begin, kChunk));
    open = writer->Write(request);
  }
  writer->WritesDone();
  return Answer(writer->Finish(), response);
}

absl::StatusOr<v1::TaskInfo> TestServer::Import(const std::string& task, const std::string& file) {
  v1::ImportTaskRequest::Header header;
  header.set_task(task);
  return Import(header, file);
}

absl::StatusOr<v1::TaskInfo> TestServer::GetTask(const std::string& task) {
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  v1::GetTaskRequest request;
  request.set_task(task);
  v1::TaskInfo response;
  return Answer(tasks_->GetTask(&context, request, &response), response);
}

double TestServer::Metric(const std::string& family, const std::vector<std::string>& labels) {
  return ScrapeMetric(server_->metrics_address(), family, labels);
}

void TestServer::AwaitMetric(const std::string& family, const std::vector<std::string>& labels,
                             double value) {
  const auto deadline = steady_clock::now() + kTimeout;
  while (Metric(family, labels) != value) {
    ASSERT_LT(steady_clock::now(), deadline) << family << " is " << Metric(family, labels);
    std::this_thread::yield();
  }
}

int TestServer::Health(const std::string& service) { return AskHealth(channel_, service); }

double ScrapeMetric(const std::string& address, const std::string& family,
                    const std::vector<std::string>& labels) {
  const auto text = HttpGet(address, "/metrics", milliseconds(10'000));
  EXPECT_TRUE(text.ok()) << text.status();
  if (!text.ok()) return -1;
  double sum = 0;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    const bool wanted =
        (absl::StartsWith(line, family + "{") || absl::StartsWith(line, family + " ")) &&
        std::all_of(labels.begin(), labels.end(),
                    [&](const std::string& label) { return absl::StrContains(line, label); });
    double value = 0;
    if (wanted && absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) sum += value;
  }
  return sum;
}

// The messages of grpc.health.v1 are one field each: the service's name, the status.
int AskHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  const auto reply = RawCall(channel, "/grpc.health.v1.Health/Check",
                             {std::string("\x0a") + static_cast<char>(service.size()) + service});
  if (!reply.ok()) return -1;
  return reply->size() == 2 ? (*reply)[1] : 0;
}

v1::SampleRequest SampleOf(const std::string& task, uint64_t seed, uint32_t count) {
  v1::SampleRequest request;
  request.set_task(task);
  request.set_count(count);
  request.mutable_sampling()->set_seed(seed);
  return request;
}

v1::SampleRequest MinutesOfSampling() {
  v1::SampleRequest request = SampleOf("slow", 1, 1000);
  request.mutable_sampling()->set_steps(10'000);
  return request;
}

struct LongSample::State {
  grpc::ClientContext context;
  std::future<absl::Status> ended;
};

LongSample::LongSample(TestServer& server) : state_(std::make_unique<State>()) {
  const double running = server.Metric("ddpt_requests_running", {"rpc=\"Sample\""});
  state_->ended = std::async(std::launch::async, [&server, state = state_.get()] {
    v1::SampleResponse response;
    return FromGrpcStatus(server.prompts().Sample(&state->context, MinutesOfSampling(), &response));
  });
  server.AwaitMetric("ddpt_requests_running", {"rpc=\"Sample\""}, running + 1);
}

LongSample::~LongSample() {
  if (state_->ended.valid()) static_cast<void>(Cancel());
}

absl::Status LongSample::Cancel() {
  state_->context.TryCancel();
  return state_->ended.get();
}

}  // namespace ddpt
