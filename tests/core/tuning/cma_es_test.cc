#include "core/tuning/cma_es.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

namespace ddpt {
namespace {

using Function = std::function<double(const at::Tensor& x)>;  // of [d] doubles

// With seed 1 the search of Rosenbrock's function ends in its second minimum, 3.99.
constexpr CmaEs::Options kOptions{.dimensions = 10, .population = 10, .sigma = 0.5, .seed = 2};

double Sphere(const at::Tensor& x) { return (x - 1).square().sum().item<double>(); }

// Condition number 1e6, reflected so that no coordinate is an axis.
double Ellipsoid(const at::Tensor& x) {
  const at::Tensor reflected = (x - 1) - 2 * (x - 1).mean();
  const at::Tensor lengths =
      at::pow(10.0, 3 * at::arange(x.numel(), at::kDouble) / (x.numel() - 1));
  return (reflected * lengths).square().sum().item<double>();
}

double Rosenbrock(const at::Tensor& x) {
  const at::Tensor head = x.narrow(0, 0, x.numel() - 1), tail = x.narrow(0, 1, x.numel() - 1);
  return (100 * (tail - head.square()).square() + (1 - head).square()).sum().item<double>();
}

std::vector<double> Values(const CmaEs& search, const Function& function) {
  std::vector<double> values;
  for (const at::Tensor& x : search.Candidates().unbind()) {
    values.push_back(function(x.to(at::kDouble)));
  }
  return values;
}

void Search(CmaEs& search, const Function& function, uint64_t generations) {
  for (uint64_t i = 0; i < generations; ++i) search.Update(Values(search, function));
}

// The value at the mean after so many evaluations.
double After(uint64_t evaluations, const Function& function) {
  CmaEs search(kOptions);
  Search(search, function, evaluations / kOptions.population);
  return function(search.mean().to(at::kDouble));
}

TEST(CmaEsTest, SolvesTheSphere) { EXPECT_LT(After(2000, Sphere), 1e-9); }

TEST(CmaEsTest, SolvesAnIllConditionedEllipsoid) { EXPECT_LT(After(6000, Ellipsoid), 1e-6); }

TEST(CmaEsTest, SolvesRosenbrocksFunction) { EXPECT_LT(After(8000, Rosenbrock), 1e-8); }

// Rank alone counts.
TEST(CmaEsTest, AMonotoneTransformationOfTheValuesChangesNothing) {
  CmaEs plain(kOptions), transformed(kOptions);
  Search(plain, Sphere, 20);
  Search(
      transformed, [](const at::Tensor& x) { return std::log(Sphere(x)) - 7; }, 20);
  EXPECT_TRUE(at::equal(plain.mean(), transformed.mean()));
}

TEST(CmaEsTest, TheFirstGenerationHasTheStepSize) {
  const CmaEs search({.dimensions = 500, .population = 64, .sigma = 0.5, .seed = 1});
  EXPECT_NEAR(search.Candidates().std().item<double>(), 0.5, 0.01);
}

TEST(CmaEsTest, AnotherSeedIsAnotherSearch) {
  CmaEs::Options other = kOptions;
  other.seed = kOptions.seed + 1;
  EXPECT_FALSE(at::equal(CmaEs(kOptions).Candidates(), CmaEs(other).Candidates()));
}

TEST(CmaEsTest, EachGenerationDrawsAnew) {
  CmaEs search(kOptions);
  const at::Tensor before = search.Candidates() - search.mean();
  search.Update(Values(search, Sphere));
  EXPECT_FALSE(at::allclose(search.Candidates() - search.mean(), before, 0.1));
}

// Not at a generation that decomposes the covariance.
TEST(CmaEsTest, ARestoredStateGoesOnToTheSameBytes) {
  const CmaEs::Options options{.dimensions = 60, .population = 8, .seed = 3};
  CmaEs unbroken(options), resumed(options);
  Search(unbroken, Ellipsoid, 13);
  for (const auto& [name, tensor] : resumed.State()) tensor.copy_(unbroken.State().at(name));
  resumed.set_generation(unbroken.generation());
  Search(unbroken, Ellipsoid, 20);
  Search(resumed, Ellipsoid, 20);
  for (const auto& [name, tensor] : resumed.State()) {
    EXPECT_TRUE(at::equal(tensor, unbroken.State().at(name))) << name;
  }
}

}  // namespace
}  // namespace ddpt
