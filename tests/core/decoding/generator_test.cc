#include "core/decoding/generator.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/safetensors.h"
#include "core/base/status.h"
#include "core/base/team.h"
#include "core/decoding/scorer.h"
#include "core/model/decoder_trunk.h"
#include "core/text/tokenizer.h"
#include "core/text/unicode.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

class GeneratorTest : public testing::Test {
 protected:
  // Row `row` of the golden file, under its soft prompt.
  PromptedRequest Request(size_t row) const {
    PromptedRequest request;
    request.instruction_ids = golden_.instructions[row];
    request.soft_prompt = std::make_shared<const Tensor>(FromTorch(golden_.prompt));
    return request;
  }

  static DecodingOptions Options(uint32_t tokens, double temperature = 0) {
    DecodingOptions options;
    options.max_new_tokens = tokens;
    options.temperature = temperature;
    return options;
  }

  std::vector<Generation> Run(const PromptedRequest& request,
                              const DecodingOptions& options) const {
    return Generate(golden_.model, tokenizer_, request, options).value();
  }

  GenerationRow Row(size_t row, const DecodingOptions& options, DeltaSink sink) const {
    GenerationRow made;
    made.request = std::make_shared<const PromptedRequest>(Request(row));
    made.options = std::make_shared<const DecodingOptions>(options);
    made.sink = std::move(sink);
    return made;
  }

  // The likeliest usable token again and again, each from a full pass without cache.
  std::vector<uint32_t> Uncached(const PromptedRequest& request, size_t tokens) const {
    const LanguageModel& model = *golden_.model;
    std::vector<uint32_t> ids = DecoderIds(request, model.geometry());
    const size_t prefix = ids.size();
    const EncoderBatch inputs =
        WithPrompt(model, golden_.prompt, PadIds(Golden::Rows{EncoderIds(request)}, TestDevice()));
    const at::Tensor states = model.Encode(inputs.embeddings, inputs.mask);
    while (ids.size() < prefix + tokens) {
      const at::Tensor last = at::full({1, 1}, int64_t(ids.size()) - 1, Ids());
      const DecoderTrunk trunk = model.Trunk(PadIds(Golden::Rows{ids}, TestDevice()).ids, last);
      const at::Tensor logits = model.Head(trunk, states, inputs.mask).view({-1});
      const int64_t used = tokenizer_->vocab_size();
      ids.push_back(uint32_t(at::argmax(logits.narrow(0, 0, used)).item<int64_t>()));
      if (ids.back() == model.geometry().end_token) break;
    }
    return {ids.begin() + int64_t(prefix), ids.end()};
  }

  Golden golden_ = Golden::Load("codet5p_wide");
  std::shared_ptr<const Tokenizer> tokenizer_ =
      Tokenizer::Load(Golden::Directory("codet5p_wide")).value();
};

TEST_F(GeneratorTest, GreedyIsTheUncachedArgmax) {
  for (size_t row = 0; row < 3; ++row) {
    const Generation generation = Run(Request(row), Options(32))[0];
    EXPECT_EQ(generation.token_ids, Uncached(Request(row), 32));
  }
}

TEST_F(GeneratorTest, HelpersChangeNoBit) {
  if (!golden_.model->steps_in_fixed_order()) GTEST_SKIP() << "only on a processor with kernels";
  DecodingOptions options = Options(12);
  options.logprobs = true;
  const std::vector<float> alone = Run(Request(1), options)[0].logprobs;
  std::vector<float> found;
  GenerationBatch batch(golden_.model, tokenizer_, {.capacity = 1});
  const HelperThreads helpers(
      3, [&](HelperThreads::Leave leave) { batch.Help([&] { return leave(); }); });
  ASSERT_TRUE(batch
                  .Join(Row(1, options,
                            [&](const Delta& delta) {
                              found.push_back(delta.logprobs.at(0));
                              return true;
                            }))
                  .ok());
  std::vector<GenerationBatch::Finished> finished;
  while (batch.width() > 0) batch.Step(finished);
  EXPECT_EQ(found, alone);
}

TEST_F(GeneratorTest, RowsInABatchAreThoseAlone) {
  std::vector<PromptedRequest> requests = {Request(0), Request(1), Request(2), Request(1)};
  requests[3].soft_prompt = nullptr;
  const DecodingOptions options = Options(20, 0.7);
  const auto together =
      GenerateAll(golden_.model, tokenizer_, requests, options, /*width=*/2).value();
  for (size_t i = 0; i < requests.size(); ++i) {
    const Generation alone = Run(requests[i], options)[0];
    EXPECT_EQ(together[i].token_ids, alone.token_ids);
    EXPECT_EQ(together[i].text, alone.text);
    for (size_t t = 0; t < alone.logprobs.size(); ++t) {
      EXPECT_NEAR(together[i].logprobs[t], alone.logprobs[t], 1e-4);
    }
  }
}

