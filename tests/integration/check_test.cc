#include "client/check.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>

#include <map>

#include "ddpt/v1/code.grpc.pb.h"
#include "ddpt/v1/model.grpc.pb.h"
#include "ddpt/v1/prompt.grpc.pb.h"
#include "ddpt/v1/task.grpc.pb.h"
#include "tests/integration/model_fixture.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {
namespace {

using testing::HasSubstr;

// What a broken build would do.
enum class Flaw {
  kNone,
  kServesNothing,       // health says that it serves
  kForgetsFields,       // errors without details
  kOtherBytes,          // Replay gives another prompt
  kIgnoresPrompts,      // generates and scores without the prompt
  kLosesText,           // tokens of a stream are lost
  kGoesOnAfterCancels,  // the caller is gone, the work is not
  kForgetsWhenToRetry,  // a full queue without a time to come back
};

// A real server seen through one that passes every call on, but for a flaw.
class Front final : public v1::PromptService::Service,
                    public v1::TaskService::Service,
                    public v1::CodeService::Service,
                    public v1::ModelService::Service {
 public:
  Front(const std::shared_ptr<grpc::Channel>& real, Flaw flaw)
      : flaw_(flaw),
        prompts_(v1::PromptService::NewStub(real)),
        tasks_(v1::TaskService::NewStub(real)),
        code_(v1::CodeService::NewStub(real)),
        model_(v1::ModelService::NewStub(real)) {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(static_cast<v1::PromptService::Service*>(this));
    builder.RegisterService(static_cast<v1::TaskService::Service*>(this));
    builder.RegisterService(static_cast<v1::CodeService::Service*>(this));
    builder.RegisterService(static_cast<v1::ModelService::Service*>(this));
    server_ = builder.BuildAndStart();
    server_->GetHealthCheckService()->SetServingStatus("", true);
    server_->GetHealthCheckService()->SetServingStatus("small", true);
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  ~Front() override { server_->Shutdown(); }

  const std::string& address() const { return address_; }

  grpc::Status Sample(grpc::ServerContext* context, const v1::SampleRequest* request,
                      v1::SampleResponse* response) override {
    if (flaw_ == Flaw::kServesNothing) return {grpc::StatusCode::INTERNAL, "no device"};
    const auto onward = Onward(*context);
    return Blur(prompts_->Sample(onward.get(), *request, response));
  }
  grpc::Status Replay(grpc::ServerContext* context, const v1::ReplayRequest* request,
                      v1::SampleResponse* response) override {
    const auto onward = Onward(*context);
    const grpc::Status status = prompts_->Replay(onward.get(), *request, response);
    if (flaw_ == Flaw::kOtherBytes && status.ok()) {
      response->mutable_prompts(0)->mutable_embedding()->mutable_data()->front() ^= 1;
    }
    return Blur(status);
  }
  grpc::Status ListTasks(grpc::ServerContext* context, const v1::ListTasksRequest* request,
                         v1::ListTasksResponse* response) override {
    const auto onward = Onward(*context);
    return tasks_->ListTasks(onward.get(), *request, response);
  }
  grpc::Status GetTask(grpc::ServerContext* context, const v1::GetTaskRequest* request,
                       v1::TaskInfo* response) override {
    const auto onward = Onward(*context);
    return tasks_->GetTask(onward.get(), *request, response);
  }
  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                        grpc::ServerWriter<v1::GenerateResponse>* writer) override {
    grpc::ClientContext detached;
    const auto propagated = Onward(*context);
    const bool deaf = flaw_ == Flaw::kGoesOnAfterCancels;
    v1::GenerateRequest passed = *request;
    if (flaw_ == Flaw::kIgnoresPrompts) passed.clear_prompt();
    // A small model is done with one long answer too soon to be seen at it.
    if (deaf && passed.decoding().max_new_tokens() > 1000) passed.mutable_decoding()->set_n(16);
    const auto reader = code_->Generate(deaf ? &detached : propagated.get(), passed);
    v1::GenerateResponse message;
    for (int number = 0; reader->Read(&message); ++number) {
      if (flaw_ == Flaw::kLosesText && number == 0) message.clear_token_ids();
      if (!writer->Write(message) && !deaf) propagated->TryCancel();
    }
    return Blur(reader->Finish());
  }
  grpc::Status Score(grpc::ServerContext* context, const v1::ScoreRequest* request,
                     v1::ScoreResponse* response) override {
    const auto onward = Onward(*context);
    v1::ScoreRequest passed = *request;
    if (flaw_ == Flaw::kIgnoresPrompts) passed.clear_prompt();
    return code_->Score(onward.get(), passed, response);
  }
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        v1::ModelInfo* response) override {
    const auto onward = Onward(*context);
    return model_->GetModel(onward.get(), *request, response);
  }
  grpc::Status Detokenize(grpc::ServerContext* context, const v1::DetokenizeRequest* request,
                          v1::DetokenizeResponse* response) override {
    const auto onward = Onward(*context);
    return model_->Detokenize(onward.get(), *request, response);
  }

