#include "core/decoding/beam_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/decoding/scorer.h"
#include "core/text/tokenizer.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

std::shared_ptr<const Tokenizer> TestTokenizer() {
  return Tokenizer::Load(Golden::Directory("tokenizer_trained")).value();
}

// The checkpoint t5_tied with another end token.
std::shared_ptr<const LanguageModel> ModelThatEndsWith(uint32_t token) {
  const std::string from = Golden::Directory("t5_tied");
  const std::string to = testing::TempDir() + "/t5_ends_" + std::to_string(token);
  std::filesystem::create_directories(to);
  std::filesystem::copy_file(from + "/model.safetensors", to + "/model.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  auto config = nlohmann::json::parse(ReadFile(from + "/config.json", 1 << 20).value());
  config["eos_token_id"] = token;
  EXPECT_TRUE(WriteFileAtomic(to + "/config.json", config.dump()).ok());
  return LoadLanguageModel(to, {.dtype = ModelDtype::kFloat32, .device = TestDevice()}).value();
}

DecodingOptions Beams(uint32_t beams, uint32_t tokens = 20) {
  DecodingOptions options;
  options.num_beams = beams;
  options.n = beams;
  options.max_new_tokens = tokens;
  return options;
}

TEST(BeamSearchTest, AnswersAndScoresAreThoseOfTransformers) {
  const Golden golden = Golden::Load("t5_tied");
  const auto tokenizer = TestTokenizer();
  const auto file = ReadFile(Golden::Directory("t5_tied") + "/beams.json", 1 << 20).value();
  for (const auto& expected : nlohmann::json::parse(file)) {
    SCOPED_TRACE(expected.dump().substr(0, 130));
    PromptedRequest request;
    request.instruction_ids = golden.instructions[expected["row"].get<size_t>()];
    request.soft_prompt = std::make_shared<const Tensor>(FromTorch(golden.prompt));
    DecodingOptions options = Beams(expected["num_beams"], expected["max_new_tokens"]);
    options.length_penalty = expected["length_penalty"];
    options.repetition_penalty = expected["repetition_penalty"];
    const auto found =
        Generate(ModelThatEndsWith(expected["end_token"]), tokenizer, request, options).value();
    ASSERT_EQ(found.size(), options.num_beams);
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].token_ids, expected["answers"][i].get<std::vector<uint32_t>>());
      const double score = expected["scores"][i];
      EXPECT_NEAR(*found[i].beam_score, score, 1e-4 * std::max(1.0, std::abs(score)));
    }
  }
}

// A model of three tokens, 2 of which ends an answer: its logits are the logarithms of the
// probabilities of the next token after each.
class ToyBeamsTest : public testing::Test {
 protected:
  using Row = std::array<float, 3>;

  // Runs to the end; `after[t]` are the probabilities after token t, `first` at the start.
  std::vector<Hypothesis> Run(const DecodingOptions& options, const Row& first,
                              const std::array<Row, 2>& after) {
    BeamSearch search(options, nullptr);
    std::vector<Row> rows = {first};
    while (!search.done()) {
      std::vector<float> logits;
      for (const Row& row : rows) {
        for (const float probability : row) logits.push_back(std::log(probability));
      }
      EXPECT_TRUE(search.Advance(logits, std::array<uint8_t, 3>{1, 1, 1}, /*end_token=*/2).ok());
      rows.clear();
      for (const uint32_t token : search.LastTokens()) rows.push_back(after[token]);
    }
    return search.finished();
  }
};

TEST_F(ToyBeamsTest, ALikelyAnswerBehindAnUnlikelyTokenIsFound) {
  const auto found =
      Run(Beams(2, 2), {0.6f, 0.4f, 0.0f}, {Row{0.4f, 0.3f, 0.3f}, Row{0.05f, 0.05f, 0.9f}});
  EXPECT_EQ(found[0].tokens, (std::vector<uint32_t>{1, 2}));
  EXPECT_NEAR(found[0].sum, std::log(0.4 * 0.9), 1e-6);
  EXPECT_EQ(found[0].finish_reason, FinishReason::kStop);
  EXPECT_EQ(found[1].tokens, (std::vector<uint32_t>{0, 0}));
  EXPECT_EQ(found[1].finish_reason, FinishReason::kLength);
}

TEST_F(ToyBeamsTest, LengthPenaltyPrefersLongAnswers) {
  const Row first{0.5f, 0.0f, 0.5f};
  const std::array<Row, 2> after = {Row{0.5f, 0.0f, 0.5f}, Row{0.5f, 0.0f, 0.5f}};
  DecodingOptions options = Beams(2, 6);
  options.length_penalty = 0;
  EXPECT_EQ(Run(options, first, after)[0].tokens.size(), 1);
  options.length_penalty = 3;
  EXPECT_EQ(Run(options, first, after)[0].tokens.size(), 6);
}

