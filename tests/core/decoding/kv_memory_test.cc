#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/base/status.h"
#include "core/decoding/generator.h"
#include "core/decoding/kv_need.h"
#include "core/model/prefix_cache.h"
#include "core/text/tokenizer.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

using testing::HasSubstr;

// Families with and without cross-attention in every layer.
class KvMemoryTest : public testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const PromptedRequest> Request(size_t row) const {
    PromptedRequest request;
    request.instruction_ids = golden_.instructions[row];
    request.soft_prompt = std::make_shared<const Tensor>(FromTorch(golden_.prompt));
    return std::make_shared<const PromptedRequest>(std::move(request));
  }

  static std::shared_ptr<const DecodingOptions> Options(uint32_t tokens, uint32_t beams = 1) {
    DecodingOptions options;
    options.max_new_tokens = tokens;
    options.num_beams = beams;
    return std::make_shared<const DecodingOptions>(options);
  }

  GenerationRow Row(size_t row, std::shared_ptr<const DecodingOptions> options) const {
    GenerationRow made;
    made.request = Request(row);
    made.options = std::move(options);
    made.sink = [](const Delta&) { return true; };
    return made;
  }

  size_t BytesOf(size_t row, const DecodingOptions& options, size_t rows = 1) const {
    const std::vector<KvNeed> needs(rows, KvNeedOf(*Request(row), options, model_.geometry()));
    return model_.KvBytesOf(needs);
  }

  Golden golden_ = Golden::Load(GetParam());
  const LanguageModel& model_ = *golden_.model;
  std::shared_ptr<const Tokenizer> tokenizer_ =
      Tokenizer::Load(Golden::Directory("codet5p_wide")).value();
};

INSTANTIATE_TEST_SUITE_P(Families, KvMemoryTest, testing::Values("codet5p_wide", "t5_tied"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(KvMemoryTest, ARowWaitsUntilItsMemoryIsFree) {
  const auto options = Options(30);
  const size_t limit = BytesOf(0, *options, 2);
  GenerationBatch batch(golden_.model, tokenizer_, {.capacity = 8, .kv_bytes = limit});
  std::vector<GenerationBatch::Finished> finished;
  const size_t first = batch.Join(Row(0, options)).value();
  ASSERT_TRUE(batch.HasRoom(*Request(0), *options));
  ASSERT_TRUE(batch.Join(Row(0, options)).ok());
  batch.Step(finished);
  EXPECT_EQ(batch.kv_load(), limit);
  EXPECT_FALSE(batch.HasRoom(*Request(0), *options));
  const absl::Status full = batch.Join(Row(0, options)).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
  batch.Leave(first);
  EXPECT_TRUE(batch.HasRoom(*Request(0), *options));
  EXPECT_TRUE(batch.Join(Row(0, options)).ok());
}

TEST_P(KvMemoryTest, WhatNeverFitsIsRefusedAtOnce) {
  const auto small = Options(20), large = Options(21 + 16), beams = Options(20, 4);
  const size_t limit = BytesOf(0, *small);
  GenerationBatch batch(golden_.model, tokenizer_, {.capacity = 8, .kv_bytes = limit});
  for (const auto& options : {large, beams}) {
    EXPECT_TRUE(batch.HasRoom(*Request(0), *options));
    const absl::Status status = batch.Join(Row(0, options)).status();
    EXPECT_EQ(FieldOf(status), "decoding.max_new_tokens");
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(limit)));
    EXPECT_THAT(std::string(status.message()), HasSubstr("kv-cache-bytes"));
  }
  EXPECT_TRUE(batch.Join(Row(0, small)).ok());
}

TEST_P(KvMemoryTest, RequestsBeyondTheMemoryAreServedOneAfterTheOther) {
  const DecodingOptions options = *Options(10);
  std::vector<PromptedRequest> requests;
  for (size_t i = 0; i < 6; ++i) requests.push_back(*Request(i % 3));
  const auto expected =
      GenerateAll(golden_.model, tokenizer_, requests, options, /*width=*/1).value();
  GenerationBatch batch(golden_.model, tokenizer_,
                        {.capacity = 8, .kv_bytes = BytesOf(1, options, 2)});
  std::vector<std::vector<uint32_t>> found(requests.size());
  std::vector<GenerationBatch::Finished> finished;
  size_t next = 0, widest = 0;
  while (next < requests.size() || batch.width() > 0) {
    while (next < requests.size() && batch.HasRoom(requests[next], options)) {
      GenerationRow row = Row(next % 3, Options(10));
      row.sink = [to = &found[next++]](const Delta& delta) {
        to->push_back(delta.token_ids[0]);
        return true;
      };
      ASSERT_TRUE(batch.Join(std::move(row)).ok());
    }
    batch.Step(finished);
    widest = std::max(widest, batch.width());
  }
  for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(found[i], expected[i].token_ids) << i;
  EXPECT_LT(widest, requests.size());
}

