#include "core/evaluation/porter_stem.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "tests/core/evaluation/golden_pairs.h"

namespace ddpt {
namespace {

// The vectors of nltk's own tests (stem.doctest).
TEST(PorterStemTest, PublishedVectors) {
  std::istringstream words(
      "caresses flies dies mules denied died agreed owned humbled sized meeting stating siezing "
      "itemization sensational traditional reference colonizer plotted");
  std::istringstream stems(
      "caress fli die mule deni die agre own humbl size meet state siez item sensat tradit refer "
      "colon plot");
  for (std::string word, stem; words >> word && stems >> stem;) EXPECT_EQ(PorterStem(word), stem);
}

TEST(PorterStemTest, ShortAndIrregularWords) {
  EXPECT_EQ(PorterStem("as"), "as");
  EXPECT_EQ(PorterStem("skies"), "sky");
  EXPECT_EQ(PorterStem("news"), "news");
}

TEST(PorterStemTest, OtherCharactersAreConsonants) {
  EXPECT_EQ(PorterStem("größen"), "größen");
  EXPECT_EQ(PorterStem("cafés"), "café");
}

TEST(PorterStemTest, AgreesWithNltk) {
  const auto& stems = MetricsGolden()["stems"];
  ASSERT_GT(stems.size(), 800u);
  for (const auto& [word, stem] : stems.items()) {
    EXPECT_EQ(PorterStem(word), stem.get<std::string>()) << word;
  }
}

}  // namespace
}  // namespace ddpt
