#include "core/evaluation/tsne.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/base/philox.h"
#include "core/base/status.h"
#include "core/evaluation/tsne_objective.h"

namespace ddpt {
namespace {

// `count` points about `middle` in each of `width` dimensions.
Tensor Cloud(int64_t count, int64_t width, float middle, uint64_t seed) {
  Tensor cloud{{count, width}, std::vector<float>(static_cast<size_t>(count * width))};
  FillNormal({.seed = seed}, cloud.data);
  for (float& value : cloud.data) value += middle;
  return cloud;
}

at::Tensor Doubles(const Tensor& tensor) {
  return at::tensor(tensor.data).view(tensor.shape).to(at::kDouble);
}

at::Tensor Points(int64_t count, uint64_t seed) { return Doubles(Cloud(count, 2, 0, seed)); }

at::Tensor Joint(int64_t count) {
  return JointProbabilities(SquaredDistances(Doubles(Cloud(count, 5, 0, 1))), 5);
}

TEST(TsneObjectiveTest, DistancesAreEuclidean) {
  const at::Tensor points = at::tensor({0., 0., 3., 4.}, at::kDouble).view({2, 2});
  EXPECT_EQ(SquaredDistances(points)[0][1].item<double>(), 25);
  EXPECT_EQ(SquaredDistances(points)[1][1].item<double>(), 0);
}

TEST(TsneObjectiveTest, EveryPointHasThePerplexity) {
  const at::Tensor p = ConditionalProbabilities(SquaredDistances(Doubles(Cloud(40, 5, 0, 1))), 7.5);
  const at::Tensor entropies = -at::xlogy(p, p).sum(1);
  for (int64_t i = 0; i < 40; ++i) {
    EXPECT_NEAR(std::exp(entropies[i].item<double>()), 7.5, 1e-9);
    EXPECT_EQ(p[i][i].item<double>(), 0);
  }
}

TEST(TsneObjectiveTest, ScaleDoesNotMatter) {
  const at::Tensor distances = SquaredDistances(Doubles(Cloud(40, 5, 0, 1)));
  const at::Tensor p = ConditionalProbabilities(distances, 7.5);
  EXPECT_TRUE(at::allclose(p, ConditionalProbabilities(distances * 1e8, 7.5), 1e-6, 1e-12));
  EXPECT_TRUE(at::allclose(p, ConditionalProbabilities(distances * 1e-8, 7.5), 1e-6, 1e-12));
}

TEST(TsneObjectiveTest, JointProbabilitiesAreSymmetricAndSumToOne) {
  const at::Tensor joint = Joint(30);
  EXPECT_TRUE(at::equal(joint, joint.t()));
  EXPECT_NEAR(joint.sum().item<double>(), 1, 1e-12);
}

TEST(TsneObjectiveTest, TheGradientIsThatOfFiniteDifferences) {
  const at::Tensor joint = Joint(20), points = Points(20, 2);
  const at::Tensor gradient = TsneGradient(joint, points);
  constexpr double kStep = 1e-5;
  for (const int64_t row : {0, 7, 19}) {
    for (const int64_t column : {0, 1}) {
      const auto shifted = [&](double by) {
        at::Tensor moved = points.clone();
        moved[row][column] += by;
        return TsneDivergence(joint, moved);
      };
      EXPECT_NEAR(gradient[row][column].item<double>(),
                  (shifted(kStep) - shifted(-kStep)) / (2 * kStep), 1e-8);
    }
  }
}

class TsneGoldenTest : public testing::Test {
 protected:
  const nlohmann::json golden_ =
      nlohmann::json::parse(ReadFile(DDPT_TEST_DATA "/tsne_golden.json", 1 << 20).value());
  const double perplexity_ = golden_["perplexity"];

  Tensor Vectors() const {
    const auto rows = golden_["vectors"].get<std::vector<std::vector<float>>>();
    Tensor vectors{{int64_t(rows.size()), int64_t(rows[0].size())}, {}};
    for (const auto& row : rows) vectors.data.insert(vectors.data.end(), row.begin(), row.end());
    return vectors;
  }
};

TEST_F(TsneGoldenTest, JointProbabilitiesAreThoseOfScikitLearn) {
  const at::Tensor joint = JointProbabilities(SquaredDistances(Doubles(Vectors())), perplexity_);
  const auto expected = golden_["joint"].get<std::vector<double>>();  // above the diagonal, by row
  size_t next = 0;
  for (int64_t i = 0; i < joint.size(0); ++i) {
    for (int64_t j = i + 1; j < joint.size(0); ++j) {
      EXPECT_NEAR(joint[i][j].item<double>(), expected[next++], 1e-6) << i << " " << j;
    }
  }
}

TEST_F(TsneGoldenTest, TheDivergenceIsAsSmallAsThatOfScikitLearn) {
  // A single start may end in a worse place than any of scikit-learn's.
  double sum = 0;
  for (const uint64_t seed : {1u, 2u, 3u}) {
    const auto map = MakeTsneMap(Vectors(), {.perplexity = perplexity_, .seed = seed});
    ASSERT_TRUE(map.ok()) << map.status();
    sum += map->divergence;
  }
  EXPECT_LE(sum / 3, golden_["largest_divergence"].get<double>());
}

double Distance(const std::array<double, 2>& a, const std::array<double, 2>& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1]);
}

TEST(TsneTest, CloudsThatAreApartStayApart) {
  Tensor vectors = Cloud(30, 8, 0, 1);
  const Tensor other = Cloud(30, 8, 10, 2);
  vectors.data.insert(vectors.data.end(), other.data.begin(), other.data.end());
  vectors.shape[0] = 60;
  const auto map = MakeTsneMap(vectors, {.perplexity = 10, .iterations = 500});
  ASSERT_TRUE(map.ok()) << map.status();
  for (size_t i = 0; i < 60; ++i) {
    // The nearest point is of the same cloud.
    size_t nearest = i == 0 ? 1 : 0;
    for (size_t j = 0; j < 60; ++j) {
      if (j != i && Distance(map->points[i], map->points[j]) <
                        Distance(map->points[i], map->points[nearest])) {
        nearest = j;
      }
    }
    EXPECT_EQ(nearest < 30, i < 30) << i;
  }
}

TEST(TsneTest, TheSeedAloneDecides) {
  const Tensor vectors = Cloud(24, 5, 0, 1);
  const auto map = [&](uint64_t seed) {
    return MakeTsneMap(vectors, {.perplexity = 5, .iterations = 300, .seed = seed})->points;
  };
  EXPECT_EQ(map(1), map(1));
  EXPECT_NE(map(1), map(2));
}

TEST(TsneTest, EqualPointsAreNoTrouble) {
  const auto map =
      MakeTsneMap({{8, 2}, std::vector<float>(16, 1)}, {.perplexity = 2, .iterations = 20});
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_TRUE(std::isfinite(map->divergence));
}

TEST(TsneTest, APerplexityThatThePointsDoNotHaveIsRefused) {
  const absl::Status status = MakeTsneMap(Cloud(31, 2, 0, 1), {.perplexity = 10.5}).status();
  EXPECT_EQ(FieldOf(status), "perplexity");
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("10.5 is outside 1..10,"));
}

TEST(TsneTest, TooFewOrTooManyPointsAreRefused) {
  EXPECT_EQ(FieldOf(MakeTsneMap(Cloud(3, 2, 0, 1), {.perplexity = 1}).status()), "vectors");
  EXPECT_EQ(FieldOf(MakeTsneMap(Cloud(4097, 1, 0, 1), {}).status()), "vectors");
}

}  // namespace
}  // namespace ddpt