// Rows and beams come, stay for a while and go: given up, stopped, refused by their reader or done.
TEST_P(KvMemoryTest, TenThousandRandomEndsLeakNoBlock) {
  constexpr size_t kEnds = 10'000;
  std::mt19937 random(5);
  const auto cache = std::make_shared<PrefixCache>(size_t{1} << 16);
  const size_t limit = BytesOf(1, *Options(40), 20);
  struct Guest {
    size_t slot;
    StopSource source;
    std::shared_ptr<bool> refuses = std::make_shared<bool>(false);
  };
  std::vector<std::unique_ptr<Guest>> guests;
  std::vector<GenerationBatch::Finished> finished;
  size_t ends = 0, most = 0;
  {
    GenerationBatch batch(golden_.model, tokenizer_,
                          {.capacity = 24, .kv_bytes = limit, .prefix_cache = cache});
    const auto forget = [&](size_t slot) {
      std::erase_if(guests, [slot](const auto& guest) { return guest->slot == slot; });
      ++ends;
    };
    while (ends < kEnds || batch.width() > 0) {
      while (ends < kEnds) {
        const auto options = Options(1 + random() % 40, random() % 8 == 0 ? 3 : 1);
        GenerationRow row = Row(random() % 3, options);
        if (!batch.HasRoom(*row.request, *options)) break;
        auto guest = std::make_unique<Guest>();
        row.stop = guest->source.token();
        row.sink = [refuses = guest->refuses](const Delta&) { return !*refuses; };
        guest->slot = batch.Join(std::move(row)).value();
        guests.push_back(std::move(guest));
      }
      for (size_t i = guests.size(); i-- > 0;) {
        Guest& guest = *guests[i];
        switch (random() % 6) {
          case 0:
            batch.Leave(guest.slot);
            forget(guest.slot);
            break;
          case 1:
            guest.source.Cancel();
            break;
          case 2:
            *guest.refuses = true;
            break;
        }
      }
      batch.Step(finished);
      for (const GenerationBatch::Finished& row : finished) forget(row.slot);
      finished.clear();
      ASSERT_LE(batch.kv_load(), limit);
      if (model_.steps_in_fixed_order()) {
        ASSERT_LE(model_.kv_bytes(), batch.kv_load() + cache->bytes());
      }
      most = std::max(most, model_.kv_bytes());
    }
    EXPECT_EQ(batch.kv_load(), 0u);
    EXPECT_EQ(model_.kv_bytes(), cache->bytes());
  }
  EXPECT_GT(most, limit / 4);
  EXPECT_EQ(guests.size(), 0u);
}

TEST_P(KvMemoryTest, ChoicesOfOneRequestShareWhatIsBeforeThem) {
  if (!model_.steps_in_fixed_order()) GTEST_SKIP() << "only on a processor with kernels";
  std::vector<GenerationBatch::Finished> finished;
  const auto held = [&](bool one_request) {
    GenerationBatch batch(golden_.model, tokenizer_, {.capacity = 4});
    GenerationRow row = Row(0, Options(30));
    for (row.choice = 0; row.choice < 4; ++row.choice) {
      if (!one_request) row.request = Request(0);
      EXPECT_TRUE(batch.Join(row).ok());
    }
    batch.Step(finished);
    return model_.kv_bytes();
  };
  EXPECT_EQ(4 * held(true), held(false));
}

TEST_P(KvMemoryTest, NothingIsHeldWithoutStateOrCache) {
  GenerateAll(golden_.model, tokenizer_, {*Request(0), *Request(1)}, *Options(20, 3), 6).value();
  EXPECT_EQ(model_.kv_bytes(), 0u);
}

}  // namespace
}  // namespace ddpt
