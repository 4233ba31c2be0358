#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include "core/base/status.h"
#include "ddpt/v1/code.grpc.pb.h"
#include "ddpt/v1/evaluation.grpc.pb.h"
#include "tests/integration/training_fixture.h"

namespace ddpt {
namespace {

using testing::HasSubstr;

constexpr char kInstruction[] = "add one to b";

class AttributesTest : public TrainingTest {
 protected:
  // A conditional task, with a style of each example or none.
  static void Train(bool styled = true) {
    v1::TrainRequest request = Small();
    request.mutable_options()->set_conditional(true);
    for (int i = 0; styled && i < request.examples().examples_size(); ++i) {
      v1::Example& example = *request.mutable_examples()->mutable_examples(i);
      (*example.mutable_attributes())["style"] = i % 2 == 0 ? "plain" : "typed";
    }
    const auto job = client_->TrainToTheEnd(request);
    ASSERT_TRUE(job.ok()) << job.status();
    ASSERT_EQ(job->state(), v1::TrainingJob::STATE_SUCCEEDED) << job->error();
  }

  static v1::SampleRequest SampleIn(const std::string& style) {
    v1::SampleRequest request = SampleOf(Name(), 5);
    request.set_instruction(kInstruction);
    if (!style.empty()) (*request.mutable_attributes())["style"] = style;
    return request;
  }

  static std::string PromptIn(const std::string& style) {
    const auto drawn = server_->Sample(SampleIn(style));
    EXPECT_TRUE(drawn.ok()) << drawn.status();
    return drawn.ok() ? drawn->prompts(0).embedding().data() : "";
  }
};

TEST_F(AttributesTest, APromptDependsOnThem) {
  Train();
  EXPECT_EQ(PromptIn("plain"), PromptIn("plain"));
  EXPECT_NE(PromptIn("plain"), PromptIn("typed"));
  EXPECT_NE(PromptIn("plain"), PromptIn(""));
}

TEST_F(AttributesTest, AReplayNeedsThoseOfTheOriginal) {
  Train();
  const auto drawn = server_->Sample(SampleIn("typed"));
  ASSERT_TRUE(drawn.ok()) << drawn.status();
  v1::ReplayRequest replay;
  replay.set_prompt_id(drawn->prompts(0).prompt_id());
  replay.set_instruction(kInstruction);
  EXPECT_EQ(FieldOf(server_->Replay(replay).status()), "instruction");
  (*replay.mutable_attributes())["style"] = "typed";
  const auto again = server_->Replay(replay);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->prompts(0).embedding().data(), drawn->prompts(0).embedding().data());
}

TEST_F(AttributesTest, GenerateTakesThemWithItsPrompt) {
  Train();
  const auto drawn = server_->Sample(SampleIn("typed"));
  ASSERT_TRUE(drawn.ok()) << drawn.status();
  grpc::ClientContext context;
  v1::GenerateRequest request;
  request.set_instruction(kInstruction);
  request.mutable_prompt()->set_task(Name());
  (*request.mutable_prompt()->mutable_attributes())["style"] = "typed";
  request.mutable_sampling()->set_seed(5);
  request.mutable_decoding()->set_max_new_tokens(1);
  const auto reader = v1::CodeService::NewStub(server_->channel())->Generate(&context, request);
  v1::GenerateResponse first;
  ASSERT_TRUE(reader->Read(&first)) << reader->Finish().error_message();
  EXPECT_EQ(first.prompt_id(), drawn->prompts(0).prompt_id());
}

TEST_F(AttributesTest, AnUnknownNameIsRefusedWithTheKnownOnes) {
  Train();
  v1::SampleRequest request = SampleIn("plain");
  (*request.mutable_attributes())["styel"] = "plain";
  const auto refused = server_->Sample(request);
  EXPECT_EQ(FieldOf(refused.status()), "attributes");
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("\"styel\""));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("trained with: style"));
}

