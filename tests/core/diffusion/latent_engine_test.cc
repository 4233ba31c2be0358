#include "core/diffusion/latent_engine.h"

#include <cstring>

#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

TEST(LatentEngineTest, FeedbackIsDownAfterUp) {
  const DenoiserSpec spec = SmallSpec();
  const auto engine = RandomEngine(spec);
  const DenoiserWeights& weights = engine->denoiser().weights();
  const auto phi = Noise(1, spec.latent);
  std::vector<float> direct(spec.latent), up(spec.size());
  const float* in = phi.data();
  float* out = direct.data();
  engine->kernels().affine(engine->feedback(), {0, 1}, &in, 1, &out);
  for (int64_t i = 0; i < spec.size(); ++i) {
    up[i] = weights.up_bias[i];
    for (int64_t k = 0; k < spec.latent; ++k)
      up[i] += weights.up_weight[i * spec.latent + k] * phi[k];
  }
  std::vector<float> expected(spec.latent, 0);
  for (int64_t j = 0; j < spec.latent; ++j) {
    for (int64_t i = 0; i < spec.size(); ++i) {
      expected[j] += weights.down_weight[j * spec.size() + i] * up[i];
    }
  }
  EXPECT_LT(RelativeDifference(direct, expected), 1e-5);
}

TEST(LatentEngineTest, TablesAreShared) {
  const auto engine = RandomEngine(SmallSpec());
  EXPECT_EQ(engine->Table({.steps = 20}), engine->Table({.steps = 20}));
}

TEST(LatentEngineTest, TheTimeTableIsTheSameWithEveryKernel) {
  const DenoiserSpec spec = SmallSpec();
  const auto portable = RandomEngine(spec, 1, PortableKernels()), best = RandomEngine(spec);
  EXPECT_EQ(
      std::memcmp(portable->time(0), best->time(0), sizeof(float) * spec.train_steps * spec.latent),
      0);
}

TEST(LatentEngineTest, BytesCountTheConditionsMap) {
  DenoiserSpec spec = SmallSpec();
  const size_t without = RandomEngine(spec)->bytes();
  spec.condition_width = 64;
  EXPECT_GE(RandomEngine(spec)->bytes(), without + 64 * 19 * sizeof(float));
}

}  // namespace
}  // namespace ddpt
