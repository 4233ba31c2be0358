#include "core/decoding/self_test.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/file.h"
#include "core/model/codet5p_config.h"
#include "core/model/codet5p_model.h"
#include "core/model/load.h"
#include "core/text/tokenizer.h"

namespace ddpt {
namespace {

// The embedded model, read as it is meant or not.
class SelfTestTest : public testing::Test {
 protected:
  SelfTestTest()
      : config_(ParseCodet5pConfig(ReadFile(directory_ + "/config.json", 1 << 20).value(), "")
                    .value()) {
    weights_ = ReadWeights(directory_, Codet5pTensorShapes(config_), IsIgnoredCodet5pTensor, {}, "")
                   .value()
                   .tensors;
  }

  SelfTestResult Run() const {
    return SelfTest(**CreateCodet5pModel(config_, weights_), *tokenizer_).value();
  }

  const std::string directory_ = std::string(DDPT_TEST_DATA) + "/../../deploy/models/codet5p-tiny";
  const std::unique_ptr<const Tokenizer> tokenizer_ =
      Tokenizer::Load(directory_, {.spaces_as_tabs = true}).value();
  Codet5pConfig config_;
  StateDict weights_;
};

TEST_F(SelfTestTest, TheModelItselfIsPlausible) {
  const SelfTestResult result = Run();
  EXPECT_TRUE(result.plausible) << result.nll << " " << result.shuffled_nll;
}

TEST_F(SelfTestTest, AnotherOrderOfTheHeadsIsNot) {
  for (auto& [name, weight] : weights_) {
    if (!name.ends_with("attn.qkv_proj.weight")) continue;
    // Four groups of query, value, key, read as three of four groups each.
    weight = weight.unflatten(0, {3, 4, -1}).transpose(0, 1).flatten(0, 2).contiguous();
  }
  const SelfTestResult result = Run();
  EXPECT_FALSE(result.plausible) << result.nll << " " << result.shuffled_nll;
}

TEST_F(SelfTestTest, AnotherOrderOfTheLayersIsNot) {
  StateDict swapped = weights_;
  for (const auto& [name, weight] : weights_) {
    for (const auto& [from, to] : {std::pair{".h.0.", ".h.2."}, std::pair{".h.2.", ".h.0."}}) {
      if (const size_t at = name.find(from); at != std::string::npos) {
        swapped[std::string(name).replace(at, 5, to)] = weight;
      }
    }
  }
  weights_ = swapped;
  const SelfTestResult result = Run();
  EXPECT_FALSE(result.plausible) << result.nll << " " << result.shuffled_nll;
}

}  // namespace
}  // namespace ddpt
