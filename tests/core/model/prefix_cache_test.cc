#include "core/model/prefix_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/model/cached_prefix.h"
#include "core/model/decoder_trunk.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

using Ids64 = std::vector<int64_t>;

const ModelGeometry::Attention kOneHead = {.layers = 1, .heads = 1, .head_width = 16};

// Of as many blocks.
std::shared_ptr<const CachedPrefix> PrefixOf(size_t blocks, const std::shared_ptr<KvMeter>& meter) {
  const KvLayout layout(kOneHead, ModelDtype::kFloat32);
  KvSequence past(meter);
  for (size_t i = 0; i < blocks * kBlockTokens; ++i) past.Grow(layout);
  return std::make_shared<const CachedPrefix>(CachedPrefix{std::move(past), {}, {}});
}

TEST(PrefixCacheTest, TheLeastRecentlyUsedGoFirst) {
  const auto meter = std::make_shared<KvMeter>();
  const size_t block = KvLayout(kOneHead, ModelDtype::kFloat32).block_bytes();
  PrefixCache cache(3 * block);
  cache.Keep({1}, PrefixOf(1, meter));
  cache.Keep({2}, PrefixOf(1, meter));
  cache.Keep({1, 2}, PrefixOf(1, meter));
  EXPECT_NE(cache.Find(Ids64{1}), nullptr);
  cache.Keep({3}, PrefixOf(2, meter));
  EXPECT_NE(cache.Find(Ids64{1}), nullptr);
  EXPECT_EQ(cache.Find(Ids64{2}), nullptr);
  EXPECT_EQ(cache.Find({1, 2}), nullptr);
  EXPECT_EQ(cache.bytes(), 3 * block);
  EXPECT_EQ(meter->bytes(), 3 * block);
}

TEST(PrefixCacheTest, WhatIsAboveTheLimitIsNotKept) {
  const auto meter = std::make_shared<KvMeter>();
  PrefixCache cache(KvLayout(kOneHead, ModelDtype::kFloat32).block_bytes());
  cache.Keep({1}, PrefixOf(1, meter));
  cache.Keep({2}, PrefixOf(2, meter));
  EXPECT_NE(cache.Find(Ids64{1}), nullptr);
  EXPECT_EQ(cache.Find(Ids64{2}), nullptr);
}

TEST(PrefixCacheTest, TellsWhetherItFound) {
  std::vector<bool> found;
  PrefixCache cache(1 << 20, [&](bool hit) { found.push_back(hit); });
  cache.Find(Ids64{1});
  cache.Keep({1}, PrefixOf(1, std::make_shared<KvMeter>()));
  cache.Find(Ids64{1});
  EXPECT_EQ(found, (std::vector<bool>{false, true}));
}

class CachedPrefillTest : public testing::Test {
 protected:
  // All rows of the golden file, under the prompt or without.
  LanguageModel::Prefilled Start(const LanguageModel& model, bool prompted, PrefixCache* cache) {
    const PaddedIds ids = PadIds(golden_.instructions, TestDevice());
    const EncoderBatch inputs =
        prompted ? WithPrompt(model, golden_.prompt, ids) : WithoutPrompt(model, ids);
    std::vector<int64_t> lengths;
    for (const auto& prefix : golden_.prefixes) lengths.push_back(int64_t(prefix.size()));
    return model.Prefill(model.Encode(inputs.embeddings, inputs.mask), inputs.mask,
                         PadIds(golden_.prefixes, TestDevice()).ids, lengths, inputs.prefixes,
                         cache);
  }

  Golden golden_ = Golden::Load("codet5p_wide");
};

TEST_F(CachedPrefillTest, RowsGoOnAsWithoutACacheUnderAnyPrompt) {
  const LanguageModel& model = *golden_.model;
  if (!model.steps_in_fixed_order()) GTEST_SKIP() << "only on a processor with kernels";
  size_t hits = 0, misses = 0;
  PrefixCache cache(size_t{8} << 20, [&](bool hit) { ++(hit ? hits : misses); });
  const auto rows = static_cast<int64_t>(golden_.prefixes.size());
  for (const bool prompted : {true, false, true}) {
    auto expected = Start(model, prompted, nullptr), found = Start(model, prompted, &cache);
    EXPECT_LT(Difference(found.logits, expected.logits), 1e-4);
    for (int64_t token = 0; token < 20; ++token) {
      const at::Tensor ids = at::full({rows}, 7 * token, Ids());
      EXPECT_LT(Difference(model.Step(*found.state, ids), model.Step(*expected.state, ids)), 1e-4);
    }
  }
  EXPECT_EQ(misses, golden_.prefixes.size());
  EXPECT_EQ(hits, 2 * golden_.prefixes.size());
}

TEST_F(CachedPrefillTest, RowsShareTheBlocksOfTheirPrefix) {
  const LanguageModel& model = *golden_.model;
  if (!model.steps_in_fixed_order()) GTEST_SKIP() << "only on a processor with kernels";
  PrefixCache cache(size_t{8} << 20);
  const auto first = Start(model, true, &cache);
  const size_t one = model.kv_bytes();
  const auto second = Start(model, false, &cache);
  const size_t cross_alone = model.kv_bytes() - one;
  EXPECT_LT(cross_alone, one / 2);
}

}  // namespace
}  // namespace ddpt