// In batches that rows join when others have gone on.
TEST_F(GeneratorTest, RowsWithPrefixesAmongOthersAreThoseAlone) {
  const auto file =
      SafetensorsFile::Open(Golden::Directory("codet5p_wide") + "/prefix.safetensors").value();
  const auto prefix = [&](const char* name) {
    return std::make_shared<const Tensor>(file->tensors().at(name).ToTensor());
  };
  std::vector<PromptedRequest> requests = {Request(0), Request(1), Request(2), Request(1),
                                           Request(0)};
  requests[1].soft_prompt = prefix("all.prefix");
  requests[3].soft_prompt = prefix("decoder.prefix");
  requests[4].soft_prompt = nullptr;
  const DecodingOptions options = Options(20, 0.7);
  const auto together =
      GenerateAll(golden_.model, tokenizer_, requests, options, /*width=*/3).value();
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(together[i].token_ids, Run(requests[i], options)[0].token_ids);
  }
  requests[1].soft_prompt = Request(1).soft_prompt;
  EXPECT_NE(together[1].token_ids, Run(requests[1], options)[0].token_ids);
}

TEST_F(GeneratorTest, SoftPromptChangesTheAnswer) {
  PromptedRequest bare = Request(1);
  bare.soft_prompt = nullptr;
  EXPECT_NE(Run(bare, Options(20))[0].token_ids, Run(Request(1), Options(20))[0].token_ids);
}

TEST_F(GeneratorTest, EmbeddingsOfWordsAsPromptAreTheWordsInTheEncoder) {
  PromptedRequest words = Request(1), vectors = Request(1);
  words.soft_prompt = nullptr;
  words.manual_ids = {65, 66, 260};
  vectors.soft_prompt = std::make_shared<const Tensor>(FromTorch(golden_.model->EmbedEncoderTokens(
      PadIds(Golden::Rows{words.manual_ids}, TestDevice()).ids)[0]));
  EXPECT_EQ(Run(words, Options(20))[0].token_ids, Run(vectors, Options(20))[0].token_ids);
}

TEST_F(GeneratorTest, RowsWithoutTokenAreNeverGenerated) {
  DecodingOptions options = Options(60, 10);
  options.n = 8;
  size_t tokens = 0;
  for (const Generation& generation : Run(Request(0), options)) {
    for (const uint32_t id : generation.token_ids) EXPECT_TRUE(tokenizer_->HasToken(id)) << id;
    tokens += generation.token_ids.size();
  }
  EXPECT_GT(tokens, 200u);
}

TEST_F(GeneratorTest, ChoicesDifferAndCanBeRepeated) {
  DecodingOptions options = Options(12, 1);
  options.n = 3;
  options.seed = 5;
  const auto first = Run(Request(0), options), second = Run(Request(0), options);
  EXPECT_NE(first[0].token_ids, first[1].token_ids);
  for (size_t choice = 0; choice < 3; ++choice) {
    EXPECT_EQ(first[choice].token_ids, second[choice].token_ids);
  }
}

TEST_F(GeneratorTest, LogprobsAreThoseOfScoring) {
  const Generation generation = Run(Request(2), Options(16, 1))[0];
  const Score score =
      ScoreAnswer(*golden_.model, {Request(2)}, generation.token_ids).value().front();
  ASSERT_EQ(score.token_logprobs.size(), generation.logprobs.size());
  for (size_t i = 0; i < generation.logprobs.size(); ++i) {
    EXPECT_NEAR(score.token_logprobs[i], generation.logprobs[i], 1e-4);
  }
}

TEST_F(GeneratorTest, EndsAtTheEndToken) {
  // Some choice of a hot draw meets the end token before its 80 tokens are over.
  DecodingOptions options = Options(80, 10);
  options.n = 16;
  bool ended = false;
  for (const Generation& generation : Run(Request(2), options)) {
    const bool end = generation.token_ids.back() == golden_.model->geometry().end_token;
    EXPECT_EQ(generation.finish_reason, end ? FinishReason::kStop : FinishReason::kLength);
    EXPECT_TRUE(end || generation.token_ids.size() == 80);
    ended = ended || end;
  }
  EXPECT_TRUE(ended);
}

TEST_F(GeneratorTest, StopStringAcrossTokensEndsBeforeIt) {
  DecodingOptions options = Options(30, 1);
  options.seed = 3;
  const std::string text = Run(Request(0), options)[0].text;
  const std::vector<uint32_t> ids = Run(Request(0), options)[0].token_ids;
  // The characters on both sides of a border between tokens.
  const std::string before = tokenizer_->Decode(std::span(ids).first(10));
  ASSERT_TRUE(text.starts_with(before));
  size_t start = before.size() - 1;
  while ((text[start] & 0xC0) == 0x80) --start;
  options.stop = {
      text.substr(start, before.size() - start + NextChar(text.substr(before.size())).length)};
  const Generation stopped = Run(Request(0), options)[0];
  EXPECT_EQ(stopped.text, text.substr(0, text.find(options.stop[0])));
  EXPECT_EQ(stopped.finish_reason, FinishReason::kStop);
  EXPECT_LE(stopped.token_ids.size(), 12u);
}

