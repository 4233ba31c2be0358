#include <gmock/gmock.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "core/base/tensor.h"
#include "core/text/unicode.h"
#include "tests/device.h"
#include "tests/integration/code_fixture.h"

namespace ddpt {
namespace {

using testing::IsEmpty;

class GenerateTest : public CodeTest {
 protected:
  static DecodingOptions Options(uint32_t tokens) {
    DecodingOptions options;
    options.max_new_tokens = tokens;
    return options;
  }

  v1::Prompt SamplePrompt() { return server_->Sample(SampleOf("small", 3))->prompts(0); }

  // The token ids of a request that is to succeed.
  std::vector<uint32_t> Tokens(const v1::GenerateRequest& request) {
    const Generated generated = Generate(request);
    EXPECT_TRUE(generated.status.ok()) << generated.status;
    return IdsOf(generated.Choice().token_ids());
  }
};

TEST_F(GenerateTest, GreedyIsTheLibrarysOwn) {
  const Generated generated = Generate(Request(60));
  const Generation expected = Library(Prompted(), Options(60))[0];
  ASSERT_TRUE(generated.status.ok()) << generated.status;
  EXPECT_EQ(IdsOf(generated.Choice().token_ids()), expected.token_ids);
  EXPECT_EQ(generated.Choice().text(), expected.text);
  // Not the same token again and again.
  EXPECT_GT(std::set(expected.token_ids.begin(), expected.token_ids.end()).size(), 5u);
}

TEST_F(GenerateTest, TextsNeverSplitACharacterAndJoinToTheWhole) {
  v1::GenerateRequest request = Request(800);
  request.mutable_decoding()->set_temperature(5);
  request.mutable_decoding()->set_seed(1);
  const Generated generated = Generate(request);
  size_t held_back = 0;
  for (const v1::GenerateResponse& message : generated.messages) {
    EXPECT_EQ(message.text(), ReplaceInvalidUtf8(message.text()));
    if (message.text().empty()) ++held_back;
  }
  EXPECT_GT(held_back, 0u);
  EXPECT_EQ(generated.Choice().text(),
            base_->tokenizer->Decode(IdsOf(generated.Choice().token_ids())));
}

TEST_F(GenerateTest, StopStringEndsTheTextBeforeIt) {
  v1::GenerateRequest request = Request(60);
  request.mutable_decoding()->set_temperature(1);
  request.mutable_decoding()->set_seed(1);
  const std::string whole = Generate(request).Choice().text();
  size_t begin = whole.size() / 2;
  while ((static_cast<unsigned char>(whole[begin]) & 0xc0) == 0x80) ++begin;
  const size_t length = NextChar(std::string_view(whole).substr(begin)).length;
  const std::string stop = whole.substr(begin, length);
  request.mutable_decoding()->add_stop(stop);
  const v1::GenerateResponse choice = Generate(request).Choice();
  EXPECT_EQ(choice.text(), whole.substr(0, whole.find(stop)));
  EXPECT_EQ(choice.finish_reason(), v1::FINISH_REASON_STOP);
}

TEST_F(GenerateTest, LengthEndsAtMaxNewTokens) {
  const v1::GenerateResponse choice = Generate(Request(7)).Choice();
  EXPECT_EQ(choice.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(choice.usage().output_tokens(), 7u);
  EXPECT_EQ(choice.usage().input_tokens(), Encode("add").size());
}

TEST_F(GenerateTest, MaxNewTokensIs256WhereItIsAbsent) {
  v1::GenerateRequest request;
  request.set_instruction("add");
  EXPECT_EQ(Tokens(request).size(), 256u);
}

TEST_F(GenerateTest, EachChoiceIsTheLibrarysUnderItsIndex) {
  v1::GenerateRequest request = Request(20);
  request.mutable_decoding()->set_n(3);
  request.mutable_decoding()->set_temperature(1);
  request.mutable_decoding()->set_seed(5);
  DecodingOptions options = Options(20);
  options.n = 3;
  options.temperature = 1;
  options.seed = 5;
  const Generated generated = Generate(request);
  const std::vector<Generation> expected = Library(Prompted(), options);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(IdsOf(generated.Choice(i).token_ids()), expected[i].token_ids) << i;
    EXPECT_EQ(generated.Choice(i).usage().output_tokens(), 20u);
  }
}

TEST_F(GenerateTest, BeamsComeWholeTheBestFirst) {
  v1::GenerateRequest request = Request(20);
  request.mutable_decoding()->set_num_beams(4);
  request.mutable_decoding()->set_length_penalty(0.5);
  request.mutable_decoding()->set_n(2);
  DecodingOptions options = Options(20);
  options.num_beams = 4;
  options.length_penalty = 0.5;
  options.n = 2;
  const Generated generated = Generate(request);
  const std::vector<Generation> expected = Library(Prompted(), options);
  ASSERT_EQ(generated.messages.size(), 2u);
  for (uint32_t i = 0; i < 2; ++i) {
    EXPECT_EQ(generated.messages[i].choice_index(), i);
    EXPECT_EQ(generated.messages[i].text(), expected[i].text);
    EXPECT_NEAR(generated.messages[i].beam_score(), *expected[i].beam_score, 1e-4);
    EXPECT_NE(generated.messages[i].finish_reason(), v1::FINISH_REASON_UNSPECIFIED);
  }
  EXPECT_GE(generated.messages[0].beam_score(), generated.messages[1].beam_score());
}

TEST_F(GenerateTest, TheBestCandidatesAreThoseThatScoreBest) {
  v1::GenerateRequest request = Request(20);
  request.mutable_decoding()->set_temperature(1);
  request.mutable_decoding()->set_seed(5);
  request.mutable_decoding()->set_n(6);
  const Generated all = Generate(request);
  std::vector<std::pair<double, std::string>> scored;
  for (uint32_t i = 0; i < 6; ++i) {
    v1::ScoreRequest score;
    score.set_instruction("add");
    *score.mutable_code_ids() = all.Choice(i).token_ids();
    scored.emplace_back(Score(score)->nll(), all.Choice(i).text());
  }
  std::sort(scored.begin(), scored.end());
  request.mutable_decoding()->set_n(2);
  request.mutable_decoding()->set_best_of(6);
  const Generated best = Generate(request);
  ASSERT_TRUE(best.status.ok()) << best.status;
  ASSERT_EQ(best.messages.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const v1::GenerateResponse& message = best.messages[i];
    EXPECT_EQ(message.choice_index(), i);
    EXPECT_EQ(message.text(), scored[i].second);
    EXPECT_NEAR(message.mean_logprob(), -scored[i].first, 1e-4);
    EXPECT_EQ(message.usage().output_tokens(), 20u);
    EXPECT_EQ(message.usage().candidate_tokens(), 120u);
    EXPECT_THAT(message.logprobs(), IsEmpty());
  }
}

TEST_F(GenerateTest, TheBestCandidateOfAPromptComesWithItsReceipt) {
  v1::GenerateRequest request = Request(10);
  request.mutable_prompt()->set_task("small");
  request.mutable_decoding()->set_temperature(1);
  request.mutable_decoding()->set_best_of(3);
  request.mutable_decoding()->set_logprobs(true);
  const Generated generated = Generate(request);
  ASSERT_EQ(generated.messages.size(), 1u);
  EXPECT_EQ(generated.messages[0].receipt().task(), "small");
  EXPECT_NE(generated.messages[0].prompt_id(), "");
  EXPECT_EQ(generated.messages[0].logprobs_size(), 10);
}

TEST_F(GenerateTest, SeedsRepeatAndAbsentOnesDiffer) {
  v1::GenerateRequest request = Request(40);
  request.mutable_decoding()->set_temperature(1);
  EXPECT_NE(Tokens(request), Tokens(request));
  request.mutable_decoding()->set_seed(9);
  EXPECT_EQ(Tokens(request), Tokens(request));
}

TEST_F(GenerateTest, LogprobsComeOneATokenWhereAskedFor) {
  v1::GenerateRequest request = Request(20);
  EXPECT_THAT(Generate(request).Choice().logprobs(), IsEmpty());
  request.mutable_decoding()->set_logprobs(true);
  const v1::GenerateResponse choice = Generate(request).Choice();
  const Generation expected = Library(Prompted(), Options(20))[0];
  ASSERT_EQ(choice.logprobs_size(), 20);
  for (int i = 0; i < 20; ++i) EXPECT_NEAR(choice.logprobs(i), expected.logprobs[i], 1e-4);
}

TEST_F(GenerateTest, PromptTextStandsBeforeTheInstruction) {
  v1::GenerateRequest request = Request(20);
  request.mutable_prompt()->set_text("return ");
  PromptedRequest expected = Prompted();
  expected.manual_ids = Encode("return ");
  EXPECT_EQ(Tokens(request), Library(expected, Options(20))[0].token_ids);
  request.mutable_prompt()->set_manual_in_decoder(true);
  expected.manual_in_decoder = true;
  EXPECT_EQ(Tokens(request), Library(expected, Options(20))[0].token_ids);
}

TEST_F(GenerateTest, EmbeddingAndIdOfOnePromptAreTheSame) {
  const v1::Prompt prompt = SamplePrompt();
  v1::GenerateRequest by_embedding = Request(20), by_id = Request(20);
  *by_embedding.mutable_prompt()->mutable_embedding() = prompt.embedding();
  by_id.mutable_prompt()->set_prompt_id(prompt.prompt_id());
  const auto soft = std::make_shared<const Tensor>(
      Tensor{{4, 16}, DecodeElements(prompt.embedding().data(), DataType::kFloat32)});
  const std::vector<uint32_t> expected = Library(Prompted(soft), Options(20))[0].token_ids;
  EXPECT_EQ(Tokens(by_embedding), expected);
  EXPECT_EQ(Tokens(by_id), expected);
  EXPECT_NE(expected, Tokens(Request(20)));
}

TEST_F(GenerateTest, PromptOfATaskComesWithItsReceiptFirst) {
  v1::GenerateRequest request = Request(10);
  request.mutable_prompt()->set_task("small");
  request.mutable_sampling()->set_seed(3);
  const Generated generated = Generate(request);
  ASSERT_TRUE(generated.status.ok()) << generated.status;
  EXPECT_EQ(generated.messages[0].receipt().task(), "small");
  EXPECT_EQ(generated.messages[0].receipt().seed(), 3u);
  EXPECT_EQ(generated.messages[0].receipt().base_model_digest(), base_->model->digest());
  EXPECT_EQ(generated.messages[0].prompt_id(), SamplePrompt().prompt_id());
  for (size_t i = 1; i < generated.messages.size(); ++i) {
    EXPECT_FALSE(generated.messages[i].has_receipt());
    EXPECT_EQ(generated.messages[i].prompt_id(), "");
  }
}

TEST_F(GenerateTest, ConditionalPromptBelongsToItsInstruction) {
  DenoiserSpec spec = SmallSpec();
  spec.condition_width = 16;
  ASSERT_TRUE(server_->Import("conditional", DenoiserFile(spec, 1)).ok());
  v1::GenerateRequest request = Request(10);
  request.mutable_prompt()->set_task("conditional");
  const std::string id = Generate(request).messages.at(0).prompt_id();
  request.mutable_prompt()->set_prompt_id(id);
  EXPECT_TRUE(Generate(request).status.ok());
  request.set_instruction("print");
  ExpectRefused(Generate(request).status, "instruction", "digest");
}

TEST_F(GenerateTest, PromptOfAnotherModelIsRefused) {
  DenoiserSpec spec = SmallSpec();
  spec.base_model_digest = "another";
  ASSERT_TRUE(server_->Import("foreign", DenoiserFile(spec, 1)).ok());
  v1::GenerateRequest request = Request(10);
  request.mutable_prompt()->set_task("foreign");
  const absl::Status status = Generate(request).status;
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("another"));
}

struct BadRequest {
  const char* field;
  const char* words;
  std::function<void(v1::GenerateRequest&)> spoil;
};

TEST_F(GenerateTest, BadFieldsAreNamedWithTheirLimits) {
  const BadRequest bad[] = {
      {"instruction", "is empty", [](auto& r) { r.clear_instruction(); }},
      {"instruction", "65536", [](auto& r) { r.set_instruction(std::string(65537, 'a')); }},
      {"instruction", "2048", [](auto& r) { r.set_instruction(std::string(5000, '\n') + "x"); }},
      {"instruction_ids", "70000", [](auto& r) { r.mutable_instruction_ids()->add_ids(70'000); }},
      {"decoding.max_new_tokens", "0",
       [](auto& r) { r.mutable_decoding()->set_max_new_tokens(0); }},
      {"decoding.max_new_tokens", "2048",
       [](auto& r) { r.mutable_decoding()->set_max_new_tokens(9000); }},
      {"decoding.temperature", "0..10", [](auto& r) { r.mutable_decoding()->set_temperature(11); }},
      {"decoding.top_p", "(0, 1]", [](auto& r) { r.mutable_decoding()->set_top_p(0); }},
      {"decoding.repetition_penalty", "0.1..10",
       [](auto& r) { r.mutable_decoding()->set_repetition_penalty(0); }},
      {"decoding.n", "1..16", [](auto& r) { r.mutable_decoding()->set_n(17); }},
      {"decoding.stop", "1..64", [](auto& r) { r.mutable_decoding()->add_stop(""); }},
      {"decoding.num_beams", "1..16", [](auto& r) { r.mutable_decoding()->set_num_beams(17); }},
      {"decoding.temperature", "does not sample",
       [](auto& r) {
         r.mutable_decoding()->set_num_beams(2);
         r.mutable_decoding()->set_temperature(1);
       }},
      {"decoding.n", "more than the 2 beams",
       [](auto& r) {
         r.mutable_decoding()->set_num_beams(2);
         r.mutable_decoding()->set_n(3);
       }},
      {"decoding.best_of", "1..64", [](auto& r) { r.mutable_decoding()->set_best_of(65); }},
      {"decoding.best_of", "temperature 0", [](auto& r) { r.mutable_decoding()->set_best_of(2); }},
      {"decoder_prefix", "9", [](auto& r) { r.set_decoder_prefix(v1::DecoderPrefix(9)); }},
      {"prompt.task", "does not match", [](auto& r) { r.mutable_prompt()->set_task("A task"); }},
      {"prompt.prompt_id", "dp1_", [](auto& r) { r.mutable_prompt()->set_prompt_id("no"); }},
      {"prompt.embedding", "[n, 16]",
       [](auto& r) { r.mutable_prompt()->mutable_embedding()->add_shape(16); }},
      {"sampling.best_of", "1..64",
       [](auto& r) {
         r.mutable_prompt()->set_task("small");
         r.mutable_sampling()->set_best_of(0);
       }},
  };
  for (const BadRequest& each : bad) {
    v1::GenerateRequest request = Request(10);
    each.spoil(request);
    ExpectRefused(Generate(request).status, each.field, each.words);
  }
  server_->AwaitMetric("ddpt_requests_total", {"rpc=\"Generate\"", "outcome=\"error\""},
                       std::size(bad));
}

TEST_F(GenerateTest, AnInstructionThatComesAgainIsFoundInTheCache) {
  if (TestDevice() != "cpu") GTEST_SKIP() << "only on a processor";
  const std::vector<uint32_t> first = Tokens(Request(10));
  v1::GenerateRequest prompted = Request(10);
  prompted.mutable_prompt()->set_task("small");
  Tokens(prompted);
  EXPECT_EQ(Tokens(Request(10)), first);
  EXPECT_EQ(server_->Metric("ddpt_prefix_cache_lookups_total", {"result=\"miss\""}), 1);
  EXPECT_EQ(server_->Metric("ddpt_prefix_cache_lookups_total", {"result=\"hit\""}), 2);
}

TEST_F(GenerateTest, TokensAreCountedAndTimed) {
  ASSERT_TRUE(Generate(Request(12)).status.ok());
  EXPECT_EQ(server_->Metric("ddpt_generation_tokens_total"), 12);
  EXPECT_EQ(server_->Metric("ddpt_time_to_first_token_seconds_count"), 1);
  EXPECT_EQ(server_->Metric("ddpt_inter_token_latency_seconds_count"), 11);
  EXPECT_EQ(server_->Metric("ddpt_stream_stalled_total"), 0);
}

}  // namespace
}  // namespace ddpt
