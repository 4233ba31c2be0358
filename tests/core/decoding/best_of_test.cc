#include "core/decoding/best_of.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/base/status.h"
#include "core/decoding/scorer.h"
#include "core/text/tokenizer.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

using testing::DoubleNear;
using testing::IsEmpty;

Delta News(uint32_t choice, std::string text, std::vector<float> logprobs, uint32_t tokens,
           bool last) {
  Delta delta;
  delta.choice = choice;
  delta.text = std::move(text);
  delta.token_ids.resize(logprobs.size(), choice);
  delta.logprobs = std::move(logprobs);
  delta.output_tokens = tokens;
  if (last) delta.finish_reason = FinishReason::kStop;
  return delta;
}

DecodingOptions Options(uint32_t candidates, uint32_t n) {
  DecodingOptions options;
  options.temperature = 1;
  options.max_new_tokens = 12;
  options.seed = 3;
  options.best_of = candidates;
  options.n = n;
  return options;
}

TEST(BestOfTest, TellsTheLikeliestPerTokenWhenAllHaveEnded) {
  std::vector<Delta> told;
  BestOf best(Options(3, 2), [&](const Delta& delta) {
    told.push_back(delta);
    return true;
  });
  EXPECT_TRUE(best.Take(News(0, "ze", {-1}, 1, false)));
  EXPECT_TRUE(best.Take(News(1, "one", {-1.5}, 1, true)));
  EXPECT_TRUE(best.Take(News(2, "two", {-0.5}, 1, true)));
  EXPECT_THAT(told, IsEmpty());
  EXPECT_TRUE(best.Take(News(0, "ro", {-1}, 2, true)));
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].text, "two");
  EXPECT_EQ(told[1].text, "zero");
  for (uint32_t i = 0; i < 2; ++i) {
    EXPECT_EQ(told[i].choice, i);
    EXPECT_EQ(told[i].candidate_tokens, 4u);
    EXPECT_TRUE(told[i].finish_reason);
    EXPECT_THAT(told[i].logprobs, IsEmpty());
  }
  EXPECT_EQ(told[1].token_ids.size(), 2u);
  EXPECT_DOUBLE_EQ(*told[1].mean_logprob, -1);
}

TEST(BestOfTest, AReceiverWhoRefusesHearsNoMore) {
  int heard = 0;
  BestOf best(Options(2, 2), [&](const Delta&) { return ++heard < 1; });
  EXPECT_TRUE(best.Take(News(0, "a", {-1}, 1, true)));
  EXPECT_FALSE(best.Take(News(1, "b", {-1}, 1, true)));
  EXPECT_EQ(heard, 1);
}

TEST(BestOfTest, BadCandidatesAreNamed) {
  DecodingOptions none = Options(0, 1), many = Options(65, 1), few = Options(2, 3),
                  greedy = Options(2, 1), beams = Options(2, 1);
  greedy.temperature = beams.temperature = 0;
  beams.num_beams = 2;
  for (const DecodingOptions& options : {none, many, few, greedy, beams}) {
    EXPECT_EQ(FieldOf(ValidateDecoding(options)), "decoding.best_of");
  }
  EXPECT_TRUE(ValidateDecoding(Options(64, 16)).ok());
}

class BestOfGenerationTest : public testing::Test {
 protected:
  PromptedRequest Request(size_t row) const {
    PromptedRequest request;
    request.instruction_ids = golden_.instructions[row];
    return request;
  }

  Golden golden_ = Golden::Load("codet5p_wide");
  std::shared_ptr<const Tokenizer> tokenizer_ =
      Tokenizer::Load(Golden::Directory("codet5p_wide")).value();
};

TEST_F(BestOfGenerationTest, TheBestAreThoseOfAllChoicesThatScoreBest) {
  DecodingOptions all = Options(1, 8);
  const auto candidates = Generate(golden_.model, tokenizer_, Request(1), all).value();
  std::vector<double> scores;
  for (const Generation& candidate : candidates) {
    scores.push_back(
        -ScoreAnswer(*golden_.model, {Request(1)}, candidate.token_ids).value()[0].nll_mean);
  }
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  const auto best = Generate(golden_.model, tokenizer_, Request(1), Options(8, 3)).value();
  ASSERT_EQ(best.size(), 3u);
  for (size_t rank = 0; rank < best.size(); ++rank) {
    EXPECT_EQ(best[rank].token_ids, candidates[order[rank]].token_ids);
    EXPECT_THAT(*best[rank].mean_logprob, DoubleNear(scores[order[rank]], 1e-4));
  }
}

TEST_F(BestOfGenerationTest, ManyRequestsGetTheBestOfTheirOwn) {
  const std::vector<PromptedRequest> requests = {Request(0), Request(1), Request(2)};
  const auto together =
      GenerateAll(golden_.model, tokenizer_, requests, Options(4, 1), /*width=*/5).value();
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto alone = Generate(golden_.model, tokenizer_, requests[i], Options(4, 1)).value();
    EXPECT_EQ(together[i].token_ids, alone[0].token_ids);
  }
}

}  // namespace
}  // namespace ddpt
