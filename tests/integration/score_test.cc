#include <gmock/gmock.h>

#include "core/decoding/scorer.h"
#include "tests/integration/code_fixture.h"

namespace ddpt {
namespace {

class ScoreTest : public CodeTest {
 protected:
  static v1::ScoreRequest ScoreOf(const std::string& code) {
    v1::ScoreRequest request;
    request.set_instruction("add");
    request.set_code(code);
    return request;
  }

  void ExpectNear(const google::protobuf::RepeatedField<float>& actual,
                  const std::vector<float>& expected) {
    ASSERT_EQ(static_cast<size_t>(actual.size()), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(actual[static_cast<int>(i)], expected[i], 1e-4) << i;
    }
  }
};

TEST_F(ScoreTest, IsTheLibrarysOwnOfTheTextAndTheEndToken) {
  const auto response = Score(ScoreOf("return a + b"));
  ASSERT_TRUE(response.ok()) << response.status();
  std::vector<uint32_t> ids = Encode("return a + b");
  ids.push_back(base_->model->geometry().end_token);
  const auto expected = ScoreAnswer(*base_->model, {Prompted()}, ids).value();
  EXPECT_EQ(IdsOf(response->code_ids()), ids);
  ExpectNear(response->token_logprobs(), expected[0].token_logprobs);
  EXPECT_NEAR(response->nll(), expected[0].nll_mean, 1e-4);
}

TEST_F(ScoreTest, ScoreOfWhatWasGeneratedIsWhatWasReported) {
  for (const v1::DecoderPrefix prefix : {v1::DECODER_PREFIX_NONE, v1::DECODER_PREFIX_INSTRUCTION}) {
    v1::GenerateRequest generate = Request(40);
    generate.mutable_decoding()->set_logprobs(true);
    generate.set_decoder_prefix(prefix);
    generate.mutable_prompt()->set_task("small");
    const Generated generated = Generate(generate);
    ASSERT_TRUE(generated.status.ok()) << generated.status;
    const v1::GenerateResponse choice = generated.Choice();
    v1::ScoreRequest score;
    score.set_instruction("add");
    score.set_decoder_prefix(prefix);
    *score.mutable_code_ids() = choice.token_ids();
    score.mutable_prompt()->set_prompt_id(choice.prompt_id());
    const auto response = Score(score);
    ASSERT_TRUE(response.ok()) << response.status();
    ExpectNear(response->token_logprobs(), {choice.logprobs().begin(), choice.logprobs().end()});
  }
}

TEST_F(ScoreTest, AlternativesAreTheirOwnScores) {
  v1::ScoreRequest request = ScoreOf("print(i)");
  request.add_alternatives()->set_text("return ");
  request.add_alternatives()->set_prompt_id(
      server_->Sample(SampleOf("small", 3))->prompts(0).prompt_id());
  const auto together = Score(request);
  ASSERT_TRUE(together.ok()) << together.status();
  ASSERT_EQ(together->alternatives_size(), 2);
  for (int i = 0; i < 2; ++i) {
    v1::ScoreRequest alone = ScoreOf("print(i)");
    *alone.mutable_prompt() = request.alternatives(i);
    const auto expected = Score(alone)->token_logprobs();
    ExpectNear(together->alternatives(i).token_logprobs(), {expected.begin(), expected.end()});
    EXPECT_NE(together->alternatives(i).nll(), together->nll());
  }
}

TEST_F(ScoreTest, PromptOfATaskComesWithItsReceipt) {
  v1::ScoreRequest request = ScoreOf("print(i)");
  request.mutable_prompt()->set_task("small");
  request.mutable_sampling()->set_seed(3);
  const auto response = Score(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->receipt().seed(), 3u);
  EXPECT_EQ(response->prompt_id(), server_->Sample(SampleOf("small", 3))->prompts(0).prompt_id());
}

struct BadScore {
  const char* field;
  const char* words;
  std::function<void(v1::ScoreRequest&)> spoil;
};

TEST_F(ScoreTest, BadFieldsAreNamedWithTheirLimits) {
  const BadScore bad[] = {
      {"code", "missing", [](auto& r) { r.clear_code(); }},
      {"code", "65536", [](auto& r) { r.set_code(std::string(65537, 'a')); }},
      {"code", "2048", [](auto& r) { r.set_code(std::string(5000, '\n') + "x"); }},
      {"code_ids", "is empty", [](auto& r) { r.mutable_code_ids(); }},
      {"code_ids", "70000", [](auto& r) { r.mutable_code_ids()->add_ids(70'000); }},
      {"code_ids", "2048", [](auto& r) { r.mutable_code_ids()->mutable_ids()->Resize(3000, 1); }},
      {"instruction", "is empty", [](auto& r) { r.clear_instruction(); }},
      {"decoder_prefix", "9", [](auto& r) { r.set_decoder_prefix(v1::DecoderPrefix(9)); }},
      {"alternatives", "64",
       [](auto& r) {
         for (int i = 0; i < 65; ++i) r.add_alternatives()->set_text("x");
       }},
      {"alternatives[1].task", "does not match",
       [](auto& r) {
         r.add_alternatives()->set_text("x");
         r.add_alternatives()->set_task("A task");
       }},
      {"alternatives[0].embedding", "[n, 16]",
       [](auto& r) { r.add_alternatives()->mutable_embedding()->add_shape(16); }},
  };
  for (const BadScore& each : bad) {
    v1::ScoreRequest request = ScoreOf("print(i)");
    each.spoil(request);
    ExpectRefused(Score(request).status(), each.field, each.words);
  }
}

}  // namespace
}  // namespace ddpt