TEST_F(AttributesTest, ATaskTrainedWithoutThemTakesNoNotice) {
  Train(/*styled=*/false);
  EXPECT_EQ(PromptIn("plain"), PromptIn(""));
}

TEST_F(AttributesTest, AVersionTellsTheNames) {
  Train();
  const auto task = server_->GetTask(Name());
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_THAT(task->versions(0).attribute_names(), testing::ElementsAre("style"));
}

TEST_F(AttributesTest, AllExamplesTogetherHaveALimitOfNames) {
  v1::TrainRequest request = Small();
  request.mutable_options()->set_conditional(true);
  for (int i = 0; i < request.examples().examples_size(); ++i) {
    v1::Example& example = *request.mutable_examples()->mutable_examples(i);
    for (char name = 'a'; name < 'c'; ++name) {
      (*example.mutable_attributes())[name + std::to_string(i)] = "x";
    }
  }
  request.mutable_validation_examples()->add_examples()->set_instruction(kInstruction);
  request.mutable_validation_examples()->mutable_examples(0)->set_code("return b + 1");
  const auto refused = client_->Train(request);
  EXPECT_EQ(FieldOf(refused.status()), "data") << refused.status();
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("20 names, above the limit of 16"));
}

TEST_F(AttributesTest, APromptInWordsHasNone) {
  grpc::ClientContext context;
  v1::ScoreRequest request;
  v1::ScoreResponse response;
  request.set_instruction(kInstruction);
  request.set_code("return b + 1");
  request.mutable_prompt()->set_text("in SQL");
  (*request.mutable_prompt()->mutable_attributes())["style"] = "plain";
  const auto status =
      v1::CodeService::NewStub(server_->channel())->Score(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("prompt.attributes"));
}

TEST_F(AttributesTest, EvaluateTakesThemFromEachExample) {
  Train();
  const auto nll_in = [&](const std::string& style) {
    v1::EvaluateRequest request;
    v1::Example& example = *request.mutable_examples()->add_examples();
    example.set_instruction(kInstruction);
    example.set_code("return b + 1");
    (*example.mutable_attributes())["style"] = style;
    auto& contender = *request.add_contenders();
    contender.set_name("task");
    contender.mutable_prompt()->set_task(Name());
    request.add_metrics("nll");
    grpc::ClientContext context;
    const auto reader =
        v1::EvaluationService::NewStub(server_->channel())->Evaluate(&context, request);
    v1::EvaluateResponse message;
    double nll = 0;
    while (reader->Read(&message)) {
      for (const auto& cell : message.table()) nll = cell.value();
    }
    EXPECT_TRUE(reader->Finish().ok());
    return nll;
  };
  EXPECT_GT(nll_in("plain"), 0);
  EXPECT_NE(nll_in("plain"), nll_in("typed"));
}

struct BadAttribute {
  const char* name;
  const char* key;
  std::string value;
  const char* problem;
};

class BadAttributeTest : public AttributesTest, public testing::WithParamInterface<BadAttribute> {};

TEST_P(BadAttributeTest, IsRefusedWithItsLimit) {
  v1::TrainRequest request = Small();
  v1::Example& example = *request.mutable_examples()->mutable_examples(1);
  (*example.mutable_attributes())[GetParam().key] = GetParam().value;
  const auto refused = client_->Train(request);
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status())) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("line 2, field 'attributes'"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr(GetParam().problem));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadAttributeTest,
    testing::Values(BadAttribute{"NoName", "", "x", "the name \"\" of 0 bytes"},
                    BadAttribute{"NameWithSpace", "my style", "x", "[A-Za-z0-9_.-]"},
                    BadAttribute{"NoValue", "style", "", "the value \"\" of 0 bytes is not 1..64"},
                    BadAttribute{"LongValue", "style", std::string(65, 'a'), "of 65 bytes"},
                    BadAttribute{"TwoLines", "style", "a\nb", "control characters"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace ddpt
