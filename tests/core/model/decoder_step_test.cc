#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <tuple>
#include <vector>

#include "core/model/batch.h"
#include "core/model/codet5p_model.h"
#include "core/model/decoder_trunk.h"
#include "core/model/random_weights.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

// Heads, inner width and vocabulary are no multiples of what a kernel takes at a time.
Codet5pConfig Config(int64_t head_width) {
  return {.encoder = {.width = 64, .layers = 2, .heads = 4, .rotary_dim = 16, .inner = 256},
          .decoder =
              {.width = 4 * head_width, .layers = 3, .heads = 4, .rotary_dim = 64, .inner = 1024},
          .vocabulary_size = 301,
          .max_positions = 256,
          .start_token = 0,
          .end_token = 1};
}

// How many rows, the dtype of the weights, and how wide a head of the decoder is.
class DecoderStepTest
    : public testing::TestWithParam<std::tuple<int64_t, at::ScalarType, int64_t>> {
 protected:
  static int64_t Rows() { return std::get<0>(GetParam()); }
  static at::ScalarType Type() { return std::get<1>(GetParam()); }

  void SetUp() override {
    const Codet5pConfig config = Config(std::get<2>(GetParam()));
    const StateDict weights = RandomCodet5pWeights(config, 7, 0.08f);
    const auto in = [&](at::ScalarType type) {
      StateDict moved;
      for (const auto& [name, weight] : weights) {
        moved[name] = weight.to(Type()).to(at::Device(TestDevice()), type);
      }
      return CreateCodet5pModel(config, moved).value();
    };
    model_ = in(Type());
    exact_ = in(at::kFloat);
    for (int64_t row = 0; row < Rows(); ++row) {
      instructions_.push_back(Tokens(row, 3 + row % 5));
      prefixes_.push_back(Tokens(row + 100, 1 + row % 7));
    }
  }

  static std::vector<uint32_t> Tokens(int64_t seed, int64_t count) {
    std::vector<uint32_t> tokens;
    for (int64_t i = 0; i < count; ++i) tokens.push_back((seed * 37 + i * i * 11 + 5) % 301);
    return tokens;
  }

  LanguageModel::Prefilled Start() const {
    const EncoderBatch inputs = WithoutPrompt(*model_, PadIds(instructions_, TestDevice()));
    std::vector<int64_t> lengths;
    for (const auto& prefix : prefixes_) lengths.push_back(int64_t(prefix.size()));
    return model_->Prefill(model_->Encode(inputs.embeddings, inputs.mask), inputs.mask,
                           PadIds(prefixes_, TestDevice()).ids, lengths);
  }

  // By the whole decoder, after the answers' first tokens: [rows, vocabulary].
  at::Tensor Exactly(const std::vector<std::vector<uint32_t>>& answers) const {
    const EncoderBatch inputs = WithoutPrompt(*exact_, PadIds(instructions_, TestDevice()));
    std::vector<std::vector<uint32_t>> longer = answers;
    for (auto& answer : longer) answer.push_back(0);  // asked about, not read
    const TargetBatch batch = BuildTargets(prefixes_, longer, TestDevice());
    return exact_
        ->Head(exact_->Trunk(batch.decoder_ids, batch.positions),
               exact_->Encode(inputs.embeddings, inputs.mask), inputs.mask)
        .select(1, -1);
  }

  double Bound() const { return Type() == at::kFloat ? 1e-5 : Type() == at::kHalf ? 5e-3 : 4e-2; }

  std::shared_ptr<const LanguageModel> model_, exact_;
  std::vector<std::vector<uint32_t>> instructions_, prefixes_;
};

std::vector<at::ScalarType> TypesOfTheDevice() {
  if (TestDevice() == "cpu") return {at::kFloat, at::kBFloat16};
  return {at::kFloat, at::kBFloat16, at::kHalf};
}

std::string NameOf(const testing::TestParamInfo<DecoderStepTest::ParamType>& info) {
  return std::to_string(std::get<0>(info.param)) + at::toString(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Heads80, DecoderStepTest,
                         testing::Combine(testing::Values(1, 3, 8, 9, 17),
                                          testing::ValuesIn(TypesOfTheDevice()),
                                          testing::Values(80)),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Heads256, DecoderStepTest,
                         testing::Combine(testing::Values(2, 9),
                                          testing::ValuesIn(TypesOfTheDevice()),
                                          testing::Values(256)),
                         NameOf);

TEST_P(DecoderStepTest, ManyStepsEqualTheWholeDecoder) {
  constexpr size_t kTokens = 80;
  LanguageModel::Prefilled started = Start();
  std::vector<std::vector<uint32_t>> answers(Rows());
  at::Tensor logits;
  for (size_t i = 0; i < kTokens; ++i) {
    std::vector<int64_t> ids;
    for (int64_t row = 0; row < Rows(); ++row) {
      answers[row].push_back((row * 13 + i * 7) % 301);
      ids.push_back(answers[row].back());
    }
    logits = model_->Step(*started.state, at::tensor(ids, Ids()));
  }
  const at::Tensor exact = Exactly(answers);
  EXPECT_LT(Difference(logits, exact), Bound() * exact.abs().max().item<double>());
}

TEST_P(DecoderStepTest, RepeatedRowsAreTheSameBits) {
  LanguageModel::Prefilled started = Start();
  started.state->Select(std::vector<int64_t>(Rows(), 0));
  at::Tensor logits;
  for (int64_t i = 0; i < 20; ++i)
    logits = model_->Step(*started.state, at::full({Rows()}, i, Ids()));
  EXPECT_TRUE(logits.equal(logits[0].expand_as(logits)));
}

TEST_P(DecoderStepTest, TheSameStepsGiveTheSameBits) {
  const auto last = [&] {
    LanguageModel::Prefilled started = Start();
    at::Tensor logits;
    for (int64_t i = 0; i < 20; ++i) {
      logits = model_->Step(*started.state, at::full({Rows()}, i, Ids()));
    }
    return logits.clone();
  };
  EXPECT_TRUE(last().equal(last()));
}

}  // namespace
}  // namespace ddpt
