#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <optional>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "core/base/safetensors.h"
#include "core/model/batch.h"
#include "core/model/decoder_trunk.h"
#include "core/model/prefixes.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

// A checkpoint, a place, and what tests/data/prefix_golden.py says of both.
class PrefixTest : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  // Under a prefix of prefix.safetensors, or a soft prompt; null for none.
  using Prompts = std::vector<const Tensor*>;

  PrefixTest() {
    golden_.instructions.resize(kRows);
    golden_.answers.resize(kRows);
    golden_.prefixes.resize(kRows);
  }

  static std::string Checkpoint() { return std::get<0>(GetParam()); }
  static std::string Place() { return std::get<1>(GetParam()); }

  Tensor Expected(const std::string& key, std::optional<size_t> row = {}) const {
    const std::string name = absl::StrCat(key, row ? absl::StrCat(".", *row) : "");
    return file_->tensors().at(name).ToTensor();
  }
  at::Tensor Logits(const EncoderBatch& inputs) const {
    const TargetBatch batch = BuildTargets(golden_.prefixes, golden_.answers, TestDevice());
    return model_.Head(model_.Trunk(batch.decoder_ids, batch.positions, inputs.prefixes),
                       model_.Encode(inputs.embeddings, inputs.mask, inputs.prefixes), inputs.mask,
                       inputs.prefixes);
  }
  // Of the answers of all rows, -1 in the padding.
  at::Tensor LogProbs(const EncoderBatch& inputs) const {
    const TargetBatch batch = BuildTargets(golden_.prefixes, golden_.answers, TestDevice());
    return TargetLogProbs(Logits(inputs), batch.targets).masked_fill(batch.mask.logical_not(), -1);
  }
  EncoderBatch Inputs(const Prompts& prompts) const {
    return WithPrompts(model_, prompts, golden_.instructions);
  }
  LanguageModel::Prefilled Start(const Prompts& prompts) const {
    const EncoderBatch inputs = Inputs(prompts);
    std::vector<int64_t> lengths;
    for (const auto& prefix : golden_.prefixes) lengths.push_back(int64_t(prefix.size()));
    return model_.Prefill(model_.Encode(inputs.embeddings, inputs.mask, inputs.prefixes),
                          inputs.mask, PadIds(golden_.prefixes, TestDevice()).ids, lengths,
                          inputs.prefixes, nullptr);
  }
  // The likeliest tokens, one after the other.
  Golden::Rows Greedy(LanguageModel::Prefilled started, size_t tokens) const {
    Golden::Rows rows(started.state->rows());
    for (size_t i = 0; i < tokens; ++i) {
      const at::Tensor ids = at::argmax(started.logits, -1);
      for (size_t row = 0; row < rows.size(); ++row) {
        rows[row].push_back(uint32_t(ids[int64_t(row)].item<int64_t>()));
      }
      started.logits = model_.Step(*started.state, ids);
    }
    return rows;
  }

  static constexpr size_t kRows = 3;
  static constexpr size_t kTokens = 24;
  Golden golden_ = Golden::Load(Checkpoint());
  const LanguageModel& model_ = *golden_.model;
  std::shared_ptr<const SafetensorsFile> file_ =
      SafetensorsFile::Open(Golden::Directory(Checkpoint()) + "/prefix.safetensors").value();
  const Tensor prefix_ = Expected(Place() + ".prefix");
  const Tensor soft_ = FromTorch(golden_.prompt);
};

INSTANTIATE_TEST_SUITE_P(Checkpoints, PrefixTest,
                         testing::Combine(testing::Values("codet5p_wide", "t5_tied"),
                                          testing::Values("all", "decoder")),
                         [](const auto& info) {
                           return absl::StrCat(std::get<0>(info.param), "_",
                                               std::get<1>(info.param));
                         });

TEST_P(PrefixTest, WidthTellsItFromASoftPrompt) {
  const ModelGeometry& geometry = model_.geometry();
  const PrefixPlace place = Place() == "all" ? PrefixPlace::kAll : PrefixPlace::kDecoder;
  EXPECT_EQ(PrefixOfWidth(geometry, prefix_.shape[1]), place);
  EXPECT_EQ(PrefixWidth(geometry, place), prefix_.shape[1]);
  EXPECT_EQ(PrefixOfWidth(geometry, geometry.encoder.width), std::nullopt);
  EXPECT_FALSE(TakesPromptWidth(geometry, prefix_.shape[1] + 1));
}

TEST_P(PrefixTest, LogProbsAreTheReferences) {
  const at::Tensor found = LogProbs(Inputs(Prompts(kRows, &prefix_)));
  for (size_t row = 0; row < kRows; ++row) {
    const at::Tensor expected = ToTorch(Expected(Place() + ".logprobs", row), TestDevice());
    EXPECT_LT(Difference(found[int64_t(row)].narrow(0, 0, expected.size(0)), expected), 1e-4);
  }
}

