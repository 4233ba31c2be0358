#include "core/model/batch.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

using Rows = std::vector<std::vector<uint32_t>>;

TEST(PadIdsTest, PadsOnTheRight) {
  const PaddedIds padded = PadIds(Rows{{5, 6, 7}, {}, {9}}, "cpu");
  EXPECT_TRUE(padded.ids.equal(at::tensor({5, 6, 7, 0, 0, 0, 9, 0, 0}, at::kLong).view({3, 3})));
  EXPECT_EQ(padded.mask.sum(1).equal(at::tensor({3, 0, 1}, at::kLong)), true);
}

TEST(BuildTargetsTest, AlignsPositionsWithTheTokensBefore) {
  const TargetBatch batch = BuildTargets(Rows{{1, 2}, {1}}, Rows{{8, 9, 10}, {8}}, "cpu");
  EXPECT_TRUE(
      batch.decoder_ids.equal(at::tensor({1, 2, 8, 9, 1, 0, 0, 0}, at::kLong).view({2, 4})));
  EXPECT_TRUE(batch.positions.equal(at::tensor({1, 2, 3, 0, 0, 0}, at::kLong).view({2, 3})));
  EXPECT_TRUE(batch.targets.equal(at::tensor({8, 9, 10, 8, 0, 0}, at::kLong).view({2, 3})));
}

TEST(MeanNllTest, CountsOnlyTheMask) {
  const at::Tensor log_probs = at::tensor({-1.f, -3.f, -100.f, -2.f}).view({2, 2});
  const at::Tensor mask = at::tensor({1, 1, 0, 1}).view({2, 2}).to(at::kBool);
  EXPECT_FLOAT_EQ(MeanNll(log_probs, mask).item<float>(), 2);
}

TEST(WithPromptsTest, RowsOfDifferentPromptsAreTheSingleOnes) {
  const Golden golden = Golden::Load("codet5p_equal");
  const Tensor prompt = FromTorch(golden.prompt);
  std::vector<const Tensor*> prompts(golden.instructions.size(), &prompt);
  prompts[0] = nullptr;
  const at::Tensor mixed =
      golden.LogProbs(WithPrompts(*golden.model, prompts, golden.instructions));
  EXPECT_LT(Difference(mixed[0], golden.logprobs_plain[0]), 1e-4);
  EXPECT_LT(Difference(mixed[1], golden.logprobs_prompted[1]), 1e-4);
}

TEST(WithPromptTest, TokenEmbeddingsAsPromptAreThoseTokens) {
  const Golden golden = Golden::Load("codet5p_wide");
  const Rows words = {{4, 5, 6}};
  Rows joined = golden.instructions;
  for (auto& row : joined) row.insert(row.begin(), words[0].begin(), words[0].end());
  const at::Tensor prompt = golden.model->EmbedEncoderTokens(PadIds(words, TestDevice()).ids)[0];
  const PaddedIds ids = PadIds(golden.instructions, TestDevice());
  EXPECT_EQ(Difference(golden.LogProbs(WithPrompt(*golden.model, prompt, ids)),
                       golden.LogProbs(WithoutPrompt(*golden.model, PadIds(joined, TestDevice())))),
            0);
}

}  // namespace
}  // namespace ddpt
