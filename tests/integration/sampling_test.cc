#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <thread>

#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/tensor.h"
#include "core/diffusion/full_space.h"
#include "core/diffusion/random_denoiser.h"
#include "tests/integration/child_server.h"
#include "tests/integration/model_fixture.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {
namespace {

class SamplingTest : public testing::Test {
 protected:
  SamplingTest() : server_(TestConfig(directory_.path())) {
    EXPECT_TRUE(server_.Import("small", DenoiserFile(SmallSpec(), 1)).ok());
  }

  TemporaryDirectory directory_;
  TestServer server_;
};

TEST_F(SamplingTest, GivesThePromptsOfTheReferenceLoop) {
  const auto response = server_.Sample(SampleOf("small", 7, 2));
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->prompts_size(), 2);
  FullSpaceSampler<float> reference(*RandomDenoiser(SmallSpec(), 1));
  SampleRow row;
  row.seed = 7;
  row.draw = 1;
  row.options.steps = 100;
  const auto expected = reference.Sample(row);
  const auto values = DecodeElements(response->prompts(1).embedding().data(), DataType::kFloat32);
  ASSERT_EQ(values.size(), expected->size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], (*expected)[i], 1e-4);
}

TEST_F(SamplingTest, ReceiptSaysWhatWasDone) {
  auto request = SampleOf("small", 7);
  request.mutable_sampling()->set_steps(10);
  request.mutable_sampling()->set_sampler(v1::SAMPLER_ANCESTRAL);
  const auto response = server_.Sample(request);
  ASSERT_TRUE(response.ok()) << response.status();
  const v1::Receipt& receipt = response->receipt();
  EXPECT_EQ(receipt.task(), "small");
  EXPECT_EQ(receipt.version(), 1u);
  EXPECT_EQ(receipt.denoiser_digest().size(), 64u);
  EXPECT_EQ(receipt.seed(), 7u);
  EXPECT_EQ(receipt.sampler(), v1::SAMPLER_ANCESTRAL);
  EXPECT_EQ(receipt.steps(), 10u);
  EXPECT_EQ(receipt.reading(), v1::READING_X0);
  EXPECT_EQ(receipt.arithmetic(), "fp32-cpu");
  EXPECT_EQ(receipt.batch_width(), 1u);
}

TEST_F(SamplingTest, SeedThatTheServerDrewMakesThePromptAgain) {
  auto request = SampleOf("small", 0);
  request.mutable_sampling()->clear_seed();
  const auto first = server_.Sample(request);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = server_.Sample(SampleOf("small", first->receipt().seed()));
  EXPECT_EQ(first->prompts(0).embedding().data(), second->prompts(0).embedding().data());
  EXPECT_EQ(first->prompts(0).prompt_id(), second->prompts(0).prompt_id());
}

TEST_F(SamplingTest, GivenNoiseIsUsedAndHasNoId) {
  auto request = SampleOf("small", 1);
  request.mutable_initial_noise()->add_shape(4);
  request.mutable_initial_noise()->add_shape(16);
  request.mutable_initial_noise()->set_data(
      EncodeElements(std::vector<float>(64, 0.5f), DataType::kFloat32));
  const auto with_noise = server_.Sample(request);
  ASSERT_TRUE(with_noise.ok()) << with_noise.status();
  EXPECT_EQ(with_noise->prompts(0).prompt_id(), "");
  const auto without = server_.Sample(SampleOf("small", 1));
  EXPECT_NE(with_noise->prompts(0).embedding().data(), without->prompts(0).embedding().data());
}

