#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <filesystem>

#include "core/base/status.h"
#include "ddpt/v1/code.grpc.pb.h"
#include "tests/integration/training_fixture.h"

namespace ddpt {
namespace {

using testing::HasSubstr;

constexpr char kInstruction[] = "add one to b";
constexpr char kCode[] = "return b + 1";

class BestOfTest : public TrainingTest {
 protected:
  // A task whose validation set is one example.
  static void Train(v1::TrainRequest request) {
    v1::Example* example = request.mutable_validation_examples()->add_examples();
    example->set_instruction(kInstruction);
    example->set_code(kCode);
    const auto job = client_->TrainToTheEnd(request);
    ASSERT_TRUE(job.ok()) << job.status();
    ASSERT_EQ(job->state(), v1::TrainingJob::STATE_SUCCEEDED) << job->error();
  }

  static v1::SampleRequest BestOf(uint32_t best_of, uint32_t count = 1) {
    v1::SampleRequest request = SampleOf(Name(), 5, count);
    request.mutable_sampling()->set_best_of(best_of);
    return request;
  }

  // Nats per token of the validation example.
  static double Nll(const std::string& prompt_id) {
    grpc::ClientContext context;
    v1::ScoreRequest request;
    v1::ScoreResponse response;
    request.set_instruction(kInstruction);
    request.set_code(kCode);
    request.mutable_prompt()->set_prompt_id(prompt_id);
    const auto stub = v1::CodeService::NewStub(server_->channel());
    EXPECT_TRUE(stub->Score(&context, request, &response).ok());
    return response.nll();
  }
};

TEST_F(BestOfTest, EachPromptIsTheBestOfItsDrawsOnTheValidationSet) {
  Train(Small());
  const auto all = server_->Sample(SampleOf(Name(), 5, 8));
  ASSERT_TRUE(all.ok()) << all.status();
  const auto best = server_->Sample(BestOf(4, 2));
  ASSERT_TRUE(best.ok()) << best.status();
  ASSERT_EQ(best->prompts_size(), 2);
  for (int i = 0; i < 2; ++i) {
    int expected = 4 * i;
    for (int draw = expected; draw < 4 * i + 4; ++draw) {
      if (Nll(all->prompts(draw).prompt_id()) < Nll(all->prompts(expected).prompt_id())) {
        expected = draw;
      }
    }
    EXPECT_EQ(best->prompts(i).prompt_id(), all->prompts(expected).prompt_id());
    EXPECT_EQ(best->prompts(i).embedding().data(), all->prompts(expected).embedding().data());
    EXPECT_NEAR(best->prompts(i).validation_nll(), Nll(best->prompts(i).prompt_id()), 1e-5);
  }
}

TEST_F(BestOfTest, TheWinnerCanBeReplayed) {
  Train(Small());
  const auto best = server_->Sample(BestOf(8));
  ASSERT_TRUE(best.ok()) << best.status();
  v1::ReplayRequest request;
  request.set_prompt_id(best->prompts(0).prompt_id());
  const auto replay = server_->Replay(request);
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_TRUE(replay->prompts(0).exact_replay());
  EXPECT_EQ(replay->prompts(0).embedding().data(), best->prompts(0).embedding().data());
}

TEST_F(BestOfTest, OfOneNothingIsScored) {
  Train(Small());
  const auto one = server_->Sample(BestOf(1));
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_FALSE(one->prompts(0).has_validation_nll());
}

TEST_F(BestOfTest, AVersionThatWasImportedHasNoValidationSet) {
  ASSERT_TRUE(server_->Import(Name(), DenoiserFile(SmallSpec(), 1)).ok());
  const auto refused = server_->Sample(BestOf(2));
  EXPECT_EQ(FieldOf(refused.status()), "sampling.best_of");
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("not trained here"));
}

TEST_F(BestOfTest, TheCallersExamplesChooseInsteadOfAValidationSet) {
  ASSERT_TRUE(server_->Import(Name(), DenoiserFile(SmallSpec(), 1)).ok());
  const auto all = server_->Sample(SampleOf(Name(), 5, 8));
  ASSERT_TRUE(all.ok()) << all.status();
  v1::SampleRequest request = BestOf(8);
  v1::Example& example = *request.mutable_sampling()->mutable_best_of_examples()->add_examples();
  example.set_instruction(kInstruction);
  example.set_code(kCode);
  const auto best = server_->Sample(request);
  ASSERT_TRUE(best.ok()) << best.status();
  const auto by_nll = [](const v1::Prompt& left, const v1::Prompt& right) {
    return Nll(left.prompt_id()) < Nll(right.prompt_id());
  };
  const auto& expected = *std::min_element(all->prompts().begin(), all->prompts().end(), by_nll);
  EXPECT_EQ(best->prompts(0).prompt_id(), expected.prompt_id());
  EXPECT_NEAR(best->prompts(0).validation_nll(), Nll(expected.prompt_id()), 1e-5);
}

TEST_F(BestOfTest, TheCallersExamplesAreCheckedBeforeAnythingIsDrawn) {
  Train(Small());
  v1::SampleRequest request = BestOf(2);
  request.mutable_sampling()->mutable_best_of_examples();
  EXPECT_THAT(std::string(server_->Sample(request).status().message()), HasSubstr("1..64"));
  request.mutable_sampling()->mutable_best_of_examples()->add_examples()->set_instruction("add");
  const auto refused = server_->Sample(request);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("sampling.best_of_examples"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("code"));
  request.mutable_sampling()->clear_best_of();
  EXPECT_THAT(std::string(server_->Sample(request).status().message()),
              HasSubstr("needs sampling.best_of"));
}

TEST_F(BestOfTest, ACallersExampleThatTheModelHasNoRoomForIsNamed) {
  Train(Small());
  v1::SampleRequest request = BestOf(2);
  v1::Example& example = *request.mutable_sampling()->mutable_best_of_examples()->add_examples();
  example.set_instruction(std::string(60'000, '!'));
  example.set_code(kCode);
  const auto refused = server_->Sample(request);
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status())) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("sampling.best_of_examples"));
}

