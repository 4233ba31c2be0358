#include "core/decoding/scorer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/safetensors.h"
#include "core/base/status.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

class ScorerTest : public testing::Test {
 protected:
  PromptedRequest Request(size_t row, bool with_prompt) const {
    PromptedRequest request;
    request.instruction_ids = golden_.instructions[row];
    if (with_prompt) {
      request.soft_prompt = std::make_shared<const Tensor>(FromTorch(golden_.prompt));
    }
    return request;
  }

  std::vector<float> Expected(size_t row, bool with_prompt) const {
    const at::Tensor& all = with_prompt ? golden_.logprobs_prompted : golden_.logprobs_plain;
    return FromTorch(all[int64_t(row)].narrow(0, 0, int64_t(golden_.answers[row].size()))).data;
  }

  static void ExpectNear(const std::vector<float>& found, const std::vector<float>& expected) {
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-4);
  }

  Golden golden_ = Golden::Load("codet5p_wide");
  const LanguageModel& model_ = *golden_.model;
};

TEST_F(ScorerTest, OneAnswerUnderManyPrompts) {
  std::vector<PromptedRequest> prompted(20, Request(0, true));
  prompted[3] = Request(0, false);
  prompted[18] = Request(0, false);
  const auto scores = ScoreAnswer(model_, prompted, golden_.answers[0]).value();
  ASSERT_EQ(scores.size(), 20u);
  for (size_t i = 0; i < scores.size(); ++i) {
    ExpectNear(scores[i].token_logprobs, Expected(0, i != 3 && i != 18));
  }
}

TEST_F(ScorerTest, OneAnswerUnderPrefixesAmongOthers) {
  const auto file =
      SafetensorsFile::Open(Golden::Directory("codet5p_wide") + "/prefix.safetensors").value();
  const auto tensor = [&](const char* name) { return file->tensors().at(name).ToTensor(); };
  std::vector<PromptedRequest> prompted(20, Request(0, true));
  prompted[3] = Request(0, false);
  prompted[5].soft_prompt = std::make_shared<const Tensor>(tensor("all.prefix"));
  prompted[17].soft_prompt = std::make_shared<const Tensor>(tensor("decoder.prefix"));
  const auto scores = ScoreAnswer(model_, prompted, golden_.answers[0]).value();
  ExpectNear(scores[3].token_logprobs, Expected(0, false));
  ExpectNear(scores[4].token_logprobs, Expected(0, true));
  ExpectNear(scores[5].token_logprobs, tensor("all.logprobs.0").data);
  ExpectNear(scores[17].token_logprobs, tensor("decoder.logprobs.0").data);
  ExpectNear(scores[18].token_logprobs, Expected(0, true));
}

TEST_F(ScorerTest, SumAndMeanAreOfTheTokens) {
  const Score score = ScoreAnswer(model_, {Request(1, true)}, golden_.answers[1]).value()[0];
  double sum = 0;
  for (const float logprob : score.token_logprobs) sum -= logprob;
  EXPECT_NEAR(score.nll_sum, sum, 1e-6);
  EXPECT_NEAR(score.nll_mean, sum / 3, 1e-6);
}

TEST_F(ScorerTest, EffectOfAPrompt) {
  EXPECT_GT(PromptEffect(model_, Request(0, true), golden_.answers[0]).value(), 1e-3);
  EXPECT_EQ(PromptEffect(model_, Request(0, false), golden_.answers[0]).value(), 0);
  EXPECT_EQ(FieldOf(PromptEffect(model_, Request(0, true), {}).status()), "code");
}

TEST_F(ScorerTest, ManyExamplesInPaddedBatches) {
  std::vector<PromptedRequest> requests;
  for (size_t row = 0; row < golden_.answers.size(); ++row) {
    requests.push_back(Request(row, row != 1));
  }
  const auto scores = ScoreAll(model_, requests, golden_.answers, /*width=*/2).value();
  ASSERT_EQ(scores.size(), requests.size());
  for (size_t row = 0; row < scores.size(); ++row) {
    ExpectNear(scores[row].token_logprobs, Expected(row, row != 1));
  }
}

TEST_F(ScorerTest, ProbabilitiesOfAllTokensAddUpToOne) {
  PromptedRequest request = Request(2, true);
  request.prefix = DecoderPrefix::kNone;
  double total = 0;
  for (uint32_t id = 0; id < 300; ++id) {
    total += std::exp(ScoreAnswer(model_, {request}, {id}).value()[0].token_logprobs[0]);
  }
  EXPECT_NEAR(total, 1, 1e-4);
}

TEST_F(ScorerTest, WordsInTheDecoderHaveATrunkOfTheirOwn) {
  PromptedRequest words = Request(0, false), both = Request(0, false);
  words.manual_ids = both.manual_ids = {65, 66};
  both.manual_in_decoder = true;
  const auto scores = ScoreAnswer(model_, {words, both}, golden_.answers[0]).value();
  const auto alone = ScoreAnswer(model_, {both}, golden_.answers[0]).value();
  ExpectNear(scores[1].token_logprobs, alone[0].token_logprobs);
  EXPECT_GT(std::abs(scores[0].nll_sum - scores[1].nll_sum), 1e-3);
}

TEST_F(ScorerTest, AnswersThatDoNotFitAreRefused) {
  const auto field = [&](const std::vector<uint32_t>& answer) {
    return FieldOf(ScoreAnswer(model_, {Request(0, false)}, answer).status());
  };
  EXPECT_EQ(field({}), "code");
  EXPECT_EQ(field({300}), "code");
  EXPECT_EQ(field(std::vector<uint32_t>(640, 1)), "code");
}

TEST_F(ScorerTest, LooksAtTheStopToken) {
  StopSource source;
  source.Cancel();
  EXPECT_EQ(ScoreAnswer(model_, {Request(0, false)}, {1}, source.token()).status().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace ddpt
