#include "core/decoding/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/status.h"
#include "core/decoding/options.h"
#include "core/text/tokenizer.h"

namespace ddpt {
namespace {

using testing::ElementsAre;

ModelGeometry Geometry() {
  ModelGeometry geometry;
  geometry.encoder.width = 2;
  geometry.vocabulary_size = 100;
  geometry.max_positions = 8;
  geometry.start_token = 50;
  geometry.habits.instruction_in_decoder = true;
  return geometry;
}

PromptedRequest Request() {
  PromptedRequest request;
  request.instruction_ids = {1, 2};
  request.manual_ids = {7};
  return request;
}

std::shared_ptr<const Tensor> Prompt(std::vector<int64_t> shape, std::vector<float> data) {
  return std::make_shared<const Tensor>(Tensor{std::move(shape), std::move(data)});
}

TEST(RequestTest, HabitsMayLeaveTheStartTokenOutBeforeAPrefix) {
  ModelGeometry geometry = Geometry();
  geometry.habits.start_token = false;
  EXPECT_THAT(DecoderIds(Request(), geometry), ElementsAre(1, 2));
}

TEST(RequestTest, DecoderWithoutPrefixHasTheStartTokenWhateverTheHabits) {
  ModelGeometry geometry = Geometry();
  geometry.habits.start_token = false;
  PromptedRequest request = Request();
  request.prefix = DecoderPrefix::kNone;
  EXPECT_THAT(DecoderIds(request, geometry), ElementsAre(50));
}

TEST(RequestTest, TemplateStandsAroundAnInstructionInWords) {
  const auto tokenizer = Tokenizer::Load(std::string(DDPT_TEST_DATA) + "/tokenizer_gpt2").value();
  const Habits habits = FindHabits("instructcodet5p").value();
  const std::vector<uint32_t> ids = EncodeInstruction(*tokenizer, habits, "reverse a list").value();
  EXPECT_EQ(tokenizer->Decode(ids),
            "Below is an instruction that describes a task. Write a response that appropriately "
            "completes the request.\n\n### Instruction:\nreverse a list\n\n### Response:");
}

TEST(RequestTest, SpecialTokensStandAroundAnInstructionOfT5) {
  const auto tokenizer =
      Tokenizer::Load(std::string(DDPT_TEST_DATA) + "/tokenizer_roberta").value();
  const auto ids = EncodeInstruction(*tokenizer, FindHabits("t5").value(), "return x").value();
  EXPECT_EQ(ids.front(), tokenizer->IdOf("<s>"));
  EXPECT_EQ(ids.back(), tokenizer->IdOf("</s>"));
}

TEST(RequestTest, ManualPromptStandsBeforeTheInstructionInTheEncoder) {
  EXPECT_THAT(EncoderIds(Request()), ElementsAre(7, 1, 2));
  EXPECT_THAT(DecoderIds(Request(), Geometry()), ElementsAre(50, 1, 2));
}

TEST(RequestTest, ManualPromptMayGoIntoBoth) {
  PromptedRequest request = Request();
  request.manual_in_decoder = true;
  EXPECT_THAT(DecoderIds(request, Geometry()), ElementsAre(50, 7, 1, 2));
}

TEST(RequestTest, PrefixNoneIsTheStartTokenAlone) {
  PromptedRequest request = Request();
  request.prefix = DecoderPrefix::kNone;
  EXPECT_THAT(DecoderIds(request, Geometry()), ElementsAre(50));
}

TEST(RequestTest, HabitIsTheModels) {
  ModelGeometry geometry = Geometry();
  geometry.habits.instruction_in_decoder = false;
  EXPECT_THAT(DecoderIds(Request(), geometry), ElementsAre(50));
}

TEST(RequestTest, InputTokensCountVectorsToo) {
  PromptedRequest request = Request();
  request.soft_prompt = Prompt({2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(InputTokens(request, Geometry()), 5u);
  EXPECT_TRUE(ValidateRequest(request, Geometry(), 5).ok());
}

TEST(RequestTest, APrefixTakesNoPosition) {
  ModelGeometry geometry = Geometry();
  geometry.decoder_self = {.layers = 1, .heads = 1, .head_width = 2};
  PromptedRequest request = Request();
  request.soft_prompt = Prompt({8, 4}, std::vector<float>(32));
  EXPECT_EQ(InputTokens(request, geometry), 3u);
  EXPECT_TRUE(ValidateRequest(request, geometry, 5).ok());
  request.soft_prompt = Prompt({8, 5}, std::vector<float>(40));
  const absl::Status status = ValidateRequest(request, geometry, 5);
  EXPECT_EQ(FieldOf(status), "prompt.embedding");
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("4"));
}

TEST(RequestTest, ErrorsNameTheField) {
  const auto field = [](const PromptedRequest& request, uint64_t answer = 1) {
    return FieldOf(ValidateRequest(request, Geometry(), answer));
  };
  PromptedRequest outside = Request(), words = Request(), shape = Request(), nan = Request(),
                  longer = Request();
  outside.instruction_ids = {100};
  words.manual_ids = {100};
  shape.soft_prompt = Prompt({1, 3}, {1, 2, 3});
  nan.soft_prompt = Prompt({1, 2}, {1, std::numeric_limits<float>::infinity()});
  longer.instruction_ids.assign(8, 1);
  EXPECT_EQ(field(outside), "instruction");
  EXPECT_EQ(field(words), "prompt.text");
  EXPECT_EQ(field(shape), "prompt.embedding");
  EXPECT_EQ(field(nan), "prompt.embedding");
  EXPECT_EQ(field(longer), "instruction");
  EXPECT_EQ(field(PromptedRequest()), "instruction");
  EXPECT_EQ(field(Request(), 5), "");
  EXPECT_EQ(field(Request(), 6), "decoding.max_new_tokens");
}

struct BadOption {
  const char* field;
  void (*change)(DecodingOptions*);
};

class OptionsTest : public testing::TestWithParam<BadOption> {};

TEST_P(OptionsTest, OutsideItsLimitsIsAFieldError) {
  DecodingOptions options;
  ASSERT_TRUE(ValidateDecoding(options).ok());
  GetParam().change(&options);
  EXPECT_EQ(FieldOf(ValidateDecoding(options)), GetParam().field);
}

INSTANTIATE_TEST_SUITE_P(
    Options, OptionsTest,
    testing::Values(
        BadOption{"decoding.max_new_tokens", [](DecodingOptions* o) { o->max_new_tokens = 0; }},
        BadOption{"decoding.temperature", [](DecodingOptions* o) { o->temperature = 10.5; }},
        BadOption{"decoding.temperature", [](DecodingOptions* o) { o->temperature = NAN; }},
        BadOption{"decoding.top_p", [](DecodingOptions* o) { o->top_p = 0; }},
        BadOption{"decoding.repetition_penalty",
                  [](DecodingOptions* o) { o->repetition_penalty = 0; }},
        BadOption{"decoding.n", [](DecodingOptions* o) { o->n = 17; }},
        BadOption{"decoding.stop", [](DecodingOptions* o) { o->stop.assign(17, "x"); }},
        BadOption{"decoding.stop", [](DecodingOptions* o) { o->stop = {""}; }},
        BadOption{"decoding.stop", [](DecodingOptions* o) { o->stop = {std::string(65, 'x')}; }}));

}  // namespace
}  // namespace ddpt
