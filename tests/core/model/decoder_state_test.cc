#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/model/batch.h"
#include "core/model/decoder_trunk.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

class DecoderStateTest : public testing::TestWithParam<const char*> {
 protected:
  // Rows [first, first + count) of the golden file, with or without the prompt.
  LanguageModel::Prefilled Start(size_t first, size_t count, bool with_prompt) {
    const auto slice = [&](const Golden::Rows& rows) {
      return Golden::Rows(rows.begin() + first, rows.begin() + first + count);
    };
    const PaddedIds ids = PadIds(slice(golden_.instructions), TestDevice());
    const EncoderBatch inputs =
        with_prompt ? WithPrompt(model_, golden_.prompt, ids) : WithoutPrompt(model_, ids);
    const Golden::Rows prefixes = slice(golden_.prefixes);
    std::vector<int64_t> lengths;
    for (const auto& prefix : prefixes) lengths.push_back(int64_t(prefix.size()));
    return model_.Prefill(model_.Encode(inputs.embeddings, inputs.mask), inputs.mask,
                          PadIds(prefixes, TestDevice()).ids, lengths);
  }

  Golden golden_ = Golden::Load(GetParam());
  const LanguageModel& model_ = *golden_.model;
};

INSTANTIATE_TEST_SUITE_P(Families, DecoderStateTest, testing::Values("codet5p_wide", "t5_tied"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(DecoderStateTest, AppendedRowsGoOnAsTheyWould) {
  auto alone = Start(1, 1, true);
  auto batch = Start(0, 1, false);
  const at::Tensor token = at::full({1}, 7, Ids());
  for (int i = 0; i < 3; ++i) model_.Step(*batch.state, token);
  batch.state->Append(std::move(Start(1, 1, true).state));
  at::Tensor expected, found;
  for (int i = 0; i < 70; ++i) {
    expected = model_.Step(*alone.state, token);
    found = model_.Step(*batch.state, at::full({2}, 7, Ids()))[1];
  }
  EXPECT_LT(Difference(found, expected[0]), 1e-4);
}

TEST_P(DecoderStateTest, SelectDropsReordersAndRepeats) {
  auto all = Start(0, 3, true);
  auto picked = Start(0, 3, true);
  const std::vector<int64_t> rows = {2, 0, 2};
  picked.state->Select(rows);
  EXPECT_EQ(picked.state->rows(), 3);
  const at::Tensor ids = at::arange(3, Ids());
  const at::Tensor expected = model_.Step(*all.state, ids);
  const at::Tensor found = model_.Step(*picked.state, at::tensor({2, 0, 2}, Ids()));
  EXPECT_LT(Difference(found, expected.index_select(0, at::tensor({2, 0, 2}, Ids()))), 1e-5);
}

TEST_P(DecoderStateTest, RepeatedRowsGoTheirOwnWays) {
  auto both = Start(1, 1, true);
  both.state->Select(std::vector<int64_t>{0, 0});
  auto first = Start(1, 1, true), second = Start(1, 1, true);
  for (int64_t i = 0; i < 20; ++i) {
    const at::Tensor found = model_.Step(*both.state, at::tensor({i, 2 * i + 1}, Ids()));
    EXPECT_LT(Difference(found[0], model_.Step(*first.state, at::full({1}, i, Ids()))[0]), 1e-5);
    EXPECT_LT(Difference(found[1], model_.Step(*second.state, at::full({1}, 2 * i + 1, Ids()))[0]),
              1e-5);
  }
}

TEST_P(DecoderStateTest, PrefillOfALongPrefixIsManySteps) {
  auto stepped = Start(1, 1, true);
  at::Tensor logits = stepped.logits;
  for (const uint32_t id : {3u, 200u, 299u}) {
    logits = model_.Step(*stepped.state, at::full({1}, int64_t(id), Ids()));
    golden_.prefixes[1].push_back(id);
  }
  EXPECT_LT(Difference(Start(1, 1, true).logits, logits), 1e-4);
}

}  // namespace
}  // namespace ddpt
