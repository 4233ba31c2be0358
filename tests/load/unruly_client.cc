// unruly-client TARGET TASK SEED: a client as none should be, for tests/load/soak. Four connections
// each make one call after another until the process is killed; calls are cancelled at any moment,
// given deadlines that cannot be kept, left unread, left half sent.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "ddpt/v1/code.grpc.pb.h"
#include "ddpt/v1/prompt.grpc.pb.h"
#include "ddpt/v1/task.grpc.pb.h"
#include "ddpt/v1/training.grpc.pb.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;

constexpr size_t kConnections = 4;
constexpr uint32_t kSoon = 100;     // ms, before which a call is cut off
constexpr uint32_t kUnread = 3000;  // ms, for which a stream is left unread

// Windows of a byte, so that what is not read waits in the server, and a connection of its own.
std::shared_ptr<grpc::Channel> Connect(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

class Unruly {
 public:
  Unruly(const std::shared_ptr<grpc::Channel>& channel, std::string task, uint64_t seed)
      : prompts_(v1::PromptService::NewStub(channel)),
        code_(v1::CodeService::NewStub(channel)),
        tasks_(v1::TaskService::NewStub(channel)),
        training_(v1::TrainingService::NewStub(channel)),
        task_(std::move(task)),
        random_(seed) {}

  // Makes one call.
  void Act() {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    std::thread canceller;
    switch (Below(3)) {
      case 0:
        break;
      case 1:
        context.set_deadline(std::chrono::system_clock::now() + milliseconds(Below(kSoon)));
        break;
      default:
        canceller = std::thread([&context, wait = milliseconds(Below(kSoon))] {
          std::this_thread::sleep_for(wait);
          context.TryCancel();
        });
    }
    switch (Below(8)) {
      case 0:
      case 1:
        Sample(context);
        break;
      case 2:
      case 3:
      case 4:
        Generate(context);
        break;
      case 5:
        Score(context);
        break;
      case 6:
        Import(context);
        break;
      default:
        Upload(context);
    }
    if (canceller.joinable()) canceller.join();
  }

 private:
  uint32_t Below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }

  void Sample(grpc::ClientContext& context) {
    v1::SampleRequest request;
    request.set_task(task_);
    request.set_count(1 + Below(8));
    request.mutable_sampling()->set_steps(1 + Below(500));
    v1::SampleResponse response;
    prompts_->Sample(&context, request, &response);
    if (response.prompts().empty() || Below(2) == 0) return;
    v1::ReplayRequest replay;
    replay.set_prompt_id(response.prompts(0).prompt_id());
    grpc::ClientContext again;
    prompts_->Replay(&again, replay, &response);
  }

  void Generate(grpc::ClientContext& context) {
    v1::GenerateRequest request;
    request.set_instruction("return the sum of a list");
    if (Below(2) == 0) request.mutable_prompt()->set_task(task_);
    request.mutable_decoding()->set_temperature(5);  // ends by chance alone, so late
    request.mutable_decoding()->set_n(1 + Below(16));
    request.mutable_decoding()->set_logprobs(true);
    const auto reader = code_->Generate(&context, request);
    v1::GenerateResponse message;
    const uint32_t wanted = Below(2) == 0 ? ~uint32_t{0} : Below(20);
    for (uint32_t i = 0; i < wanted && reader->Read(&message); ++i) continue;
    if (Below(4) == 0) std::this_thread::sleep_for(milliseconds(Below(kUnread)));
    context.TryCancel();
    reader->Finish();
  }

  void Score(grpc::ClientContext& context) {
    v1::ScoreRequest request;
    request.set_instruction("return the sum of a list");
    request.set_code("def f(x):\n    return sum(x)\n");
    for (uint32_t i = Below(16); i > 0; --i) request.add_alternatives()->set_task(task_);
    v1::ScoreResponse response;
    code_->Score(&context, request, &response);
  }

  void Import(grpc::ClientContext& context) {
    v1::TaskInfo response;
    const auto writer = tasks_->ImportTask(&context, &response);
    v1::ImportTaskRequest request;
    request.mutable_header()->set_task("unruly");
    SendSome(*writer, request);
    context.TryCancel();  // or it would be told that this is no denoiser
    writer->Finish();
  }

  void Upload(grpc::ClientContext& context) {
    v1::Dataset response;
    const auto writer = training_->UploadDataset(&context, &response);
    v1::DataChunk request;
    request.mutable_header();
    SendSome(*writer, request);
    if (Below(2) == 0) context.TryCancel();
    writer->WritesDone();
    writer->Finish();
  }

  template <typename Writer, typename Request>
  void SendSome(Writer& writer, Request& request) {
    if (!writer.Write(request)) return;
    request.set_chunk(std::string(1 + Below(1 << 18), 'x'));
    for (uint32_t i = Below(8); i > 0 && writer.Write(request); --i) continue;
  }

  const std::unique_ptr<v1::PromptService::Stub> prompts_;
  const std::unique_ptr<v1::CodeService::Stub> code_;
  const std::unique_ptr<v1::TaskService::Stub> tasks_;
  const std::unique_ptr<v1::TrainingService::Stub> training_;
  const std::string task_;
  std::mt19937_64 random_;
};

}  // namespace
}  // namespace ddpt

int main(int argc, char** argv) {
  uint64_t seed = 0;
  if (argc != 4 || !absl::SimpleAtoi(argv[3], &seed)) {
    std::cerr << "usage: unruly-client TARGET TASK SEED\n";
    return 2;
  }
  std::vector<std::thread> connections;
  for (uint64_t i = 0; i < ddpt::kConnections; ++i) {
    connections.emplace_back([=] {
      ddpt::Unruly client(ddpt::Connect(argv[1]), argv[2], ddpt::kConnections * seed + i);
      while (true) client.Act();
    });
  }
  for (std::thread& connection : connections) connection.join();
}