 private:
  static std::unique_ptr<grpc::ClientContext> Onward(const grpc::ServerContext& context) {
    return grpc::ClientContext::FromServerContext(context);
  }
  grpc::Status Blur(const grpc::Status& status) const {
    const bool full = status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
    const bool blurred =
        (flaw_ == Flaw::kForgetsFields && !full) || (flaw_ == Flaw::kForgetsWhenToRetry && full);
    return blurred ? grpc::Status(status.error_code(), status.error_message()) : status;
  }

  const Flaw flaw_;
  const std::unique_ptr<v1::PromptService::Stub> prompts_;
  const std::unique_ptr<v1::TaskService::Stub> tasks_;
  const std::unique_ptr<v1::CodeService::Stub> code_;
  const std::unique_ptr<v1::ModelService::Stub> model_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

class CheckTest : public testing::Test {
 protected:
  CheckTest() : server_(ConfigOf(directory_.path() + "/state")) {
    EXPECT_TRUE(server_.Import("small", DenoiserFile(SmallSpec(), 1)).ok());
  }

  static Config ConfigOf(const std::string& state) {
    Config config = TestConfig(state);
    config.model = RandomModel();
    config.sample_limit = 10;
    config.sample_limit_per_task = 10;
    return config;
  }

  // The results through a front with the flaw, by name.
  std::map<std::string, CheckResult> Check(Flaw flaw) {
    const Front front(server_.channel(), flaw);
    CheckOptions options;
    options.connection.target = front.address();
    options.metrics = server_.server().metrics_address();
    options.overload = 256;
    options.load = std::chrono::milliseconds(100);
    options.patience = std::chrono::milliseconds(1000);
    std::map<std::string, CheckResult> by_name;
    for (const CheckResult& result : RunChecks(options, [](const CheckResult&) {})) {
      by_name[result.name] = result;
    }
    return by_name;
  }

  // That this one check fails, and tells why.
  void ExpectFailure(Flaw flaw, const std::string& name, const std::string& words) {
    for (const auto& [other, result] : Check(flaw)) {
      if (other != name) {
        EXPECT_NE(result.outcome, CheckResult::Outcome::kFailed) << other << ": " << result.detail;
        continue;
      }
      EXPECT_EQ(result.outcome, CheckResult::Outcome::kFailed);
      EXPECT_THAT(result.detail, HasSubstr(words));
    }
  }

  TemporaryDirectory directory_;
  TestServer server_;
};

TEST_F(CheckTest, AServerPasses) {
  const auto results = Check(Flaw::kNone);
  EXPECT_EQ(results.size(), 11u);
  for (const auto& [name, result] : results) {
    const auto expected =
        name == "drain" ? CheckResult::Outcome::kSkipped : CheckResult::Outcome::kPassed;
    EXPECT_EQ(result.outcome, expected) << name << ": " << result.detail;
  }
}

TEST_F(CheckTest, HealthThatLiesIsFound) {
  const auto results = Check(Flaw::kServesNothing);
  EXPECT_EQ(results.at("health").outcome, CheckResult::Outcome::kFailed);
  EXPECT_THAT(results.at("health").detail, HasSubstr("says that it serves, but does not"));
}

TEST_F(CheckTest, RefusalsWithoutAFieldAreFound) {
  ExpectFailure(Flaw::kForgetsFields, "limits", "names \"\", not task");
}

TEST_F(CheckTest, AReplayOfOtherBytesIsFound) {
  const auto results = Check(Flaw::kOtherBytes);
  EXPECT_EQ(results.at("replay").outcome, CheckResult::Outcome::kFailed);
  EXPECT_EQ(results.at("replay under load").outcome, CheckResult::Outcome::kFailed);
}

TEST_F(CheckTest, APromptThatIsIgnoredIsFound) {
  const auto results = Check(Flaw::kIgnoresPrompts);
  EXPECT_EQ(results.at("prompt effect").outcome, CheckResult::Outcome::kFailed);
  EXPECT_THAT(results.at("prompt effect").detail, HasSubstr("changes nothing"));
}

TEST_F(CheckTest, ALostPieceOfAStreamIsFound) {
  ExpectFailure(Flaw::kLosesText, "stream", "the usage says 48 tokens, ");
}

TEST_F(CheckTest, WorkThatOutlivesItsCallIsFound) {
  ExpectFailure(Flaw::kGoesOnAfterCancels, "cancel", "the work still runs");
}

TEST_F(CheckTest, AFullQueueWithoutATimeToComeBackIsFound) {
  ExpectFailure(Flaw::kForgetsWhenToRetry, "overload", "without a time to come back");
}

TEST(CheckWithoutServerTest, NobodyThereIsOneFailedCheck) {
  CheckOptions options;
  options.connection.target = "127.0.0.1:1";
  options.connection.deadline = std::chrono::milliseconds(2000);
  const auto results = RunChecks(options, [](const CheckResult&) {});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].outcome, CheckResult::Outcome::kFailed);
  EXPECT_THAT(results[0].detail, HasSubstr("UNAVAILABLE"));
}

}  // namespace
}  // namespace ddpt
