#include "core/diffusion/denoiser.h"

#include <cmath>
#include <filesystem>

#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

TEST(DenoiserTest, SpecAndWeightsSurviveTheFile) {
  DenoiserSpec spec = SmallSpec(Reading::kX0Residual);
  spec.schedule = ScheduleKind::kCosine;
  spec.beta_end = 0.0123456789012345678;
  spec.condition_width = 5;
  spec.base_model_digest = "sha256:abc";
  spec.extra = {{"note", "kept \"verbatim\"\n"}, {"condition", "encoder mean"}};
  DenoiserWeights weights = RandomWeights(spec, 3);
  weights.reference = Noise(9, spec.size());
  const auto denoiser = MakeDenoiser(spec, weights);
  EXPECT_EQ(denoiser->spec().reading, Reading::kX0Residual);
  EXPECT_EQ(denoiser->spec().schedule, ScheduleKind::kCosine);
  EXPECT_EQ(denoiser->spec().beta_end, spec.beta_end);
  EXPECT_EQ(denoiser->spec().base_model_digest, "sha256:abc");
  EXPECT_EQ(denoiser->spec().extra, spec.extra);
  EXPECT_EQ(denoiser->weights().up_weight, weights.up_weight);
  EXPECT_EQ(denoiser->weights().hidden[1].bias, weights.hidden[1].bias);
  EXPECT_EQ(denoiser->weights().condition_null, weights.condition_null);
  EXPECT_EQ(denoiser->weights().reference, weights.reference);
}

TEST(DenoiserTest, SerializingIsDeterministicAndDigested) {
  const DenoiserSpec spec = SmallSpec();
  const auto bytes = Denoiser::Serialize(spec, RandomWeights(spec, 3));
  EXPECT_EQ(*bytes, *Denoiser::Serialize(spec, RandomWeights(spec, 3)));
  EXPECT_EQ(Denoiser::Parse(*bytes, "x").value()->digest(), Sha256Hex(*bytes));
  const auto other = RandomDenoiser(spec, 4).value();
  EXPECT_NE(other->digest(), Sha256Hex(*bytes));
}

TEST(DenoiserTest, LoadsFromAFile) {
  const std::string path = ::testing::TempDir() + "/denoiser_test.safetensors";
  const DenoiserSpec spec = SmallSpec();
  const auto bytes = Denoiser::Serialize(spec, RandomWeights(spec, 3));
  ASSERT_TRUE(WriteFileAtomic(path, *bytes).ok());
  EXPECT_EQ(Denoiser::Load(path).value()->digest(), Sha256Hex(*bytes));
  std::filesystem::remove(path);
  EXPECT_EQ(Denoiser::Load(path).status().code(), absl::StatusCode::kNotFound);
}

TEST(DenoiserTest, SerializeRefusesWeightsThatDoNotFitTheSpec) {
  const DenoiserSpec spec = SmallSpec();
  DenoiserWeights weights = ZeroWeights(spec);
  weights.up_bias.pop_back();
  EXPECT_EQ(FieldOf(Denoiser::Serialize(spec, weights).status()), "up.bias");
  weights = ZeroWeights(spec);
  weights.hidden.pop_back();
  EXPECT_EQ(FieldOf(Denoiser::Serialize(spec, weights).status()), "layers");
  weights = ZeroWeights(spec);
  weights.context[4] = std::nanf("");
  EXPECT_EQ(FieldOf(Denoiser::Serialize(spec, weights).status()), "context");
}

TEST(DenoiserTest, BlindMethodsHaveZeroWeights) {
  DenoiserSpec spec = SmallSpec();
  const DenoiserWeights weights = RandomWeights(spec, 3);
  spec.method = Method::kGenerator;
  EXPECT_EQ(FieldOf(Denoiser::Serialize(spec, weights).status()), "down.weight");
  EXPECT_TRUE(RandomDenoiser(spec, 3).ok());
  DenoiserWeights blind = weights;
  blind.down_weight.assign(blind.down_weight.size(), 0);
  spec.method = Method::kPromptTuning;
  EXPECT_EQ(FieldOf(Denoiser::Serialize(spec, blind).status()), "up.weight");
  EXPECT_TRUE(RandomDenoiser(spec, 3).ok());
}

DenoiserSpec PrefixSpec() {
  DenoiserSpec spec = SmallSpec();
  spec.method = Method::kPrefixTuning;
  spec.latent = 1;
  spec.layers = 0;
  return spec;
}

// A token of CodeT5+ 16B has 417,792 numbers in the decoder's self-attention.
TEST(DenoiserTest, APrefixMayBeWide) {
  DenoiserSpec spec = PrefixSpec();
  spec.width = 417'792;
  spec.context_length = 20;
  EXPECT_TRUE(ValidateSpec(spec).ok());
  spec.context_length = 41;
  EXPECT_EQ(FieldOf(ValidateSpec(spec)), "width");
  spec.context_length = 1;
  spec.width = (1 << 20) + 1;
  EXPECT_EQ(FieldOf(ValidateSpec(spec)), "width");
  spec = SmallSpec();
  spec.width = 16'385;
  EXPECT_EQ(FieldOf(ValidateSpec(spec)), "width");
}

TEST(DenoiserTest, APrefixIsNeitherNoisedNorConditioned) {
  DenoiserSpec spec = PrefixSpec();
  spec.condition_width = 4;
  EXPECT_EQ(FieldOf(ValidateSpec(spec)), "condition_width");
  spec = PrefixSpec();
  spec.reading = Reading::kX0Residual;
  EXPECT_EQ(FieldOf(ValidateSpec(spec)), "reading");
  DenoiserWeights weights = ZeroWeights(PrefixSpec());
  weights.down_weight[0] = 1;
  EXPECT_EQ(FieldOf(Denoiser::Serialize(PrefixSpec(), weights).status()), "down.weight");
}

}  // namespace
}  // namespace ddpt