TEST_F(SamplingTest, NoiseForEachDraw) {
  auto request = SampleOf("small", 1, 2);
  for (const uint32_t size : {2u, 4u, 16u}) request.mutable_initial_noise()->add_shape(size);
  std::vector<float> noise(128, 0.5f);
  std::fill(noise.begin() + 64, noise.end(), -0.5f);
  request.mutable_initial_noise()->set_data(EncodeElements(noise, DataType::kFloat32));
  const auto response = server_.Sample(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_NE(response->prompts(0).embedding().data(), response->prompts(1).embedding().data());
}

TEST_F(SamplingTest, EmbeddingsCanBeLeftOutAndShortened) {
  auto request = SampleOf("small", 1);
  request.set_embedding_dtype(v1::DATA_TYPE_BFLOAT16);
  const auto shortened = server_.Sample(request);
  EXPECT_EQ(shortened->prompts(0).embedding().data().size(), 128u);
  EXPECT_EQ(shortened->prompts(0).embedding().dtype(), v1::DATA_TYPE_BFLOAT16);
  request.set_omit_embedding(true);
  const auto left_out = server_.Sample(request);
  EXPECT_FALSE(left_out->prompts(0).has_embedding());
  EXPECT_EQ(left_out->prompts(0).prompt_id(), shortened->prompts(0).prompt_id());
}

TEST_F(SamplingTest, ReplayGivesTheSameBytes) {
  for (const v1::Sampler sampler :
       {v1::SAMPLER_DDIM, v1::SAMPLER_ANCESTRAL, v1::SAMPLER_DPM_SOLVER_PP_2M}) {
    auto request = SampleOf("small", 3, 5);
    request.mutable_sampling()->set_sampler(sampler);
    const auto sampled = server_.Sample(request);
    ASSERT_TRUE(sampled.ok()) << sampled.status();
    for (const v1::Prompt& prompt : sampled->prompts()) {
      v1::ReplayRequest replay;
      replay.set_prompt_id(prompt.prompt_id());
      replay.set_require_exact(true);
      const auto again = server_.Replay(replay);
      ASSERT_TRUE(again.ok()) << again.status();
      EXPECT_EQ(again->prompts(0).embedding().data(), prompt.embedding().data());
      EXPECT_EQ(again->prompts(0).prompt_id(), prompt.prompt_id());
      EXPECT_TRUE(again->prompts(0).exact_replay());
    }
  }
}

TEST_F(SamplingTest, FullSpaceNoiseDiffersAndReplays) {
  auto request = SampleOf("small", 3, 2);
  request.mutable_sampling()->set_sampler(v1::SAMPLER_ANCESTRAL);
  const auto latent = server_.Sample(request);
  request.mutable_sampling()->set_full_space_noise(true);
  const auto full = server_.Sample(request);
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_NE(full->prompts(1).embedding().data(), latent->prompts(1).embedding().data());
  v1::ReplayRequest replay;
  replay.set_prompt_id(full->prompts(1).prompt_id());
  EXPECT_EQ(server_.Replay(replay)->prompts(0).embedding().data(),
            full->prompts(1).embedding().data());
}

TEST_F(SamplingTest, ReplayStaysWithItsVersion) {
  const auto old = server_.Sample(SampleOf("small", 3));
  ASSERT_TRUE(server_.Import("small", DenoiserFile(SmallSpec(), 2)).ok());
  EXPECT_EQ(server_.Sample(SampleOf("small", 3))->receipt().version(), 2u);
  v1::ReplayRequest replay;
  replay.set_prompt_id(old->prompts(0).prompt_id());
  const auto again = server_.Replay(replay);
  EXPECT_EQ(again->receipt().version(), 1u);
  EXPECT_EQ(again->prompts(0).embedding().data(), old->prompts(0).embedding().data());
}

TEST_F(SamplingTest, ReplayOfADeletedTaskIsNotFound) {
  const auto sampled = server_.Sample(SampleOf("small", 3));
  grpc::ClientContext context;
  v1::DeleteTaskRequest request;
  request.set_task("small");
  v1::DeleteTaskResponse response;
  ASSERT_TRUE(server_.tasks().DeleteTask(&context, request, &response).ok());
  v1::ReplayRequest replay;
  replay.set_prompt_id(sampled->prompts(0).prompt_id());
  EXPECT_TRUE(absl::IsNotFound(server_.Replay(replay).status()));
}

TEST_F(SamplingTest, CountIsBoundedByTheMessage) {
  DenoiserSpec wide = SmallSpec();
  wide.width = 4096;
  ASSERT_TRUE(server_.Import("wide", DenoiserFile(wide, 1)).ok());
  const auto status = server_.Sample(SampleOf("wide", 1, 100)).status();
  EXPECT_EQ(FieldOf(status), "count");
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("the largest count is 63"));
  auto largest = SampleOf("wide", 1, 63);
  largest.mutable_sampling()->set_steps(1);
  EXPECT_TRUE(server_.Sample(largest).ok());
}

void KeepThisThreadToOneProcessor() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
}

// The condition is the model's work, whose last bits must not depend on how many processors it has.
TEST(ConditionalReplayTest, ServerWithMoreProcessorsGivesTheSameBytes) {
  constexpr uint32_t kMostTokens = 12;
  TemporaryDirectory directory;
  const std::string state = directory.path() + "/state",
                    file = directory.path() + "/conditional.safetensors";
  DenoiserSpec spec = SmallSpec();
  spec.condition_width = spec.width;
  ASSERT_TRUE(WriteFileAtomic(file, DenoiserFile(spec, 1)).ok());
  auto arguments = ChildArguments(state, RandomModel());
  arguments.insert(arguments.end(), {"--import-task", "conditional=" + file});
  const auto stub = [&] {
    return v1::PromptService::NewStub(
        grpc::CreateChannel(AwaitEndpoints(state)["grpc"], grpc::InsecureChannelCredentials()));
  };
  std::vector<std::string> prompt_ids;
  std::thread([&] {
    KeepThisThreadToOneProcessor();
    ChildServer child(arguments);
    const auto prompts = stub();
    v1::SampleRequest request = SampleOf("conditional", 1);
    for (uint32_t token = 1; token <= kMostTokens; ++token) {
      request.mutable_instruction_ids()->add_ids(token);
      grpc::ClientContext context;
      v1::SampleResponse response;
      ASSERT_TRUE(prompts->Sample(&context, request, &response).ok());
      prompt_ids.push_back(response.prompts(0).prompt_id());
    }
  }).join();
  ASSERT_EQ(prompt_ids.size(), kMostTokens);
  std::filesystem::remove(state + "/endpoints.json");
  ChildServer child(arguments);
  const auto prompts = stub();
  v1::ReplayRequest request;
  request.set_require_exact(true);
  for (uint32_t token = 1; token <= kMostTokens; ++token) {
    request.set_prompt_id(prompt_ids[token - 1]);
    request.mutable_instruction_ids()->add_ids(token);
    grpc::ClientContext context;
    v1::SampleResponse response;
    const grpc::Status status = prompts->Replay(&context, request, &response);
    EXPECT_TRUE(status.ok()) << token << " tokens: " << status.error_message();
  }
}

}  // namespace
}  // namespace ddpt