TEST_F(ToyBeamsTest, ALogitThatIsNaNIsAnError) {
  const DecodingOptions options = Beams(2);
  BeamSearch search(options, nullptr);
  std::vector<float> logits = {0, std::numeric_limits<float>::quiet_NaN(), 0};
  EXPECT_EQ(search.Advance(logits, std::array<uint8_t, 3>{1, 1, 1}, 2).code(),
            absl::StatusCode::kInternal);
}

class BeamGenerationTest : public testing::Test {
 protected:
  PromptedRequest Request(size_t row) const {
    PromptedRequest request;
    request.instruction_ids = golden_.instructions[row];
    request.soft_prompt = std::make_shared<const Tensor>(FromTorch(golden_.prompt));
    return request;
  }

  std::vector<Generation> Run(const PromptedRequest& request,
                              const DecodingOptions& options) const {
    return Generate(golden_.model, tokenizer_, request, options).value();
  }

  GenerationRow Row(size_t row, const DecodingOptions& options, Generation* to) const {
    GenerationRow made;
    made.request = std::make_shared<const PromptedRequest>(Request(row));
    made.options = std::make_shared<const DecodingOptions>(options);
    made.sink = [to](const Delta& delta) {
      to->token_ids.insert(to->token_ids.end(), delta.token_ids.begin(), delta.token_ids.end());
      return true;
    };
    return made;
  }

  Golden golden_ = Golden::Load("codet5p_wide");
  std::shared_ptr<const Tokenizer> tokenizer_ =
      Tokenizer::Load(Golden::Directory("codet5p_wide")).value();
};

TEST_F(BeamGenerationTest, ScoreIsThatOfTheTeacherForcedAnswer) {
  for (const Generation& found : Run(Request(1), Beams(4))) {
    const Score scored = ScoreAnswer(*golden_.model, {Request(1)}, found.token_ids).value().front();
    EXPECT_NEAR(*found.beam_score, -scored.nll_mean, 1e-4);
    EXPECT_THAT(found.logprobs,
                testing::Pointwise(testing::FloatNear(1e-4), scored.token_logprobs));
  }
}

// Greedy rows and beams come and go in one batch, whose room for beams is short.
TEST_F(BeamGenerationTest, AnswersAmongNeighboursAreThoseAlone) {
  GenerationBatch batch(golden_.model, tokenizer_, {.capacity = 6});
  DecodingOptions greedy, beams = Beams(4, 12);
  greedy.max_new_tokens = 9;
  beams.n = 1;
  const std::vector<std::pair<size_t, DecodingOptions>> wanted = {
      {0, greedy}, {1, beams}, {2, beams}, {1, greedy}, {0, beams}};
  std::vector<Generation> together(wanted.size());
  std::vector<GenerationBatch::Finished> finished;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const GenerationRow row = Row(wanted[i].first, wanted[i].second, &together[i]);
    while (!batch.HasRoom(*row.request, *row.options)) batch.Step(finished);
    ASSERT_TRUE(batch.Join(row).ok());
    batch.Step(finished);
    EXPECT_LE(batch.load(), batch.capacity());
  }
  while (batch.width() > 0) batch.Step(finished);
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(together[i].token_ids, Run(Request(wanted[i].first), wanted[i].second)[0].token_ids);
  }
}

TEST_F(BeamGenerationTest, AStopStringEndsAnAnswerAndIsNoPartOfIt) {
  const std::string whole = Run(Request(1), Beams(3))[0].text;
  ASSERT_GE(whole.size(), 4);
  DecodingOptions options = Beams(3);
  options.stop = {whole.substr(whole.size() / 2, 1)};
  for (const Generation& found : Run(Request(1), options)) {
    EXPECT_THAT(found.text, testing::Not(testing::HasSubstr(options.stop[0])));
  }
}

TEST_F(BeamGenerationTest, MoreBeamsThanTheBatchHasRowsAreRefused) {
  GenerationBatch batch(golden_.model, tokenizer_, {.capacity = 2});
  Generation unused;
  const auto status = batch.Join(Row(0, Beams(3), &unused)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("decoding.num_beams"));
}

TEST_F(BeamGenerationTest, OneThatIsGivenUpLeavesItsRows) {
  GenerationBatch batch(golden_.model, tokenizer_, {.capacity = 4});
  Generation unused, kept;
  std::vector<GenerationBatch::Finished> finished;
  DecodingOptions greedy;
  greedy.max_new_tokens = 9;
  const size_t slot = *batch.Join(Row(0, Beams(3), &unused));
  ASSERT_TRUE(batch.Join(Row(1, greedy, &kept)).ok());
  batch.Step(finished);
  batch.Step(finished);
  batch.Leave(slot);
  while (batch.width() > 0) batch.Step(finished);
  EXPECT_EQ(kept.token_ids, Run(Request(1), greedy)[0].token_ids);
  EXPECT_TRUE(unused.token_ids.empty());
}

}  // namespace
}  // namespace ddpt
