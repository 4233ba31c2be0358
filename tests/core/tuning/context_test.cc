#include "core/tuning/context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/model/codet5p_model.h"
#include "core/model/random_weights.h"

namespace ddpt {
namespace {

using ::testing::Each;

constexpr int64_t kWidth = 16;

std::shared_ptr<const LanguageModel> TinyModel() {
  Codet5pConfig config;
  config.encoder = {.width = kWidth, .layers = 1, .heads = 4, .rotary_dim = 4, .inner = 32};
  config.decoder = {.width = 24, .layers = 1, .heads = 4, .rotary_dim = 4, .inner = 48};
  config.vocabulary_size = 40;
  config.max_positions = 64;
  StateDict weights = RandomCodet5pWeights(config, 3, 0.3f);
  // Row i holds nothing but i.
  for (int64_t i = 0; i < 40; ++i) weights.at("encoder.wte.weight")[i].fill_(double(i));
  return *CreateCodet5pModel(config, weights, "tiny");
}

// The ids whose embeddings the context is made of.
std::vector<float> Ids(const TuningOptions& options) {
  const Tensor context =
      StartingContext(*TinyModel(), options, std::vector<uint32_t>{7, 8}, {{{20, 21}, {22, 0}}});
  EXPECT_EQ(context.shape, (std::vector<int64_t>{options.context_length, kWidth}));
  std::vector<float> ids;
  for (int64_t i = 0; i < options.context_length; ++i) ids.push_back(context.data[i * kWidth]);
  return ids;
}

TEST(ContextTest, ATextIsRepeated) {
  EXPECT_THAT(Ids({.context_length = 5}), testing::ElementsAre(7, 8, 7, 8, 7));
}

TEST(ContextTest, VocabularyDrawsTokensOfTheExamplesButTheEnd) {
  const std::vector<float> ids =
      Ids({.context_length = 64, .context_start = ContextStart::kVocabulary});
  EXPECT_THAT(ids, Each(testing::AnyOf(20, 21, 22)));
  EXPECT_THAT(ids, testing::IsSupersetOf({20.f, 21.f, 22.f}));
}

TEST(ContextTest, ADrawIsAFunctionOfTheSeed) {
  TuningOptions options{.context_length = 64, .context_start = ContextStart::kVocabulary};
  const std::vector<float> first = Ids(options);
  EXPECT_EQ(Ids(options), first);
  options.seed = 1;
  EXPECT_NE(Ids(options), first);
}

TEST(ContextTest, RandomVectorsVaryAsTheEmbeddingsDo) {
  const auto model = TinyModel();
  const Tensor context = StartingContext(
      *model, {.context_length = 64, .context_start = ContextStart::kRandom}, {}, {});
  double squares = 0;
  for (const float value : context.data) squares += value * value;
  const double deviation = EmbeddingDeviation(*model);
  EXPECT_NEAR(deviation, std::sqrt((40 * 40 - 1) / 12.0), 1e-9);
  EXPECT_NEAR(std::sqrt(squares / context.data.size()), deviation, 0.1 * deviation);
}

}  // namespace
}  // namespace ddpt
