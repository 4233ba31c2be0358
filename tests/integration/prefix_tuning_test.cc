#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/status.h"
#include "core/base/status.h"
#include "ddpt/v1/code.grpc.pb.h"
#include "ddpt/v1/model.grpc.pb.h"
#include "tests/integration/code_fixture.h"
#include "tests/integration/training_fixture.h"

namespace ddpt {
namespace {

using testing::HasSubstr;

class PrefixTuningTest : public TrainingTest, public testing::WithParamInterface<v1::PrefixPlace> {
 protected:
  // A job of the running test that has ended well.
  v1::TrainingJob Trained() {
    v1::TrainRequest request = Small();
    MakePrefix(request, GetParam());
    request.mutable_options()->set_steps(30);
    const auto job = client_->TrainToTheEnd(request);
    EXPECT_TRUE(job.ok()) << job.status();
    EXPECT_EQ(job->state(), v1::TrainingJob::STATE_SUCCEEDED) << job->error();
    return job.value();
  }

  static v1::ScoreRequest ScoreOf(const v1::PromptSource& prompt) {
    v1::ScoreRequest request;
    request.set_instruction("add 3 to größe");
    request.set_code("def add(a):\n    return a + 3\n");
    *request.mutable_prompt() = prompt;
    return request;
  }
  v1::PromptSource Task() const {
    v1::PromptSource prompt;
    prompt.set_task(Name());
    return prompt;
  }
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request) {
    grpc::ClientContext context;
    v1::ScoreResponse response;
    const grpc::Status status = code_->Score(&context, request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response;
  }
  std::vector<uint32_t> Generate(const v1::PromptSource& prompt, uint32_t tokens = 12) {
    v1::GenerateRequest request;
    request.set_instruction("add 3 to größe");
    *request.mutable_prompt() = prompt;
    request.mutable_decoding()->set_max_new_tokens(tokens);
    const Generated generated = OpenStream(*code_, request).Finish();
    EXPECT_TRUE(generated.status.ok()) << generated.status;
    return IdsOf(generated.Choice().token_ids());
  }

  const std::unique_ptr<v1::CodeService::Stub> code_ = v1::CodeService::NewStub(server_->channel());
};

INSTANTIATE_TEST_SUITE_P(Places, PrefixTuningTest,
                         testing::Values(v1::PREFIX_PLACE_ALL, v1::PREFIX_PLACE_DECODER),
                         [](const auto& info) {
                           return info.param == v1::PREFIX_PLACE_ALL ? "all" : "decoder";
                         });

TEST_P(PrefixTuningTest, BecomesAServedVersionThatHelps) {
  const v1::TrainingJob job = Trained();
  EXPECT_EQ(job.method(), v1::METHOD_PREFIX_TUNING);
  EXPECT_EQ(server_->GetTask(Name())->active_version(), 1u);
  EXPECT_LT(job.validation_nll(), job.validation_nll_none());
  const auto with = Score(ScoreOf(Task())), without = Score(ScoreOf({}));
  ASSERT_TRUE(with.ok()) << with.status();
  EXPECT_EQ(with->receipt().denoiser_digest(), job.denoiser_digest());
  EXPECT_LT(with->nll(), without->nll());
  EXPECT_NE(Generate(Task()), Generate({}));
}

TEST_P(PrefixTuningTest, ItsIdAndItsEmbeddingAreTheSamePrompt) {
  Trained();
  const auto sample = server_->Sample(SampleOf(Name(), 1));
  ASSERT_TRUE(sample.ok()) << sample.status();
  v1::PromptSource id, embedding;
  id.set_prompt_id(sample->prompts(0).prompt_id());
  *embedding.mutable_embedding() = sample->prompts(0).embedding();
  v1::ScoreRequest request = ScoreOf(Task());
  *request.add_alternatives() = id;
  *request.add_alternatives() = embedding;
  *request.add_alternatives() = v1::PromptSource();
  const auto score = Score(request);
  ASSERT_TRUE(score.ok()) << score.status();
  EXPECT_NEAR(score->alternatives(0).nll(), score->nll(), 1e-6);
  EXPECT_NEAR(score->alternatives(1).nll(), score->nll(), 1e-6);
  EXPECT_GT(score->alternatives(2).nll(), score->nll() + 0.01);
  EXPECT_EQ(Generate(embedding), Generate(Task()));
}

TEST_P(PrefixTuningTest, TheModelTellsItsWidth) {
  Trained();
  grpc::ClientContext context;
  v1::ModelInfo info;
  const auto models = v1::ModelService::NewStub(server_->channel());
  ASSERT_TRUE(models->GetModel(&context, {}, &info).ok());
  const auto sample = server_->Sample(SampleOf(Name(), 1));
  EXPECT_EQ(sample->prompts(0).embedding().shape(0), 3u);
  EXPECT_EQ(sample->prompts(0).embedding().shape(1),
            GetParam() == v1::PREFIX_PLACE_ALL ? info.prefix_width() : info.decoder_prefix_width());
}

TEST_P(PrefixTuningTest, DescribeTellsThatItHasNoNearestTokens) {
  Trained();
  grpc::ClientContext context;
  v1::DescribeRequest request;
  *request.mutable_prompt() = Task();
  v1::DescribeResponse response;
  const absl::Status status =
      FromGrpcStatus(server_->prompts().Describe(&context, request, &response));
  EXPECT_EQ(FieldOf(status), "prompt");
  EXPECT_THAT(std::string(status.message()), HasSubstr("prefix"));
}

TEST_P(PrefixTuningTest, IsComparedWithASoftPromptWhereTheBetterIsPromoted) {
  ASSERT_TRUE(client_->TrainToTheEnd(Small("-soft")).ok());
  v1::TrainRequest request = Small();
  MakePrefix(request, GetParam());
  request.mutable_options()->set_steps(60);
  request.set_promote(v1::PROMOTE_POLICY_IF_BETTER);
  const auto events = client_->Watch(client_->Train(request)->job_id());
  ASSERT_TRUE(events.ok()) << events.status();
  EXPECT_TRUE(events->back().job().state() == v1::TrainingJob::STATE_SUCCEEDED);
  EXPECT_EQ(server_->GetTask(Name())->active_version(), 2u);
}

TEST_P(PrefixTuningTest, BestOfScoresItsDraws) {
  Trained();
  v1::SampleRequest request = SampleOf(Name(), 1);
  request.mutable_sampling()->set_best_of(2);
  const auto sample = server_->Sample(request);
  ASSERT_TRUE(sample.ok()) << sample.status();
}

}  // namespace
}  // namespace ddpt