TEST_F(BestOfTest, AConditionalTaskHasOtherInstructionsInItsValidationSet) {
  v1::TrainRequest request = Small();
  request.mutable_options()->set_conditional(true);
  Train(request);
  v1::SampleRequest sample = BestOf(2);
  sample.set_instruction("add");
  const auto refused = server_->Sample(sample);
  EXPECT_EQ(FieldOf(refused.status()), "sampling.best_of");
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("conditional"));
}

TEST_F(BestOfTest, GivenNoiseLeavesNothingToChoose) {
  Train(Small());
  v1::SampleRequest request = BestOf(2);
  request.mutable_initial_noise()->set_dtype(v1::DATA_TYPE_FLOAT32);
  const auto refused = server_->Sample(request);
  EXPECT_EQ(FieldOf(refused.status()), "sampling.best_of");
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("initial_noise"));
}

TEST_F(BestOfTest, AllDrawsTogetherHaveALimit) {
  Train(Small());
  const auto refused = server_->Sample(BestOf(64, 17));
  EXPECT_EQ(FieldOf(refused.status()), "sampling.best_of");
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("1088, above the limit of 1024"));
}

TEST_F(BestOfTest, TheValidationSetOutlivesARestart) {
  const TemporaryDirectory directory;
  const Config config = TrainingConfig(directory.path() + "/state");
  {
    TestServer server(config);
    TrainingClient client(server.channel());
    ASSERT_EQ(client.TrainToTheEnd(Small())->state(), v1::TrainingJob::STATE_SUCCEEDED);
  }
  TestServer server(config);
  const auto best = server.Sample(BestOf(2));
  ASSERT_TRUE(best.ok()) << best.status();
  EXPECT_GT(best->prompts(0).validation_nll(), 0);
}

}  // namespace
}  // namespace ddpt
