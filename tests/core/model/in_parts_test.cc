#include "core/model/in_parts.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <thread>

#include "core/base/team.h"
#include "core/model/attention.h"
#include "core/model/linear.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

// What `compute` gives under a scope, alone and with helpers.
template <typename Compute>
void ExpectTheSameBitsWithHelpers(const Compute& compute, double tolerance) {
  const c10::NoGradGuard no_grad;
  const at::Tensor whole = compute();
  Team team;
  const TeamScope scope(team);
  const at::Tensor alone = compute();
  EXPECT_LT(Difference(alone.to(at::kFloat), whole.to(at::kFloat)), tolerance);
  const HelperThreads helpers(3, [&](HelperThreads::Leave leave) { team.Help(leave); });
  while (team.helpers() < 3) std::this_thread::yield();
  EXPECT_TRUE(at::equal(compute(), alone));
}

// Few rows and many, outputs that no number of parts divides.
TEST(InPartsTest, HelpersChangeNoBitOfAProduct) {
  at::manual_seed(1);
  const at::Tensor weight = at::randn({677, 512}) / 23;
  const StateDict floats = {{"map.weight", weight}, {"map.bias", at::randn({677})}};
  const StateDict halves = {{"map.weight", weight.to(at::kBFloat16)},
                            {"map.bias", at::randn({677}).to(at::kBFloat16)}};
  const StateDict bytes = {{"map.weight", (weight * 500).clamp(-127, 127).to(at::kChar)},
                           {"map.weight_scale", at::full({677}, 0.002).to(at::kBFloat16)},
                           {"map.bias", at::randn({677}).to(at::kBFloat16)}};
  for (const int64_t rows : {30, 130}) {
    const at::Tensor x = at::randn({2, rows, 512});
    ExpectTheSameBitsWithHelpers([&] { return Linear(floats, "map")(x); }, 1e-9);
    for (const StateDict& weights : {halves, bytes}) {
      ExpectTheSameBitsWithHelpers([&] { return Linear(weights, "map")(x.to(at::kBFloat16)); },
                                   0.1);
    }
  }
}

TEST(InPartsTest, HelpersChangeNoBitOfAttention) {
  at::manual_seed(1);
  const at::Tensor q = at::randn({2, 9, 70, 64}), k = at::randn({2, 9, 80, 64}),
                   v = at::randn({2, 9, 80, 64});
  for (const at::Tensor& bias : {at::randn({2, 9, 70, 80}), at::randn({2, 1, 1, 80})}) {
    ExpectTheSameBitsWithHelpers([&] { return Attend(q, k, v, bias, 8); }, 1e-5);
  }
}

TEST(InPartsTest, WithGradientsThereIsOnePart) {
  Team team;
  const TeamScope scope(team);
  const at::AutoGradMode gradients(true);
  const at::Tensor x = at::randn({100, 512}).set_requires_grad(true);
  Linear(at::randn({512, 512}))(x).sum().backward();
  EXPECT_TRUE(x.grad().defined());
}

}  // namespace
}  // namespace ddpt