TEST_F(GeneratorTest, StreamedTextIsWholeCharactersAndAddsUp) {
  std::string text;
  std::vector<uint32_t> ids;
  GenerationBatch batch(golden_.model, tokenizer_, {.capacity = 1});
  ASSERT_TRUE(batch
                  .Join(Row(1, Options(40, 2),
                            [&](const Delta& delta) {
                              EXPECT_EQ(ReplaceInvalidUtf8(delta.text), delta.text);
                              EXPECT_EQ(delta.token_ids.size(), 1u);
                              text += delta.text;
                              ids.push_back(delta.token_ids[0]);
                              EXPECT_EQ(delta.output_tokens, ids.size());
                              return true;
                            }))
                  .ok());
  std::vector<GenerationBatch::Finished> finished;
  while (batch.width() > 0) batch.Step(finished);
  EXPECT_EQ(text, tokenizer_->Decode(ids));
  ASSERT_EQ(finished.size(), 1u);
  EXPECT_TRUE(finished[0].status.ok());
}

TEST_F(GeneratorTest, RowsJoinAndLeaveBetweenTokens) {
  std::vector<std::vector<uint32_t>> heard(3);
  const auto listen = [&](size_t i) {
    return [&heard, i](const Delta& delta) {
      heard[i].push_back(delta.token_ids[0]);
      return true;
    };
  };
  GenerationBatch batch(golden_.model, tokenizer_, {.capacity = 2});
  std::vector<GenerationBatch::Finished> finished;
  const size_t leaving = batch.Join(Row(0, Options(30), listen(0))).value();
  for (int i = 0; i < 3; ++i) batch.Step(finished);
  ASSERT_TRUE(batch.Join(Row(1, Options(30), listen(1))).ok());
  EXPECT_EQ(batch.Join(Row(2, Options(30), listen(2))).status().code(),
            absl::StatusCode::kResourceExhausted);
  batch.Step(finished);
  batch.Leave(leaving);
  EXPECT_EQ(batch.Join(Row(2, Options(30), listen(2))).value(), leaving);
  while (batch.width() > 0) batch.Step(finished);
  EXPECT_EQ(heard[0].size(), 4u);
  EXPECT_EQ(heard[1], Uncached(Request(1), 30));
  EXPECT_EQ(heard[2], Uncached(Request(2), 30));
  EXPECT_EQ(finished.size(), 2u);
}

TEST_F(GeneratorTest, StopTokenAndReceiverEndTheirRowsOnly) {
  StopSource source;
  std::vector<int> heard(3);
  GenerationBatch batch(golden_.model, tokenizer_, {.capacity = 3});
  const auto count = [&heard](size_t i, int limit) {
    return [&heard, i, limit](const Delta&) { return ++heard[i] < limit; };
  };
  GenerationRow stopped = Row(0, Options(10, 1), count(0, 99));
  stopped.stop = source.token();
  const size_t stopped_slot = batch.Join(std::move(stopped)).value();
  const size_t refusing_slot = batch.Join(Row(1, Options(10, 1), count(1, 2))).value();
  ASSERT_TRUE(batch.Join(Row(2, Options(10, 1), count(2, 99))).ok());
  std::vector<GenerationBatch::Finished> finished;
  batch.Step(finished);
  source.Cancel();
  batch.Step(finished);
  ASSERT_EQ(finished.size(), 2u);
  EXPECT_EQ(finished[0].slot, stopped_slot);
  EXPECT_EQ(finished[1].slot, refusing_slot);
  EXPECT_EQ(finished[0].status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(finished[1].status.code(), absl::StatusCode::kCancelled);
  while (batch.width() > 0) batch.Step(finished);
  EXPECT_EQ(heard[0], 1);
  EXPECT_EQ(heard[1], 2);
  EXPECT_GT(heard[2], 2);
}

TEST_F(GeneratorTest, JoinRefusesWhatDoesNotFitTheModel) {
  GenerationBatch batch(golden_.model, tokenizer_, {.capacity = 1});
  const auto sink = [](const Delta&) { return true; };
  EXPECT_EQ(FieldOf(batch.Join(Row(0, Options(1000), sink)).status()), "decoding.max_new_tokens");
  EXPECT_EQ(FieldOf(batch.Join(Row(0, Options(5, 11), sink)).status()), "decoding.temperature");
  EXPECT_EQ(batch.width(), 0u);
}

}  // namespace
}  // namespace ddpt
