#include "core/tuning/prompt_network.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/model/batch.h"

namespace ddpt {
namespace {

class CentreConditionsTest : public ::testing::Test {
 protected:
  CentreConditionsTest() {
    spec_.context_length = 2;
    spec_.width = 4;
    spec_.latent = 64;
    spec_.condition_width = 6;
    network_ = std::make_unique<PromptNetwork>(spec_, Tensor{{2, 4}, std::vector<float>(8)},
                                               /*seed=*/1, "cpu");
    // Close together, far from zero.
    conditions_ = 5 + 0.01 * at::arange(60, at::kFloat).reshape({10, 6}).sin();
    network_->CentreConditions(conditions_);
  }

  DenoiserWeights Weights() const {
    return network_->Export(network_->trained(), at::zeros({1, 8}));
  }
  at::Tensor Bias() const { return ToTorch({{64}, Weights().down_bias}, "cpu"); }
  // What each condition adds to the network's first sum, its bias included, [10, 64].
  at::Tensor Sums() const {
    return at::linear(conditions_, ToTorch({{64, 6}, Weights().condition_weight}, "cpu"), Bias());
  }

  DenoiserSpec spec_;
  std::unique_ptr<PromptNetwork> network_;
  at::Tensor conditions_;
};

TEST_F(CentreConditionsTest, TheMeanConditionAddsNothing) {
  EXPECT_LT(Sums().mean(0).abs().max().item<float>(), 1e-3);
}

TEST_F(CentreConditionsTest, NoConditionIsTheMeanOne) {
  const at::Tensor null = ToTorch({{64}, Weights().condition_null}, "cpu");
  EXPECT_LT((Bias() + null).abs().max().item<float>(), 1e-3);
}

TEST_F(CentreConditionsTest, ConditionsReachTheNetworkWithUnitVariance) {
  EXPECT_NEAR(Sums().square().mean().item<float>(), 1, 0.3);
}

TEST_F(CentreConditionsTest, EqualConditionsStayFinite) {
  network_->CentreConditions(at::ones({3, 6}));
  EXPECT_TRUE(Sums().isfinite().all().item<bool>());
}

}  // namespace
}  // namespace ddpt