TEST_P(PrefixTest, LossAndGradientAreTheReferences) {
  const at::Tensor prefix = ToTorch(prefix_, TestDevice()).set_requires_grad(true);
  const TargetBatch batch = BuildTargets(golden_.prefixes, golden_.answers, TestDevice());
  const EncoderBatch inputs =
      WithPrompt(model_, prefix, PadIds(golden_.instructions, TestDevice()));
  const at::Tensor loss = MeanNll(TargetLogProbs(Logits(inputs), batch.targets), batch.mask);
  loss.backward();
  const float expected = Expected(Place() + ".loss").data[0];
  EXPECT_NEAR(loss.item<float>(), expected, 1e-5 * expected);
  const at::Tensor gradient = ToTorch(Expected(Place() + ".gradient"), TestDevice());
  EXPECT_LT(Difference(prefix.grad(), gradient), 3e-5 * gradient.abs().max().item<double>());
}

TEST_P(PrefixTest, GreedyWithCacheIsTheUncachedOne) {
  const Golden::Rows found = Greedy(Start(Prompts(kRows, &prefix_)), kTokens);
  for (size_t row = 0; row < kRows; ++row) {
    const Tensor expected = Expected(Place() + ".greedy", row);
    EXPECT_EQ(found[row], std::vector<uint32_t>(expected.data.begin(), expected.data.end()));
  }
}

TEST_P(PrefixTest, BesideRowsWithOthersARowIsThatAlone) {
  const Tensor longer{{2 * prefix_.shape[0], prefix_.shape[1]}, [&] {
                        std::vector<float> twice = prefix_.data;
                        twice.insert(twice.end(), prefix_.data.begin(), prefix_.data.end());
                        return twice;
                      }()};
  for (const Prompts& prompts :
       {Prompts{&prefix_, nullptr, &soft_}, Prompts{nullptr, &prefix_, &longer}}) {
    const at::Tensor found = LogProbs(Inputs(prompts));
    for (size_t row = 0; row < kRows; ++row) {
      const at::Tensor alone = LogProbs(Inputs(Prompts(kRows, prompts[row])));
      EXPECT_LT(Difference(found[int64_t(row)], alone[int64_t(row)]), 1e-5);
      EXPECT_EQ(Greedy(Start(prompts), kTokens)[row],
                Greedy(Start(Prompts(kRows, prompts[row])), kTokens)[row]);
    }
  }
}

TEST_P(PrefixTest, RowsThatJoinOthersGoOnAsTheyWould) {
  auto batch = Start(Prompts(kRows, nullptr)), joining = Start(Prompts(kRows, &prefix_));
  const at::Tensor token = at::full({kRows}, 7, Ids());
  for (int i = 0; i < 3; ++i) model_.Step(*batch.state, token);
  batch.state->Append(std::move(joining.state));
  const std::vector<int64_t> rows = {4, 0};
  batch.state->Select(rows);
  auto alone = Start(Prompts(kRows, &prefix_));
  at::Tensor expected, found;
  for (int i = 0; i < 70; ++i) {
    expected = model_.Step(*alone.state, token);
    found = model_.Step(*batch.state, token.narrow(0, 0, 2));
  }
  EXPECT_LT(Difference(found[0], expected[1]), 1e-4);
}

TEST_P(PrefixTest, PackedAgainItIsTheSame) {
  const PrefixPlace place = Place() == "all" ? PrefixPlace::kAll : PrefixPlace::kDecoder;
  const EncoderBatch inputs = Inputs({&prefix_, nullptr, nullptr});
  EXPECT_EQ(FromTorch(PackPrefix(inputs.prefixes, place)).data, prefix_.data);
}

TEST_P(PrefixTest, BFloat16IsClose) {
  const Golden half = Golden::Load(Checkpoint(), ModelDtype::kBFloat16);
  const at::Tensor prefix = ToTorch(prefix_, TestDevice());
  const PaddedIds ids = PadIds(golden_.instructions, TestDevice());
  const EncoderBatch inputs = WithPrompt(*half.model, prefix, ids);
  const at::Tensor states = half.model->Encode(inputs.embeddings, inputs.mask, inputs.prefixes);
  const TargetBatch batch = BuildTargets(golden_.prefixes, golden_.answers, TestDevice());
  const at::Tensor logits =
      half.model->Head(half.model->Trunk(batch.decoder_ids, batch.positions, inputs.prefixes),
                       states, inputs.mask, inputs.prefixes);
  EXPECT_LT(
      Difference(TargetLogProbs(logits, batch.targets).masked_fill(batch.mask.logical_not(), -1),
                 LogProbs(Inputs(Prompts(kRows, &prefix_)))),
      0.5);
}

// Softmax over each key twice is that over each once: where no position tells them apart, a prefix
// of a row's own keys and values changes nothing.
TEST_P(PrefixTest, OfTheRowsOwnKeysAndValuesItIsNotSeen) {
  for (Golden::Rows* rows : {&golden_.instructions, &golden_.answers, &golden_.prefixes}) {
    rows->resize(1);
  }
  const PaddedIds ids = PadIds(golden_.instructions, TestDevice());
  const at::Tensor packed = PackPrefix(model_.KeysAndValues(ids.ids), PrefixPlace::kAll);
  EXPECT_EQ(packed.size(0), ids.ids.size(1));
  EncoderBatch inputs = WithPrompt(model_, packed, ids);
  inputs.prefixes.decoder = {};
  if (model_.geometry().family == "t5") inputs.prefixes.encoder = {};
  EXPECT_LT(Difference(LogProbs(inputs), LogProbs(WithoutPrompt(model_, ids))), 1e-4);
}

}  // namespace
}  // namespace ddpt
