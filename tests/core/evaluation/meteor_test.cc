#include "core/evaluation/meteor.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/core/evaluation/golden_pairs.h"

namespace ddpt {
namespace {

// The vectors of nltk's own tests (meteor_score.py, meteor.doctest); none of them needs a synonym.
TEST(MeteorTest, PublishedVectors) {
  EXPECT_NEAR(Meteor("It is a guide to action which ensures that the military always obeys the "
                     "commands of the party",
                     "It is a guide to action that ensures that the military will forever heed "
                     "Party commands"),
              0.6944, 5e-5);
  EXPECT_NEAR(Meteor("The cat sat on the mat", "The cat sat on the mat"), 0.9977, 5e-5);
  EXPECT_NEAR(Meteor("The cat was sat on the mat", "The cat sat on the mat"), 0.9654, 5e-5);
  EXPECT_NEAR(Meteor("on the mat sat the cat", "The cat sat on the mat"), 0.5, 1e-12);
  EXPECT_NEAR(Meteor("creates or updates a virtual machine scale set", "create or update a vm set"),
              0.7806, 5e-5);
  EXPECT_EQ(Meteor("non matching hypothesis", "this is a cat"), 0);
}

TEST(MeteorTest, EmptyTextsScoreZero) {
  EXPECT_EQ(Meteor("", "x"), 0);
  EXPECT_EQ(Meteor("x", ""), 0);
  EXPECT_EQ(Meteor("", ""), 0);
}

TEST(MeteorTest, OneRightTokenScoresOneHalf) { EXPECT_EQ(Meteor("f(X)", "F(x)"), 0.5); }

TEST(MeteorTest, StemsMatchWhatIsLeft) {
  EXPECT_NEAR(Meteor("run connected", "run connecting"), 1 - 0.5 / 8, 1e-12);
}

TEST(MeteorTest, GoldenPairs) {
  double sum = 0;
  ExpectGolden("meteor", [&](const std::string& prediction, const std::string& reference) {
    const double score = Meteor(prediction, reference);
    sum += score;
    return score;
  });
  EXPECT_NEAR(sum / 500, GoldenCorpus("meteor"), 1e-6);
}

TEST(MeteorTest, SynonymsMatchWhatIsLeft) {
  absl::StatusOr<WordNet> wordnet = WordNet::Load(WordNet::kFolder);
  if (!wordnet.ok()) GTEST_SKIP() << "needs Debian's wordnet-base: " << wordnet.status();
  const auto& examples = MetricsGolden()["synonyms"];
  ASSERT_GT(examples.size(), 200u);
  for (const auto& example : examples) {
    EXPECT_NEAR(
        100 * Meteor(example[0].get<std::string>(), example[1].get<std::string>(), &*wordnet),
        example[2].get<double>(), 1e-4)
        << example;
  }
}

}  // namespace
}  // namespace ddpt
