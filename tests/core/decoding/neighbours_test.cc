#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/decoding/generator.h"
#include "core/model/decoder_trunk.h"
#include "core/model/prefix_cache.h"
#include "core/text/tokenizer.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

using testing::FloatNear;
using testing::Pointwise;

constexpr size_t kMostNeighbours = 63;

// What a row's answer owes to those beside it: nothing.
class NeighboursTest : public testing::TestWithParam<const char*> {
 protected:
  struct Answer {
    std::vector<uint32_t> ids;
    std::vector<float> logprobs;
  };

  GenerationRow Row(size_t instruction, bool prompted, const DecodingOptions& options,
                    DeltaSink sink) const {
    PromptedRequest request;
    request.instruction_ids = golden_.instructions[instruction];
    if (prompted) {
      request.soft_prompt = std::make_shared<const Tensor>(FromTorch(golden_.prompt));
    }
    GenerationRow made;
    made.request = std::make_shared<const PromptedRequest>(std::move(request));
    made.options = std::make_shared<const DecodingOptions>(options);
    made.sink = std::move(sink);
    return made;
  }

  static DecodingOptions Options(uint32_t tokens, double temperature) {
    DecodingOptions options;
    options.max_new_tokens = tokens;
    options.temperature = temperature;
    options.logprobs = true;
    return options;
  }

  // The watched row among others of all kinds, which come before it and beside it and go.
  Answer Among(size_t neighbours, double temperature, GenerationBatch::Options batch_options) {
    std::mt19937 random(static_cast<uint32_t>(neighbours));
    batch_options.capacity = neighbours + 1;
    GenerationBatch batch(golden_.model, tokenizer_, batch_options);
    const auto fill = [&](size_t room) {
      for (; room > 0; --room) {
        const DecodingOptions options = Options(1 + random() % 12, random() % 2);
        ASSERT_TRUE(batch
                        .Join(Row(random() % 3, random() % 2 == 0, options,
                                  [](const Delta&) { return true; }))
                        .ok());
      }
    };
    std::vector<GenerationBatch::Finished> finished;
    fill(random() % (neighbours + 1));
    if (batch.width() > 0) batch.Step(finished);
    Answer answer;
    bool ended = false;
    const DeltaSink watch = [&](const Delta& delta) {
      answer.ids.push_back(delta.token_ids.at(0));
      answer.logprobs.push_back(delta.logprobs.at(0));
      ended = delta.finish_reason.has_value();
      return true;
    };
    EXPECT_TRUE(batch.Join(Row(1, true, Options(12, temperature), watch)).ok());
    while (!ended) {
      fill(batch.capacity() - batch.width());
      batch.Step(finished);
    }
    return answer;
  }

  // Between the likeliest and the second token, at each token of a greedy answer.
  double SmallestMargin(const std::vector<uint32_t>& answer) const {
    const LanguageModel& model = *golden_.model;
    const GenerationRow row = Row(1, true, {}, nullptr);
    std::vector<uint32_t> ids = DecoderIds(*row.request, model.geometry());
    const auto first = static_cast<int64_t>(ids.size()) - 1;
    ids.insert(ids.end(), answer.begin(), answer.end() - 1);
    const EncoderBatch inputs = WithPrompt(
        model, golden_.prompt, PadIds(Golden::Rows{EncoderIds(*row.request)}, TestDevice()));
    const at::Tensor places =
        at::arange(first, static_cast<int64_t>(ids.size()), Ids()).unsqueeze(0);
    const at::Tensor logits =
        model.Head(model.Trunk(PadIds(Golden::Rows{ids}, TestDevice()).ids, places),
                   model.Encode(inputs.embeddings, inputs.mask), inputs.mask);
    const at::Tensor two = std::get<0>(at::topk(logits.narrow(2, 0, tokenizer_->vocab_size()), 2));
    return (two.select(2, 0) - two.select(2, 1)).min().item<double>();
  }

  Golden golden_ = Golden::Load(GetParam());
  std::shared_ptr<const Tokenizer> tokenizer_ =
      Tokenizer::Load(Golden::Directory("codet5p_wide")).value();
};

INSTANTIATE_TEST_SUITE_P(Families, NeighboursTest, testing::Values("codet5p_wide", "t5_tied"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(NeighboursTest, GreedyIdsAreTheSameAndLogprobsAreNear) {
  const Answer alone = Among(0, 0, {});
  ASSERT_GT(SmallestMargin(alone.ids), 1e-4);
  for (size_t neighbours = 1; neighbours <= kMostNeighbours; ++neighbours) {
    const Answer among = Among(neighbours, 0, {});
    EXPECT_EQ(among.ids, alone.ids) << neighbours;
    EXPECT_THAT(among.logprobs, Pointwise(FloatNear(1e-5), alone.logprobs)) << neighbours;
  }
}

TEST_P(NeighboursTest, BatchInvariantRowsAreTheSameBits) {
  if (!golden_.model->steps_in_fixed_order()) GTEST_SKIP() << "only on a processor with kernels";
  constexpr double kTemperatures[] = {0.0, 0.8};
  const Answer alone[] = {Among(0, kTemperatures[0], {.batch_invariant = true}),
                          Among(0, kTemperatures[1], {.batch_invariant = true})};
  for (size_t neighbours = 1; neighbours <= kMostNeighbours; ++neighbours) {
    const size_t kind = neighbours % 2;
    const Answer among = Among(neighbours, kTemperatures[kind], {.batch_invariant = true});
    EXPECT_EQ(among.ids, alone[kind].ids) << neighbours;
    EXPECT_EQ(among.logprobs, alone[kind].logprobs) << neighbours;
  }
}

// Also where its neighbours have left in the cache what it starts from.
TEST_P(NeighboursTest, BatchInvariantRowsAreTheSameBitsWithACache) {
  if (!golden_.model->steps_in_fixed_order()) GTEST_SKIP() << "only on a processor with kernels";
  const Answer alone = Among(0, 0, {.batch_invariant = true});
  const auto cache = std::make_shared<PrefixCache>(size_t{1} << 20);
  for (size_t neighbours = 1; neighbours <= kMostNeighbours; ++neighbours) {
    const Answer among = Among(neighbours, 0, {.batch_invariant = true, .prefix_cache = cache});
    EXPECT_EQ(among.ids, alone.ids) << neighbours;
    EXPECT_EQ(among.logprobs, alone.logprobs) << neighbours;
  }
}

}  // namespace
}  // namespace ddpt
