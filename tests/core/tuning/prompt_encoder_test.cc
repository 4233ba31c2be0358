#include "core/tuning/prompt_encoder.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/safetensors.h"
#include "core/model/batch.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

using Kind = PromptEncoder::Kind;

struct Case {
  Kind kind;
  const char* name;
};

class PromptEncoderTest : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Kinds, PromptEncoderTest,
                         testing::Values(Case{Kind::kMlp, "mlp"}, Case{Kind::kLstm, "lstm"}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(PromptEncoderTest, ComputesWhatPyTorchComputes) {
  const auto file = SafetensorsFile::Open(std::string(DDPT_TEST_DATA) + "/prompt_encoder_" +
                                          GetParam().name + ".safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  PromptEncoder::Tensors weights;
  for (const auto& [name, view] : (*file)->tensors()) {
    weights[name] = ToTorch(view.ToTensor(), "cpu");
  }
  const PromptEncoder encoder(GetParam().kind, /*length=*/3, /*width=*/4, /*hidden=*/2);
  EXPECT_LT(Difference(encoder.Forward(weights), weights.at("prompt")), 1e-6);
}

TEST_P(PromptEncoderTest, TheFirstPromptAddsNothing) {
  const PromptEncoder encoder(GetParam().kind, 3, 4, 2);
  EXPECT_EQ(encoder.Forward(encoder.InitialWeights(1, "cpu")).abs().max().item<float>(), 0);
}

TEST_P(PromptEncoderTest, WeightsAreAFunctionOfTheSeed) {
  const PromptEncoder encoder(GetParam().kind, 3, 4, 2);
  const auto one = encoder.InitialWeights(1, "cpu"), same = encoder.InitialWeights(1, "cpu"),
             other = encoder.InitialWeights(2, "cpu");
  const std::string name = "prompt_encoder.2.weight";
  EXPECT_TRUE(at::equal(one.at(name), same.at(name)));
  EXPECT_FALSE(at::equal(one.at(name), other.at(name)));
}

}  // namespace
}  // namespace ddpt
