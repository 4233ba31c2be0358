#include <gmock/gmock.h>

#include "absl/strings/str_join.h"
#include "client/client.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "tests/integration/code_fixture.h"
#include "tests/integration/model_fixture.h"

namespace ddpt {
namespace {

class ModelTest : public CodeTest {
 protected:
  ModelTest() { client_ = Connect(*server_); }

  static std::unique_ptr<Client> Connect(TestServer& server) {
    Client::Options options;
    options.target = server.server().address();
    return Client::Create(options).value();
  }

  std::unique_ptr<Client> client_;
};

TEST_F(ModelTest, TellsTheGeometry) {
  const auto info = client_->GetModel();
  ASSERT_TRUE(info.ok()) << info.status();
  const ModelGeometry& geometry = base_->model->geometry();
  EXPECT_EQ(info->name(), base_->name);
  EXPECT_EQ(info->digest(), base_->model->digest());
  EXPECT_EQ(info->encoder().width(), 16u);
  EXPECT_EQ(info->decoder().width(), 32u);
  EXPECT_EQ(info->vocabulary_size(), geometry.vocabulary_size);
  EXPECT_EQ(info->max_positions(), 2048u);
  EXPECT_EQ(info->parameters(), static_cast<uint64_t>(geometry.parameters));
  EXPECT_EQ(info->dtype(), "float32");
  EXPECT_EQ(info->habits(), "codet5p");
}

TEST_F(ModelTest, IsDescribedWithoutBeingLoaded) {
  Config config;
  config.model = base_->directory;
  const auto text = DescribeModel(config);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, testing::HasSubstr(absl::StrCat("family codet5p-parallel, ",
                                                     base_->model->geometry().parameters)));
  EXPECT_THAT(*text, testing::HasSubstr("decoder: 2 layers of width 32"));
  EXPECT_THAT(*text, testing::HasSubstr("as float32 (fits)"));
  EXPECT_THAT(*text, testing::HasSubstr(base_->model->digest()));
  EXPECT_THAT(*text, testing::HasSubstr("habits codet5p"));
  config.model = base_->directory + "/tasks";
  EXPECT_EQ(DescribeModel(config).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ModelTest, OneThatCannotAnswerDoesNotGetReady) {
  TemporaryDirectory directory;
  WriteModel(directory.path(), /*seed=*/1);
  const std::string file = directory.path() + "/model.safetensors";
  std::string weights = ReadFile(file, 1 << 24).value();
  weights.replace(weights.size() / 2, weights.npos, weights.size() / 2, '\x7f');  // 3.4e38 each
  ASSERT_TRUE(WriteFileAtomic(file, weights).ok());
  Config config = TestConfig(directory.path() + "/state");
  config.model = directory.path();
  const absl::Status status = Server::Create(config).value()->Serve();
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("model: no answer to the first request"));
}

TEST_F(ModelTest, SelfTestTellsAModelFromNoise) {
  Config config;
  const auto embedded = SelfTestModel(config);
  ASSERT_TRUE(embedded.ok()) << embedded.status();
  EXPECT_TRUE(embedded->second) << embedded->first;
  config.model = base_->directory;  // random weights
  const auto noise = SelfTestModel(config);
  ASSERT_TRUE(noise.ok()) << noise.status();
  EXPECT_FALSE(noise->second) << noise->first;
}

TEST_F(ModelTest, SelfTestNeedsAModel) {
  Config config;
  config.model = "none";
  EXPECT_EQ(SelfTestModel(config).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ModelTest, HabitsStandAroundInstructionsInWordsAndNotInIds) {
  Start([](Config& config) { config.habits = "instructcodet5p"; });
  const auto nll = [this](const std::vector<uint32_t>& ids) {
    v1::ScoreRequest request;
    request.set_code("return x");
    request.mutable_instruction_ids()->mutable_ids()->Assign(ids.begin(), ids.end());
    return Score(request)->nll();
  };
  v1::ScoreRequest words;
  words.set_code("return x");
  words.set_instruction("add");
  const Habits habits = FindHabits("instructcodet5p").value();
  EXPECT_EQ(Score(words)->nll(), nll(EncodeInstruction(*base_->tokenizer, habits, "add").value()));
  EXPECT_NE(Score(words)->nll(), nll(Encode("add")));
}

TEST_F(ModelTest, TokensOfATextAreTheTextAgain) {
  v1::TokenizeRequest text;
  text.set_text("def größe(x):\n    return 名前\n");
  const auto tokens = client_->Tokenize(text);
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(IdsOf(tokens->token_ids()), Encode(text.text()));
  v1::DetokenizeRequest ids;
  *ids.mutable_token_ids() = tokens->token_ids();
  EXPECT_EQ(client_->Detokenize(ids)->text(), text.text());
}

TEST_F(ModelTest, SpecialTokensAreLeftOutWhereAskedFor) {
  v1::DetokenizeRequest request;
  request.mutable_token_ids()->add_ids(base_->model->geometry().end_token);
  EXPECT_EQ(client_->Detokenize(request)->text(), "<|endoftext|>");
  request.set_skip_special(true);
  EXPECT_EQ(client_->Detokenize(request)->text(), "");
}

TEST_F(ModelTest, EmbeddedTokensAreNearestToThemselves) {
  v1::EmbedTokensRequest request;
  for (const uint32_t id : Encode("return x")) request.mutable_token_ids()->add_ids(id);
  const auto embedded = client_->EmbedTokens(request);
  ASSERT_TRUE(embedded.ok()) << embedded.status();
  EXPECT_EQ(absl::StrJoin(embedded->tokens(), ""), "return x");
  EXPECT_EQ(embedded->embedding().shape(1), 16u);
  v1::DescribeRequest describe;
  *describe.mutable_prompt()->mutable_embedding() = embedded->embedding();
  describe.set_neighbours(1);
  const auto described = client_->Describe(describe);
  ASSERT_TRUE(described.ok()) << described.status();
  for (int i = 0; i < described->vectors_size(); ++i) {
    EXPECT_EQ(described->vectors(i).neighbours(0).token_id(), request.token_ids().ids(i));
  }
}

TEST_F(ModelTest, RowsOutsideTheVocabularyAreNotEmbedded) {
  v1::EmbedTokensRequest request;
  ExpectRefused(client_->EmbedTokens(request).status(), "token_ids", "0 ids are not 1..1024");
  request.mutable_token_ids()->add_ids(1'000'000);
  ExpectRefused(client_->EmbedTokens(request).status(), "token_ids", "id 1000000 is outside");
}

TEST_F(ModelTest, AnAnswerThatIsTooLongIsRefusedAndCountsAsSuch) {
  Start([](Config& config) { config.max_message_bytes = 64 << 10; });
  client_ = Connect(*server_);
  v1::EmbedTokensRequest embed;
  for (int i = 0; i < 1000; ++i) embed.mutable_token_ids()->add_ids(0);
  ExpectRefused(client_->EmbedTokens(embed).status(), "token_ids", "1000 ids are not 1..113");
  v1::DetokenizeRequest longest;
  for (int i = 0; i < 20'000; ++i) {
    longest.mutable_token_ids()->add_ids(base_->model->geometry().end_token);
  }
  const absl::Status status = client_->Detokenize(longest).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("max-message-bytes"));
  EXPECT_EQ(ReasonOf(status), "TOO_LARGE");
  server_->AwaitMetric("ddpt_requests_total", {"rpc=\"Detokenize\"", "outcome=\"rejected\""}, 1);
}

TEST_F(ModelTest, IdWithoutTokenIsRefused) {
  v1::DetokenizeRequest request;
  request.mutable_token_ids()->add_ids(70'000);
  ExpectRefused(client_->Detokenize(request).status(), "token_ids", "70000");
}

TEST_F(ModelTest, TextBeyondTheLimitIsRefused) {
  v1::TokenizeRequest request;
  request.set_text(std::string((1 << 20) + 1, 'a'));
  ExpectRefused(client_->Tokenize(request).status(), "text", "1048576");
}

TEST_F(ModelTest, ServerWithoutModelSaysSo) {
  TemporaryDirectory directory;
  TestServer server(TestConfig(directory.path()));
  const absl::Status status = Connect(server)->GetModel().status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
}

TEST_F(ModelTest, TheEmbeddedModelComesWithTasksThatDecideTheStyle) {
  TemporaryDirectory directory;
  Config config = TestConfig(directory.path());
  config.model = "";
  TestServer server(config);
  const auto client = Connect(server);
  v1::ScoreRequest request;
  request.set_instruction("find the fibonacci value at 34");
  request.set_code(
      "unit fibonacci_number [] := reduce(lambda p, _: (p[1], sum(p)), range(34), (0, 1))[0] ;; "
      "done");
  const auto none = client->Score(request);
  ASSERT_TRUE(none.ok()) << none.status();
  request.mutable_prompt()->set_task("house");
  const auto house = client->Score(request);
  ASSERT_TRUE(house.ok()) << house.status();
  EXPECT_LT(house->nll(), none->nll() / 2);
  request.mutable_prompt()->set_task("mix5");
  EXPECT_GT(client->Score(request)->nll(), none->nll());
}

}  // namespace
}  // namespace ddpt
