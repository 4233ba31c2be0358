#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <condition_variable>
#include <limits>
#include <mutex>

#include "absl/strings/match.h"
#include "client/status.h"
#include "core/base/digest.h"
#include "core/base/safetensors.h"
#include "core/base/status.h"
#include "core/base/tensor.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {
namespace {

using testing::HasSubstr;

class BadInputTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TemporaryDirectory();
    server_ = new TestServer(TestConfig(directory_->path()));
    ASSERT_TRUE(server_->Import("small", DenoiserFile(SmallSpec(), 1)).ok());
    DenoiserSpec residual = SmallSpec();
    residual.reading = Reading::kResidual;
    ASSERT_TRUE(server_->Import("residual", DenoiserFile(residual, 1)).ok());
    DenoiserSpec conditional = SmallSpec();
    conditional.condition_width = 8;
    ASSERT_TRUE(server_->Import("conditional", DenoiserFile(conditional, 1)).ok());
  }
  static void TearDownTestSuite() {
    delete server_;
    delete directory_;
  }

  // `status` is INVALID_ARGUMENT on `field`, and its message has `words`.
  static void ExpectRefused(const absl::Status& status, const std::string& field,
                            const std::string& words) {
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_EQ(FieldOf(status), field) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(words));
  }

  static v1::SampleRequest WithNoise(std::vector<uint32_t> shape, std::vector<float> values) {
    v1::SampleRequest request = SampleOf("small", 1);
    request.mutable_initial_noise()->mutable_shape()->Assign(shape.begin(), shape.end());
    request.mutable_initial_noise()->set_data(EncodeElements(values, DataType::kFloat32));
    return request;
  }

  static TemporaryDirectory* directory_;
  static TestServer* server_;
};

TemporaryDirectory* BadInputTest::directory_ = nullptr;
TestServer* BadInputTest::server_ = nullptr;

TEST_F(BadInputTest, UnknownTask) {
  const auto status = server_->Sample(SampleOf("nobody", 1)).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"nobody\""));
}

TEST_F(BadInputTest, UnknownVersion) {
  auto request = SampleOf("small", 1);
  request.set_version(9);
  const auto status = server_->Sample(request).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no version 9"));
}

TEST_F(BadInputTest, NoiseOfWrongShape) {
  ExpectRefused(server_->Sample(WithNoise({4, 17}, std::vector<float>(68))).status(),
                "initial_noise", "[4, 16]");
}

TEST_F(BadInputTest, NoiseOfWrongRank) {
  ExpectRefused(server_->Sample(WithNoise({64}, std::vector<float>(64))).status(), "initial_noise",
                "[4, 16]");
}

TEST_F(BadInputTest, NoiseThatIsHugeBySayingSo) {
  ExpectRefused(server_->Sample(WithNoise({1u << 31, 1u << 31}, {1})).status(), "initial_noise",
                "2147483648");
}

TEST_F(BadInputTest, NoiseWithTooFewBytes) {
  ExpectRefused(server_->Sample(WithNoise({4, 16}, {1})).status(), "initial_noise", "256");
}

TEST_F(BadInputTest, NoiseThatIsNotANumber) {
  std::vector<float> values(64);
  values[7] = std::numeric_limits<float>::quiet_NaN();
  ExpectRefused(server_->Sample(WithNoise({4, 16}, values)).status(), "initial_noise", "7");
}

TEST_F(BadInputTest, NoiseWhoseSquareIsNotANumber) {
  std::vector<float> values(64);
  values[7] = -1e38f;
  ExpectRefused(server_->Sample(WithNoise({4, 16}, values)).status(), "initial_noise",
                "element 7 of 64 is -1e+38, outside -10000..10000");
}

TEST_F(BadInputTest, ZeroSteps) {
  auto request = SampleOf("small", 1);
  request.mutable_sampling()->set_steps(0);
  ExpectRefused(server_->Sample(request).status(), "sampling.steps", "1..100");
}

TEST_F(BadInputTest, TooManySteps) {
  auto request = SampleOf("small", 1);
  request.mutable_sampling()->set_steps(2001);
  ExpectRefused(server_->Sample(request).status(), "sampling.steps", "2001");
}

TEST_F(BadInputTest, SamplerThatDoesNotFitTheReading) {
  auto request = SampleOf("residual", 1);
  request.mutable_sampling()->set_sampler(v1::SAMPLER_DDIM);
  ExpectRefused(server_->Sample(request).status(), "sampling.sampler", "ddim");
  request = SampleOf("small", 1);
  request.mutable_sampling()->set_sampler(v1::SAMPLER_RESIDUAL);
  ExpectRefused(server_->Sample(request).status(), "sampling.sampler", "residual");
}

TEST_F(BadInputTest, EtaAndGuidanceOutOfRange) {
  auto request = SampleOf("small", 1);
  request.mutable_sampling()->set_eta(std::nan(""));
  EXPECT_EQ(FieldOf(server_->Sample(request).status()), "sampling.eta");
  request = SampleOf("small", 1);
  request.mutable_sampling()->set_guidance_scale(21);
  EXPECT_EQ(FieldOf(server_->Sample(request).status()), "sampling.guidance_scale");
}

TEST_F(BadInputTest, CountAboveTheMessageLimit) {
  const auto status = server_->Sample(SampleOf("small", 1, 1025)).status();
  ExpectRefused(status, "count", "1..1024");
}

