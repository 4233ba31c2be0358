#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/model/batch.h"
#include "core/model/codet5p_model.h"
#include "core/model/decoder_trunk.h"
#include "core/model/load.h"
#include "core/model/random_weights.h"

namespace ddpt {
namespace {

Codet5pConfig TinyConfig() {
  return {.encoder = {.width = 16, .layers = 1, .heads = 4, .rotary_dim = 4, .inner = 32},
          .decoder = {.width = 24, .layers = 2, .heads = 4, .rotary_dim = 2, .inner = 48},
          .vocabulary_size = 40,
          .max_positions = 32,
          .start_token = 0,
          .end_token = 1};
}

at::Tensor Loss(const LanguageModel& model) {
  const std::vector<std::vector<uint32_t>> instruction = {{5, 6}}, prefix = {{0, 5}},
                                           answer = {{7, 8, 9, 1}};
  const TargetBatch batch = BuildTargets(prefix, answer, "cpu");
  const EncoderBatch inputs = WithoutPrompt(model, PadIds(instruction, "cpu"));
  const at::Tensor logits = model.Head(model.Trunk(batch.decoder_ids, batch.positions),
                                       model.Encode(inputs.embeddings, inputs.mask), inputs.mask);
  return MeanNll(TargetLogProbs(logits, batch.targets), batch.mask);
}

TEST(TrainingTest, EveryWeightGetsAGradient) {
  StateDict weights = RandomCodet5pWeights(TinyConfig(), 3, 0.2f);
  for (auto& [name, weight] : weights) weight.set_requires_grad(true);
  Loss(*CreateCodet5pModel(TinyConfig(), weights).value()).backward();
  for (const auto& [name, weight] : weights) {
    ASSERT_TRUE(weight.grad().defined()) << name;
    EXPECT_GT(weight.grad().abs().max().item<double>(), 0) << name;
  }
}

TEST(TrainingTest, GradientStepsLowerTheLoss) {
  StateDict weights = RandomCodet5pWeights(TinyConfig(), 3, 0.1f);
  for (auto& [name, weight] : weights) weight.set_requires_grad(true);
  const auto model = CreateCodet5pModel(TinyConfig(), weights).value();
  const double before = Loss(*model).item<double>();
  for (int step = 0; step < 20; ++step) {
    Loss(*model).backward();
    const c10::NoGradGuard no_grad;
    for (auto& [name, weight] : weights) {
      weight.sub_(weight.grad(), 0.1);
      weight.mutable_grad().zero_();
    }
  }
  EXPECT_LT(Loss(*model).item<double>(), before / 2);
}

TEST(TrainingTest, SavedModelLoadsToTheSame) {
  const std::string directory = testing::TempDir() + "/codet5p_saved";
  std::filesystem::create_directories(directory);
  const StateDict weights = RandomCodet5pWeights(TinyConfig(), 3, 0.2f);
  ASSERT_TRUE(SaveCodet5p(directory, TinyConfig(), weights, DataType::kFloat32).ok());
  const auto loaded = LoadLanguageModel(directory, {}).value();
  const auto made = CreateCodet5pModel(TinyConfig(), weights).value();
  EXPECT_EQ(Loss(*loaded).item<float>(), Loss(*made).item<float>());
  EXPECT_EQ(loaded->digest().size(), 64u);
  EXPECT_EQ(loaded->geometry().parameters, made->geometry().parameters);
  EXPECT_FALSE(Loss(*loaded).requires_grad());
}

TEST(TrainingTest, RandomWeightsAreAFunctionOfTheSeed) {
  const StateDict a = RandomCodet5pWeights(TinyConfig(), 1),
                  b = RandomCodet5pWeights(TinyConfig(), 1),
                  c = RandomCodet5pWeights(TinyConfig(), 2);
  const std::string name = "decoder.lm_head.weight";
  EXPECT_TRUE(a.at(name).equal(b.at(name)));
  EXPECT_FALSE(a.at(name).equal(c.at(name)));
  EXPECT_NEAR(a.at(name).std().item<double>(), 0.02, 0.002);
}

}  // namespace
}  // namespace ddpt
