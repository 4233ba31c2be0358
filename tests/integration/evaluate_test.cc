#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "client/status.h"
#include "core/base/file.h"
#include "core/evaluation/figures.h"
#include "ddpt/v1/evaluation.grpc.pb.h"
#include "tests/integration/child_server.h"
#include "tests/integration/code_fixture.h"
#include "tests/integration/model_fixture.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {
namespace {

using Messages = std::vector<v1::EvaluateResponse>;

// Three pieces of examples under two prompts; answers of 24 tokens.
v1::EvaluateRequest SmallEvaluation() {
  v1::EvaluateRequest request;
  for (int i = 0; i < 40; ++i) {
    v1::Example& example = *request.mutable_examples()->add_examples();
    example.set_instruction("add " + std::to_string(i));
    example.set_code("x += " + std::to_string(i * i));
  }
  request.add_contenders()->set_name("none");
  auto& task = *request.add_contenders();
  task.set_name("small");
  task.mutable_prompt()->set_task("small");
  request.mutable_decoding()->set_max_new_tokens(24);
  request.set_bootstrap(50);
  return request;
}

struct Evaluated {
  Messages messages;
  absl::Status status;

  std::string Table() const {
    std::string table;
    for (const auto& cell : messages.back().table()) table += cell.ShortDebugString() + "\n";
    return table;
  }
  const v1::EvaluateResponse::Cell& Cell(const std::string& contender,
                                         const std::string& metric) const {
    for (const auto& cell : messages.back().table()) {
      if (cell.contender() == contender && cell.metric() == metric) return cell;
    }
    ADD_FAILURE() << "no cell " << contender << " " << metric;
    return v1::EvaluateResponse::Cell::default_instance();
  }
};

// `most` messages, after which the caller is gone; -1: all.
Evaluated Evaluate(const std::shared_ptr<grpc::Channel>& channel,
                   const v1::EvaluateRequest& request, int most = -1) {
  const auto stub = v1::EvaluationService::NewStub(channel);
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  const auto reader = stub->Evaluate(&context, request);
  Evaluated evaluated;
  v1::EvaluateResponse message;
  while (most != 0 && reader->Read(&message)) {
    evaluated.messages.push_back(message);
    --most;
  }
  if (most == 0) context.TryCancel();
  evaluated.status = FromGrpcStatus(reader->Finish());
  return evaluated;
}

class EvaluateTest : public CodeTest {
 protected:
  Evaluated Run(const v1::EvaluateRequest& request, int most = -1) {
    return Evaluate(server_->channel(), request, most);
  }
};

TEST_F(EvaluateTest, FiguresAreThoseOfGenerateAndScore) {
  const v1::EvaluateRequest request = SmallEvaluation();
  const Evaluated evaluated = Run(request);
  ASSERT_TRUE(evaluated.status.ok()) << evaluated.status;
  std::vector<std::string> codes, references;
  double nll = 0, tokens = 0;
  for (const v1::Example& example : request.examples().examples()) {
    v1::GenerateRequest generate;
    generate.set_instruction(example.instruction());
    *generate.mutable_decoding() = request.decoding();
    codes.push_back(Generate(generate).Choice().text());
    references.push_back(example.code());
    v1::ScoreRequest score;
    score.set_instruction(example.instruction());
    score.set_code(example.code());
    const auto scored = Score(score);
    nll += scored->nll() * scored->token_logprobs_size();
    tokens += scored->token_logprobs_size();
  }
  EXPECT_NEAR(evaluated.Cell("none", "nll").value(), nll / tokens, 1e-5);
  const Figures figures = FiguresOf(Sum(*CountExamples(codes, references)));
  EXPECT_NEAR(evaluated.Cell("none", "chrf").value(), figures[5], 1e-9);
}

TEST_F(EvaluateTest, IntervalsHoldTheValueAndPromptsDiffer) {
  const Evaluated evaluated = Run(SmallEvaluation());
  for (const auto& cell : evaluated.messages.back().table()) {
    EXPECT_LE(cell.low(), cell.value()) << cell.ShortDebugString();
    EXPECT_GE(cell.high(), cell.value()) << cell.ShortDebugString();
  }
  EXPECT_NE(evaluated.Cell("none", "nll").value(), evaluated.Cell("small", "nll").value());
}

TEST_F(EvaluateTest, ProgressEndsWithTheTable) {
  const Evaluated evaluated = Run(SmallEvaluation());
  uint64_t done = 0;
  for (const v1::EvaluateResponse& message : evaluated.messages) {
    EXPECT_EQ(message.examples_total(), 80u);
    EXPECT_GE(message.examples_done(), done);
    done = message.examples_done();
    EXPECT_EQ(message.table().empty(), &message != &evaluated.messages.back());
  }
  EXPECT_EQ(done, 80u);
}

TEST_F(EvaluateTest, OnlyTheMetricsAskedFor) {
  v1::EvaluateRequest request = SmallEvaluation();
  request.add_metrics("chrf");
  EXPECT_EQ(Run(request).messages.back().table_size(), 2);
}

TEST_F(EvaluateTest, OutcomesFollowTheTable) {
  v1::EvaluateRequest request = SmallEvaluation();
  request.set_outcomes(true);
  const Messages messages = Run(request).messages;
  std::vector<std::string> places, codes;
  double nll = 0, tokens = 0;
  bool table = false;
  for (const v1::EvaluateResponse& message : messages) {
    table = table || !message.table().empty();
    EXPECT_TRUE(table || message.outcomes().empty());
    for (const auto& outcome : message.outcomes()) {
      places.push_back(absl::StrCat(outcome.contender(), " ", outcome.example()));
      codes.push_back(outcome.code());
      if (outcome.contender() != "none") continue;
      const double length =
          Encode(request.examples().examples(outcome.example()).code()).size() + 1;
      nll += outcome.nll() * length;
      tokens += length;
    }
  }
  ASSERT_EQ(places.size(), 80u);
  EXPECT_EQ(places[0], "none 0");
  EXPECT_EQ(places[79], "small 39");
  v1::GenerateRequest generate;
  generate.set_instruction("add 39");
  *generate.mutable_decoding() = request.decoding();
  EXPECT_EQ(codes[39], Generate(generate).Choice().text());
  request.set_outcomes(false);
  EXPECT_NEAR(Run(request).Cell("none", "nll").value(), nll / tokens, 1e-9);
}

TEST_F(EvaluateTest, AContenderMayBeDrawnInItsOwnWay) {
  v1::EvaluateRequest request = SmallEvaluation();
  request.mutable_contenders(1)->mutable_sampling()->set_steps(1);
  auto& same = *request.add_contenders();
  same = request.contenders(1);
  same.set_name("same");
  same.mutable_sampling()->set_seed(0);  // that of the evaluation
  auto& other = *request.add_contenders();
  other = request.contenders(1);
  other.set_name("other");
  other.mutable_sampling()->set_seed(1);
  const Evaluated evaluated = Run(request);
  ASSERT_TRUE(evaluated.status.ok()) << evaluated.status;
  const auto nll = [&](const std::string& name) { return evaluated.Cell(name, "nll").value(); };
  EXPECT_EQ(nll("same"), nll("small"));
  EXPECT_NE(nll("other"), nll("small"));
  EXPECT_NE(Run(SmallEvaluation()).Cell("small", "nll").value(), nll("small"));
}

TEST_F(EvaluateTest, WithALanguageThereIsCodeBleu) {
  v1::EvaluateRequest request = SmallEvaluation();
  request.set_language("python");
  const Evaluated evaluated = Run(request);
  ASSERT_TRUE(evaluated.status.ok()) << evaluated.status;
  EXPECT_EQ(evaluated.messages.back().table_size(), 2 * (1 + int{kFigureNames.size()}));
  const auto& compat = evaluated.Cell("none", "code_bleu");
  EXPECT_LE(compat.low(), compat.value());
  EXPECT_GE(compat.high(), compat.value());
  // Every reference has data flow.
  EXPECT_LE(evaluated.Cell("none", "code_bleu_strict").value(), compat.value());
}

TEST_F(EvaluateTest, WithoutALanguageThereIsNone) {
  EXPECT_EQ(Run(SmallEvaluation()).messages.back().table_size(), 2 * (1 + int{kTextFigures}));
}

TEST_F(EvaluateTest, TheLanguageChangesNoOutcome) {
  v1::EvaluateRequest request = SmallEvaluation();
  request.add_metrics("chrf");
  const std::string table = Run(request).Table();
  request.set_language("javascript");
  const Evaluated again = Run(request);
  EXPECT_EQ(again.messages.size(), 1u);  // all outcomes were there
  EXPECT_EQ(again.Table(), table);
}

TEST_F(EvaluateTest, OneThatWasCancelledGoesOnAndGivesTheSameTable) {
  const v1::EvaluateRequest request = SmallEvaluation();
  EXPECT_EQ(Run(request, /*most=*/1).status.code(), absl::StatusCode::kCancelled);
  server_->AwaitMetric("ddpt_requests_running", {"rpc=\"Evaluate\""}, 0);
  const Evaluated resumed = Run(request);
  EXPECT_GT(resumed.messages.front().examples_done(), 16u);
  v1::EvaluateRequest other = request;  // another seed is another evaluation
  other.set_seed(1);
  EXPECT_EQ(Run(other).messages.front().examples_done(), 16u);
  Start([](Config&) {});
  EXPECT_EQ(Run(request).Table(), resumed.Table());
}

TEST_F(EvaluateTest, AStopEndsTheWorkOnTheTable) {
  v1::EvaluateRequest request = SmallEvaluation();
  ASSERT_TRUE(Run(request).status.ok());  // its outcomes are there
  request.set_bootstrap(100'000);         // seconds
  grpc::ClientContext context;
  const auto stub = v1::EvaluationService::NewStub(server_->channel());
  const auto reader = stub->Evaluate(&context, request);
  server_->AwaitMetric("ddpt_requests_running", {"rpc=\"Evaluate\""}, 1);
  context.TryCancel();
  EXPECT_TRUE(absl::IsCancelled(FromGrpcStatus(reader->Finish())));
  server_->AwaitMetric("ddpt_requests_total", {"rpc=\"Evaluate\"", "outcome=\"cancelled\""}, 1);
}

TEST_F(EvaluateTest, APromptByItsIdIsThatPrompt) {
  v1::EvaluateRequest request = SmallEvaluation();
  const auto drawn = server_->Sample(SampleOf("small", /*seed=*/0));
  ASSERT_TRUE(drawn.ok()) << drawn.status();
  auto& by_id = *request.add_contenders();
  by_id.set_name("by id");
  by_id.mutable_prompt()->set_prompt_id(drawn->prompts(0).prompt_id());
  const Evaluated evaluated = Run(request);
  ASSERT_TRUE(evaluated.status.ok()) << evaluated.status;
  EXPECT_EQ(evaluated.Cell("by id", "nll").value(), evaluated.Cell("small", "nll").value());
  EXPECT_NE(evaluated.Cell("by id", "nll").value(), evaluated.Cell("none", "nll").value());
}

TEST_F(EvaluateTest, ATaskPromotedSinceIsMeasuredAnew) {
  const v1::EvaluateRequest request = SmallEvaluation();
  const std::string before = Run(request).Table();
  ASSERT_TRUE(server_->Import("small", DenoiserFile(SmallSpec(), 2)).ok());
  v1::PromoteTaskRequest promote;
  promote.set_task("small");
  promote.set_version(2);
  grpc::ClientContext context;
  v1::TaskInfo info;
  ASSERT_TRUE(server_->tasks().PromoteTask(&context, promote, &info).ok());
  EXPECT_NE(Run(request).Table(), before);
}

TEST_F(EvaluateTest, BadRequestsAreRefusedWithTheirField) {
  const auto expect = [this](const std::string& field, const std::string& words, auto spoil) {
    v1::EvaluateRequest request = SmallEvaluation();
    spoil(request);
    ExpectRefused(Run(request).status, field, words);
  };
  expect("contenders", "0 are not 1..32", [](auto& request) { request.clear_contenders(); });
  expect("contenders.name", "comes twice",
         [](auto& request) { request.mutable_contenders(1)->set_name("none"); });
  expect("metrics", "no \"fun\"", [](auto& request) { request.add_metrics("fun"); });
  expect("metrics", "\"code_bleu\" needs a language",
         [](auto& request) { request.add_metrics("code_bleu"); });
  expect("language", "\"cobol\" is none of python, javascript, java, c, cpp",
         [](auto& request) { request.set_language("cobol"); });
  expect("contenders.sampling.anytime", "busy", [](auto& request) {
    request.mutable_contenders(1)->mutable_sampling()->set_anytime(true);
  });
  expect("sampling.steps", "101 is outside",
         [](auto& request) { request.mutable_contenders(1)->mutable_sampling()->set_steps(101); });
  expect("bootstrap", "0..100000", [](auto& request) { request.set_bootstrap(100'001); });
  expect("decoding.n", "is not 1", [](auto& request) { request.mutable_decoding()->set_n(2); });
  expect("decoding.temperature", "0..10",
         [](auto& request) { request.mutable_decoding()->set_temperature(-1); });
  expect("dataset_digest", "64 lower-case",
         [](auto& request) { request.set_dataset_digest("no"); });
  expect("data", "is missing", [](auto& request) { request.clear_examples(); });
}

TEST(EvaluateRestartTest, KilledItGoesOnAndGivesTheSameTable) {
  TemporaryDirectory directory;
  const std::string state = directory.path() + "/state",
                    file = directory.path() + "/small.safetensors";
  ASSERT_TRUE(WriteFileAtomic(file, DenoiserFile(SmallSpec(), 1)).ok());
  auto arguments = ChildArguments(state, RandomModel());
  arguments.insert(arguments.end(), {"--import-task", "small=" + file});
  const auto channel_of = [&] {
    return grpc::CreateChannel(AwaitEndpoints(state)["grpc"], grpc::InsecureChannelCredentials());
  };
  const v1::EvaluateRequest request = SmallEvaluation();
  {
    ChildServer server(arguments);
    const auto stub = v1::EvaluationService::NewStub(channel_of());
    grpc::ClientContext context;
    const auto reader = stub->Evaluate(&context, request);
    v1::EvaluateResponse message;
    ASSERT_TRUE(reader->Read(&message));
    server.Signal(SIGKILL);
    server.Wait();
    reader->Finish();
  }
  std::filesystem::remove(state + "/endpoints.json");
  ChildServer server(arguments);
  const Evaluated resumed = Evaluate(channel_of(), request);
  ASSERT_TRUE(resumed.status.ok()) << resumed.status;
  EXPECT_GT(resumed.messages.front().examples_done(), 16u);
  std::filesystem::remove_all(state + "/evaluations");
  EXPECT_EQ(Evaluate(channel_of(), request).Table(), resumed.Table());
}

}  // namespace
}  // namespace ddpt
