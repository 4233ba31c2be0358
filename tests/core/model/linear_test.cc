#include "core/model/linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "core/base/pause.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

// Eight-bit weights [48, 32] with their scales and a bias, and the same as floats.
struct Int8LinearTest : testing::Test {
  Int8LinearTest() {
    at::manual_seed(1);
    weights["map.weight"] = at::randint(-127, 128, {48, 32}, at::kChar);
    weights["map.weight_scale"] = at::rand({48}).to(at::kBFloat16);
    weights["map.bias"] = at::randn({48}).to(at::kBFloat16);
    wide = weights["map.weight"].to(at::kFloat) *
           weights["map.weight_scale"].to(at::kFloat).unsqueeze(1);
  }

  // What bfloat16 may lose, as a share of the largest output.
  double Loss(const at::Tensor& x) const {
    const at::Tensor exact =
        at::linear(x.to(at::kFloat), wide, weights.at("map.bias").to(at::kFloat));
    return Difference(Linear(weights, "map")(x).to(at::kFloat), exact) /
           exact.abs().max().item<double>();
  }

  StateDict weights;
  at::Tensor wide;
};

TEST_F(Int8LinearTest, FewRows) { EXPECT_LT(Loss(at::randn({2, 3, 32}).to(at::kBFloat16)), 0.01); }

TEST_F(Int8LinearTest, ManyRows) {
  EXPECT_LT(Loss(at::randn({2, 99, 32}).to(at::kBFloat16)), 0.01);
}

TEST_F(Int8LinearTest, NeighboursChangeNoBitOnAProcessor) {
  if (BestModelKernels() == nullptr) GTEST_SKIP() << "LibTorch multiplies here";
  const Linear map(weights, "map");
  const at::Tensor x = at::randn({500, 32}).to(at::kBFloat16);
  const at::Tensor few = map(x.narrow(0, 0, 20)), many = map(x);
  EXPECT_TRUE(at::equal(few.narrow(0, 0, 1), map(x.narrow(0, 0, 1))));
  EXPECT_TRUE(at::equal(many.narrow(0, 0, 70), map(x.narrow(0, 0, 70))));
}

TEST_F(Int8LinearTest, WidthsThatNoVectorDivides) {
  weights["map.weight"] = weights["map.weight"].narrow(1, 0, 23).contiguous();
  wide = wide.narrow(1, 0, 23);
  EXPECT_LT(Loss(at::randn({6, 23}).to(at::kBFloat16)), 0.01);
}

TEST_F(Int8LinearTest, GradientOfItsInputIsThatOfTheWideWeights) {
  const at::AutoGradMode gradients(true);
  const at::Tensor x = at::randn({5, 32}).to(at::kBFloat16).set_requires_grad(true);
  Linear(weights, "map")(x).to(at::kFloat).sum().backward();
  const at::Tensor exact = wide.sum(0).expand({5, 32});
  EXPECT_LT(Difference(x.grad().to(at::kFloat), exact), 0.01 * exact.abs().max().item<double>());
}

// 1,000 x 1,000 x 700 multiply-adds are three slices.
struct SlicedLinearTest : testing::Test {
  SlicedLinearTest() {
    at::manual_seed(1);
    weights = {{"map.weight", at::randn({700, 1000})}, {"map.bias", at::randn({700})}};
    x = at::randn({1000, 1000}).set_requires_grad(true);
  }

  const at::AutoGradMode gradients{true};
  StateDict weights;
  at::Tensor x;
  int pauses = 0;
};

TEST_F(SlicedLinearTest, SlicesGiveTheSameProduct) {
  const PauseScope scope([&] { ++pauses; });
  const at::Tensor whole = Linear(weights, "map")(x);
  EXPECT_LT(Difference(Linear(weights, "map").InSlices(x), whole), 1e-4);
  EXPECT_EQ(pauses, 3);
}

TEST_F(SlicedLinearTest, GradientsComeBackSliceBySlice) {
  Linear(weights, "map")(x).square().sum().backward();
  const at::Tensor whole = x.grad().clone();
  x.mutable_grad().reset();
  const PauseScope scope([&] { ++pauses; });
  const at::Tensor loss = Linear(weights, "map").InSlices(x).square().sum();
  pauses = 0;
  loss.backward();
  EXPECT_EQ(pauses, 3);
  EXPECT_LT(Difference(x.grad(), whole), 1e-4 * whole.abs().max().item<double>());
}

TEST_F(SlicedLinearTest, WithoutPausesThereAreNoSlices) {
  EXPECT_TRUE(at::equal(Linear(weights, "map").InSlices(x), Linear(weights, "map")(x)));
}

TEST_F(Int8LinearTest, SlicesHaveTheirScales) {
  const at::Tensor x = at::randn({1, 200'000, 32}).to(at::kBFloat16);
  const at::Tensor whole = Linear(weights, "map")(x);
  const PauseScope scope([] {});
  EXPECT_LT(Difference(Linear(weights, "map").InSlices(x), whole), 0.01);
}

// Few rows and many, which take different ways.
TEST(LinearTest, Bfloat16WeightsAreThoseOfTheProduct) {
  at::manual_seed(1);
  const StateDict weights = {{"map.weight", at::randn({40, 70}).to(at::kBFloat16)},
                             {"map.bias", at::randn({40}).to(at::kBFloat16)}};
  for (const int64_t rows : {3, 200}) {
    const at::Tensor x = at::randn({rows, 70}).to(at::kBFloat16);
    const at::Tensor exact = at::linear(x.to(at::kFloat), weights.at("map.weight").to(at::kFloat),
                                        weights.at("map.bias").to(at::kFloat));
    EXPECT_LT(Difference(Linear(weights, "map")(x).to(at::kFloat), exact),
              0.01 * exact.abs().max().item<double>())
        << rows;
  }
}

TEST(LinearTest, NeighboursAndThreadsChangeNoBitOfFloat32OnAProcessor) {
  if (BestModelKernels() == nullptr) GTEST_SKIP() << "LibTorch multiplies here";
  at::manual_seed(1);
  const Linear map(at::randn({300, 200}));
  const at::Tensor x = at::randn({700, 200}), whole = map(x);
  for (const int64_t rows : {1, 5, 11, 100, 600}) {
    EXPECT_TRUE(at::equal(map(x.narrow(0, 50, rows)), whole.narrow(0, 50, rows))) << rows;
  }
  const int before = at::get_num_threads();
  at::set_num_threads(3);
  EXPECT_TRUE(at::equal(map(x), whole));
  at::set_num_threads(before);
}

TEST(LinearTest, FloatingWeightsAreMultipliedAsTheyAre) {
  const StateDict weights = {{"map.weight", at::randn({4, 3})}, {"map.bias", at::randn({4})}};
  const at::Tensor x = at::randn({2, 3});
  EXPECT_LT(Difference(Linear(weights, "map")(x),
                       at::linear(x, weights.at("map.weight"), weights.at("map.bias"))),
            1e-6);
}

}  // namespace
}  // namespace ddpt
