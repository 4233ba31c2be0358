#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/pause.h"
#include "core/model/batch.h"
#include "core/model/decoder_trunk.h"
#include "core/model/load.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

// Mean difference of a log-probability that int8 may make on these random weights.
constexpr double kInt8Loss = 0.2;

class GoldenModelTest : public testing::TestWithParam<const char*> {
 protected:
  Golden golden_ = Golden::Load(GetParam());
  const LanguageModel& model_ = *golden_.model;
  // What float32 may do to a log-probability in a row of few tokens, and in one of 512.
  static constexpr double kRounding = 1e-5, kLongRounding = 3e-5;
  PaddedIds ids_ = PadIds(golden_.instructions, TestDevice());
};

INSTANTIATE_TEST_SUITE_P(Checkpoints, GoldenModelTest,
                         testing::Values("codet5p_wide", "codet5p_wide_bin", "codet5p_equal",
                                         "codet5p_equal_bin", "t5_tied", "t5_tied_bin", "t5_gated",
                                         "t5_gated_bin"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(GoldenModelTest, LogProbsWithoutPrompt) {
  EXPECT_LT(Difference(golden_.LogProbs(WithoutPrompt(model_, ids_)), golden_.logprobs_plain),
            1e-4);
}

TEST_P(GoldenModelTest, LogProbsUnderSoftPrompt) {
  const EncoderBatch inputs = WithPrompt(model_, golden_.prompt, ids_);
  EXPECT_LT(Difference(golden_.LogProbs(inputs), golden_.logprobs_prompted), 1e-4);
}

TEST_P(GoldenModelTest, SoftPromptChangesTheLogits) {
  EXPECT_GT(Difference(golden_.LogProbs(WithPrompt(model_, golden_.prompt, ids_)),
                       golden_.LogProbs(WithoutPrompt(model_, ids_))),
            0.1);
}

TEST_P(GoldenModelTest, PaddingChangesNothing) {
  const at::Tensor padded = golden_.LogProbs(WithPrompt(model_, golden_.prompt, ids_));
  for (size_t row = 0; row < golden_.answers.size(); ++row) {
    Golden alone = golden_;
    alone.prefixes = {golden_.prefixes[row]};
    alone.answers = {golden_.answers[row]};
    const PaddedIds ids = PadIds(Golden::Rows{golden_.instructions[row]}, TestDevice());
    const at::Tensor single = alone.LogProbs(WithPrompt(model_, golden_.prompt, ids))[0];
    const bool longer = golden_.instructions[row].size() + golden_.answers[row].size() > 100;
    EXPECT_LT(Difference(single, padded[int64_t(row)].narrow(0, 0, single.size(0))),
              longer ? kLongRounding : kRounding);
  }
}

TEST_P(GoldenModelTest, LossAndGradientThroughTheCachedTrunk) {
  const TargetBatch batch = BuildTargets(golden_.prefixes, golden_.answers, TestDevice());
  const DecoderTrunk trunk = model_.Trunk(batch.decoder_ids, batch.positions);
  const at::Tensor prompt = golden_.prompt.clone().set_requires_grad(true);
  const EncoderBatch inputs = WithPrompt(model_, prompt, ids_);
  const at::Tensor states = model_.Encode(inputs.embeddings, inputs.mask);
  const at::Tensor loss =
      MeanNll(TargetLogProbs(model_.Head(trunk, states, inputs.mask), batch.targets), batch.mask);
  loss.backward();
  EXPECT_NEAR(loss.item<float>(), golden_.loss, 1e-5 * golden_.loss);
  const double scale = golden_.prompt_gradient.abs().max().item<double>();
  EXPECT_LT(Difference(prompt.grad(), golden_.prompt_gradient),
            (model_.geometry().family == "t5" ? kLongRounding : kRounding) * scale);
  EXPECT_FALSE(trunk.parts[0].requires_grad());
}

TEST_P(GoldenModelTest, LetsOthersGoFirstBehindEachLayerOnTheWayThereAndBack) {
  if (TestDevice() != "cpu") GTEST_SKIP() << "a GPU's backward is on a thread of its own";
  const at::Tensor prompt = golden_.prompt.clone().set_requires_grad(true);
  int64_t pauses = 0;
  const PauseScope scope([&] { ++pauses; });
  const EncoderBatch inputs = WithPrompt(model_, prompt, ids_);
  const at::Tensor states = model_.Encode(inputs.embeddings, inputs.mask);
  EXPECT_EQ(pauses, model_.geometry().encoder.layers);
  states.sum().backward();
  EXPECT_EQ(pauses, 2 * model_.geometry().encoder.layers);
}

TEST_P(GoldenModelTest, GreedyWithCacheIsTheUncachedOne) {
  const EncoderBatch inputs = WithPrompt(model_, golden_.prompt, ids_);
  std::vector<int64_t> lengths;
  for (const auto& prefix : golden_.prefixes) lengths.push_back(int64_t(prefix.size()));
  auto [state, logits] = model_.Prefill(model_.Encode(inputs.embeddings, inputs.mask), inputs.mask,
                                        PadIds(golden_.prefixes, TestDevice()).ids, lengths);
  Golden::Rows decoded(lengths.size());
  for (int step = 0; step < 64; ++step) {
    const at::Tensor ids = at::argmax(logits, -1);
    for (size_t row = 0; row < decoded.size(); ++row) {
      decoded[row].push_back(uint32_t(ids[int64_t(row)].item<int64_t>()));
    }
    logits = model_.Step(*state, ids);
  }
  EXPECT_EQ(decoded, golden_.greedy);
}

TEST_P(GoldenModelTest, LongAnswerTokenByTokenIsTheWholeOne) {
  const int64_t last = int64_t(golden_.answers.size()) - 1;
  const PaddedIds ids = PadIds(Golden::Rows{golden_.instructions.back()}, TestDevice());
  const EncoderBatch inputs = WithPrompt(model_, golden_.prompt, ids);
  const Golden::Rows prefix = {golden_.prefixes.back()};
  auto [state, logits] = model_.Prefill(model_.Encode(inputs.embeddings, inputs.mask), inputs.mask,
                                        PadIds(prefix, TestDevice()).ids,
                                        std::vector<int64_t>{int64_t(prefix[0].size())});
  std::vector<at::Tensor> found;
  for (const uint32_t id : golden_.answers.back()) {
    const at::Tensor token = at::full({1}, int64_t(id), Ids());
    found.push_back(TargetLogProbs(logits, token));
    logits = model_.Step(*state, token);
  }
  EXPECT_EQ(found.size(), 512u);
  EXPECT_LT(Difference(at::cat(found), golden_.logprobs_prompted[last]), 1e-4);
}

TEST_P(GoldenModelTest, OneTrunkServesManyPrompts) {
  const TargetBatch batch = BuildTargets(Golden::Rows{golden_.prefixes[1]},
                                         Golden::Rows{golden_.answers[1]}, TestDevice());
  const DecoderTrunk trunk = model_.Trunk(batch.decoder_ids, batch.positions);
  const at::Tensor prompts = at::stack({golden_.prompt, golden_.prompt * 2, -golden_.prompt});
  const PaddedIds ids = PadIds(Golden::Rows(3, golden_.instructions[1]), TestDevice());
  const EncoderBatch inputs = WithPrompt(model_, prompts, ids);
  const at::Tensor logits =
      model_.Head(trunk, model_.Encode(inputs.embeddings, inputs.mask), inputs.mask);
  const at::Tensor logprobs = TargetLogProbs(logits, batch.targets.expand({3, -1}));
  EXPECT_LT(Difference(logprobs[0], golden_.logprobs_prompted[1].narrow(0, 0, logprobs.size(1))),
            1e-4);
  EXPECT_GT(Difference(logprobs[0], logprobs[1]), 0.01);
}

TEST_P(GoldenModelTest, StackedTrunksAreTheBatchs) {
  std::vector<DecoderTrunk> cached;
  for (size_t row = 0; row < golden_.answers.size(); ++row) {
    const TargetBatch one = BuildTargets(Golden::Rows{golden_.prefixes[row]},
                                         Golden::Rows{golden_.answers[row]}, TestDevice());
    cached.push_back(model_.Trunk(one.decoder_ids, one.positions));
  }
  std::vector<const DecoderTrunk*> rows;
  for (const DecoderTrunk& trunk : cached) rows.push_back(&trunk);
  const DecoderTrunk stacked = StackTrunks(rows);
  const EncoderBatch inputs = WithPrompt(model_, golden_.prompt, ids_);
  const TargetBatch batch = BuildTargets(golden_.prefixes, golden_.answers, TestDevice());
  const at::Tensor logits =
      model_.Head(stacked, model_.Encode(inputs.embeddings, inputs.mask), inputs.mask);
  const at::Tensor logprobs = TargetLogProbs(logits, batch.targets);
  EXPECT_LT(Difference(logprobs.masked_select(batch.mask),
                       golden_.logprobs_prompted.masked_select(batch.mask)),
            1e-4);
}

TEST_P(GoldenModelTest, Int8IsClose) {
  const Golden packed = Golden::Load(GetParam(), ModelDtype::kInt8);
  const at::Tensor logprobs = packed.LogProbs(WithPrompt(*packed.model, packed.prompt, ids_));
  EXPECT_EQ(packed.model->geometry().dtype, ModelDtype::kInt8);
  const at::Tensor apart = (logprobs - golden_.logprobs_prompted).abs();
  double tokens = 0;
  for (const auto& answer : golden_.answers) tokens += static_cast<double>(answer.size());
  EXPECT_LT(apart.sum().item<double>() / tokens, kInt8Loss);
  EXPECT_EQ(packed.model->digest(), model_.digest());
}

TEST_P(GoldenModelTest, Int8TokenByTokenIsTheWholeOne) {
  const Golden packed = Golden::Load(GetParam(), ModelDtype::kInt8);
  const LanguageModel& model = *packed.model;
  const PaddedIds ids = PadIds(Golden::Rows{packed.instructions[0]}, TestDevice());
  const EncoderBatch inputs = WithPrompt(model, packed.prompt, ids);
  const std::vector<int64_t> lengths = {int64_t(packed.prefixes[0].size())};
  auto [state, logits] =
      model.Prefill(model.Encode(inputs.embeddings, inputs.mask), inputs.mask,
                    PadIds(Golden::Rows{packed.prefixes[0]}, TestDevice()).ids, lengths);
  double apart = 0;
  for (size_t i = 0; i < packed.answers[0].size(); ++i) {
    const int64_t token = packed.answers[0][i];
    const double logprob = at::log_softmax(logits, -1)[0][token].item<double>();
    apart += std::abs(logprob - packed.logprobs_prompted[0][int64_t(i)].item<double>());
    logits = model.Step(*state, at::tensor({token}, Ids()));
  }
  EXPECT_LT(apart / static_cast<double>(packed.answers[0].size()), kInt8Loss);
}

TEST_P(GoldenModelTest, Bfloat16IsClose) {
  const Golden half = Golden::Load(GetParam(), ModelDtype::kBFloat16);
  const at::Tensor logprobs = half.LogProbs(WithPrompt(*half.model, half.prompt, ids_));
  EXPECT_EQ(half.model->geometry().dtype, ModelDtype::kBFloat16);
  EXPECT_LT(Difference(logprobs, golden_.logprobs_prompted), 0.5);
  EXPECT_EQ(half.model->digest(), model_.digest());
}

}  // namespace
}  // namespace ddpt