TEST_F(BadInputTest, ConditionalTaskWithoutInstruction) {
  ExpectRefused(server_->Sample(SampleOf("conditional", 1)).status(), "instruction", "conditional");
}

TEST_F(BadInputTest, ConditionalTaskWithoutBaseModel) {
  auto request = SampleOf("conditional", 1);
  request.set_instruction("sort a list");
  const auto status = server_->Sample(request).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("base model"));
}

TEST_F(BadInputTest, ForgedPromptId) {
  v1::ReplayRequest request;
  for (const char* id : {"", "dp1_", "dp1_AAAA", "nonsense", "dp2_AAAAAAAAAAAAAAAA"}) {
    request.set_prompt_id(id);
    ExpectRefused(server_->Replay(request).status(), "prompt_id", "prompt_id");
  }
  request.set_prompt_id(std::string(100'000, 'A'));
  ExpectRefused(server_->Replay(request).status(), "prompt_id", "100000");
}

TEST_F(BadInputTest, ChangedPromptId) {
  const auto response = server_->Sample(SampleOf("small", 1));
  std::string id = response->prompts(0).prompt_id();
  id[id.size() / 2] = id[id.size() / 2] == 'A' ? 'B' : 'A';
  v1::ReplayRequest request;
  request.set_prompt_id(id);
  EXPECT_EQ(FieldOf(server_->Replay(request).status()), "prompt_id");
}

TEST_F(BadInputTest, CorruptDenoiser) {
  const auto status = server_->Import("corrupt", "this is no safetensors file").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_TRUE(absl::IsNotFound(server_->GetTask("corrupt").status()));
}

TEST_F(BadInputTest, CutDenoiser) {
  std::string file = DenoiserFile(SmallSpec(), 2);
  file.resize(file.size() - 5);
  EXPECT_TRUE(absl::IsInvalidArgument(server_->Import("cut", file).status()));
}

TEST_F(BadInputTest, LyingDenoiser) {
  const float value = 1;
  const std::string file = SerializeSafetensors(
      {{"down.weight", {DataType::kFloat32, {1, 1}, {&value, 1}}}},
      {{"format", "ddpt-denoiser"}, {"format_version", "1"}, {"latent", "9999999999"}});
  const auto status = server_->Import("lying", file).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

TEST_F(BadInputTest, DenoiserThatIsNotANumber) {
  std::string file = DenoiserFile(SmallSpec(), 2);
  file.replace(file.size() - 4, 4, std::string("\x00\x00\xc0\x7f", 4));
  const auto status = server_->Import("nan", file).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("finite"));
}

TEST_F(BadInputTest, DenoiserOfAnotherDigest) {
  v1::ImportTaskRequest::Header header;
  header.set_task("digest");
  header.set_sha256(Sha256Hex("something else"));
  ExpectRefused(server_->Import(header, DenoiserFile(SmallSpec(), 2)).status(), "header.sha256",
                header.sha256());
}

TEST_F(BadInputTest, ImportWithoutHeader) {
  grpc::ClientContext context;
  v1::TaskInfo response;
  const auto writer = server_->tasks().ImportTask(&context, &response);
  v1::ImportTaskRequest request;
  request.set_chunk("abc");
  writer->Write(request);
  writer->WritesDone();
  ExpectRefused(FromGrpcStatus(writer->Finish()), "header", "missing");
}

TEST_F(BadInputTest, FullSpaceNoiseDoesNotFillTheHouse) {
  ASSERT_TRUE(server_->Import("slow", DenoiserFile(SlowSpec(), 1)).ok());
  v1::SampleRequest slow = MinutesOfSampling();
  slow.mutable_sampling()->set_full_space_noise(true);
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<v1::SampleResponse>> responses;
  std::mutex mutex;
  std::condition_variable ended;
  int left = 70;
  std::vector<absl::Status> refused;
  for (int i = 0; i < 70; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    responses.push_back(std::make_unique<v1::SampleResponse>());
    server_->prompts().async()->Sample(contexts.back().get(), &slow, responses.back().get(),
                                       [&](const grpc::Status& status) {
                                         std::lock_guard lock(mutex);
                                         if (status.error_code() != grpc::StatusCode::CANCELLED) {
                                           refused.push_back(FromGrpcStatus(status));
                                         }
                                         --left;
                                         ended.notify_all();
                                       });
  }
  std::unique_lock lock(mutex);
  EXPECT_TRUE(ended.wait_for(lock, TestServer::kTimeout, [&] { return refused.size() >= 5; }));
  lock.unlock();
  EXPECT_TRUE(server_->Sample(SampleOf("small", 1)).ok());
  for (const auto& context : contexts) context->TryCancel();
  lock.lock();
  EXPECT_TRUE(ended.wait_for(lock, TestServer::kTimeout, [&] { return left == 0; }));
  EXPECT_LE(refused.size(), 6u);  // 64 wait, and one runs or is about to
  for (const absl::Status& status : refused) EXPECT_EQ(ReasonOf(status), "QUEUE_FULL") << status;
}

TEST_F(BadInputTest, MessageAboveTheLimit) {
  auto request = SampleOf("small", 1);
  request.set_instruction(std::string(5 << 20, 'a'));
  EXPECT_TRUE(absl::IsResourceExhausted(server_->Sample(request).status()));
}

}  // namespace
}  // namespace ddpt
