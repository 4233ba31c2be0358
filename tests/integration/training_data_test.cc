#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <limits>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "tests/integration/server_fixture.h"
#include "tests/integration/training_fixture.h"

namespace ddpt {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Job = v1::TrainingJob;

class TrainingDataTest : public TrainingTest {
 protected:
  // The request is INVALID_ARGUMENT on `field`, with `words`, and makes no job.
  static void ExpectRefused(const v1::TrainRequest& request, const std::string& field,
                            const std::string& words) {
    const absl::Status status = client_->Train(request).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_EQ(FieldOf(status), field) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(words));
    EXPECT_TRUE(absl::IsNotFound(client_->Find(request.operation_id()).status()));
  }
};

TEST_F(TrainingDataTest, AnUploadedDataSetTrainsLikeInlineExamples) {
  const auto dataset = client_->Upload({}, {SmallDataFile()});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->examples(), 10u);
  v1::TrainRequest request = Small();
  request.set_dataset_digest(dataset->digest());
  const auto job = client_->TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->dataset_digest(), dataset->digest());
  const auto inline_job = client_->TrainToTheEnd(Small("-inline"));
  EXPECT_EQ(inline_job->dataset_digest(), dataset->digest());
  EXPECT_EQ(inline_job->denoiser_digest(), job->denoiser_digest());
}

TEST_F(TrainingDataTest, ChunksMayEndAnywhere) {
  const std::string file = SmallDataFile();
  std::vector<std::string> bytes;
  for (const char c : file) bytes.emplace_back(1, c);
  const auto whole = client_->Upload({}, {file}), cut = client_->Upload({}, bytes);
  ASSERT_TRUE(cut.ok()) << cut.status();
  EXPECT_EQ(cut->digest(), whole->digest());
  EXPECT_EQ(cut->examples(), 10u);
}

TEST_F(TrainingDataTest, OtherFormatsHaveTheDigestOfTheirExamples) {
  const auto expected = client_->Upload({}, {R"({"instruction": "a", "code": "b"})"});
  v1::DataChunk::Header fields;
  fields.set_instruction_field("x");
  fields.set_code_field("y");
  EXPECT_EQ(client_->Upload(fields, {R"({"x": "a", "y": "b"})"})->digest(), expected->digest());
  v1::DataChunk::Header conala;
  conala.set_format(v1::DATA_FORMAT_CONALA);
  const auto read = client_->Upload(conala, {R"([{"intent": "a", "snippet": "b"}])"});
  EXPECT_EQ(read->digest(), expected->digest());
}

TEST_F(TrainingDataTest, MalformedUploadsNameLineAndField) {
  const std::string good = "{\"instruction\": \"a\", \"code\": \"b\"}\n";
  for (const std::string bad : {"{\"instruction\": \"a\"}", "{\"instruction\": \"a\", \"code\": 1}",
                                "{\"instruction\": \"a\", \"code\": \"\"}"}) {
    const absl::Status status = client_->Upload({}, {good + good + bad + "\n" + good}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("line 3"), HasSubstr("'code'")));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(client_->Upload({}, {"\xff\xfe"}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(client_->Upload({}, {}).status()));
}

TEST_F(TrainingDataTest, MalformedExamplesMakeNoJob) {
  v1::TrainRequest request = Small();
  request.mutable_examples()->mutable_examples(4)->set_code(" ");
  const absl::Status status = client_->Train(request).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("5"), HasSubstr("'code'")));
  EXPECT_TRUE(absl::IsNotFound(client_->Find(Name()).status()));
}

TEST_F(TrainingDataTest, LargeDataSetsLeaveOtherCallsTheirTurn) {
  v1::TrainRequest large = Small();
  const v1::Example example = large.examples().examples(0);
  for (int i = 0; i < 30'000; ++i) *large.mutable_examples()->add_examples() = example;
  large.mutable_examples()->mutable_examples()->rbegin()->set_instruction(std::string(60'000, 'x'));
  const std::vector<std::string> started = {"grpc_method=\"Train\""};
  const double before = server_->Metric("grpc_server_started_total", started);
  std::atomic<int> answered{0};
  std::vector<std::jthread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      EXPECT_TRUE(absl::IsInvalidArgument(client_->Train(large).status()));
      ++answered;
    });
  }
  server_->AwaitMetric("grpc_server_started_total", started, before + 4);
  EXPECT_TRUE(client_->List(Name(), 1, "").ok());
  EXPECT_EQ(answered, 0);
}

TEST_F(TrainingDataTest, AnExampleTooLongForTheModelIsRefusedBeforeTheJob) {
  v1::TrainRequest request = Small();
  std::string code;
  for (int i = 0; i < 4000; ++i) code += static_cast<char>('a' + i * i % 23);
  request.mutable_examples()->mutable_examples(4)->set_code(code);
  const absl::Status status = client_->Train(request).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("example 5 "), HasSubstr("2048")));
  EXPECT_TRUE(absl::IsNotFound(client_->Find(Name()).status()));
}

TEST_F(TrainingDataTest, AnUnknownDigestIsNotFound) {
  v1::TrainRequest request = Small();
  request.set_dataset_digest(std::string(64, 'a'));
  const absl::Status status = client_->Train(request).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(request.dataset_digest()));
  request.set_dataset_digest("../../etc/passwd");
  ExpectRefused(request, "dataset_digest", "hexadecimal");
  request = Small();
  request.set_validation_digest("");
  ExpectRefused(request, "validation_digest", "hexadecimal");
}

TEST_F(TrainingDataTest, AFileOfAnAllowedDirectoryTrains) {
  const std::string path = directory_->path() + "/data.jsonl";
  ASSERT_TRUE(WriteFileAtomic(path, SmallDataFile()).ok());
  v1::TrainRequest request = Small();
  request.set_path(path);
  const auto job = client_->TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), Job::STATE_SUCCEEDED) << job->error();
  EXPECT_EQ(job->dataset_digest(), client_->Upload({}, {SmallDataFile()})->digest());
}

TEST_F(TrainingDataTest, TheSameRequestFindsItsJobThoughTheFileIsGone) {
  const std::string path = directory_->path() + "/gone.jsonl";
  ASSERT_TRUE(WriteFileAtomic(path, SmallDataFile()).ok());
  v1::TrainRequest request = Small();
  request.set_path(path);
  const auto job = client_->Train(request);
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_EQ(unlink(path.c_str()), 0);
  const auto same = client_->Train(request);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->job_id(), job->job_id());
  request.set_path(path + "x");
  EXPECT_EQ(FieldOf(client_->Train(request).status()), "path");
}

// Data that would train, outside the allowed directory.
class OutsidePathTest : public TrainingDataTest {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(outside_);
    ASSERT_TRUE(WriteFileAtomic(outside_ + "/data.jsonl", SmallDataFile()).ok());
  }
  void TearDown() override { std::filesystem::remove_all(outside_); }

  static void ExpectPathRefused(const std::string& path) {
    v1::TrainRequest request = Small();
    request.set_path(path);
    ExpectRefused(request, "path", "data-directory");
  }

  // Beside the allowed directory, whose path is a prefix of its own.
  const std::string outside_ = directory_->path() + "-outside";
};

TEST_F(OutsidePathTest, IsRefused) { ExpectPathRefused(outside_ + "/data.jsonl"); }

TEST_F(OutsidePathTest, IsRefusedByWayOfTheAllowedDirectory) {
  ExpectPathRefused(absl::StrCat(directory_->path(), "/../",
                                 std::filesystem::path(outside_).filename().string(),
                                 "/data.jsonl"));
}

TEST_F(OutsidePathTest, IsRefusedAsARelativePath) {
  ExpectPathRefused(std::filesystem::relative(outside_ + "/data.jsonl"));
}

TEST_F(OutsidePathTest, IsRefusedThroughALinkToAFile) {
  const std::string link = directory_->path() + "/link.jsonl";
  std::filesystem::create_symlink(outside_ + "/data.jsonl", link);
  ExpectPathRefused(link);
}

TEST_F(OutsidePathTest, IsRefusedThroughALinkToADirectory) {
  const std::string link = directory_->path() + "/link";
  std::filesystem::create_directory_symlink(outside_, link);
  ExpectPathRefused(link + "/data.jsonl");
}

TEST_F(OutsidePathTest, AFileThatIsNotThereIsRefusedInTheSameWords) {
  ExpectPathRefused(outside_ + "/nothing");
}

TEST_F(TrainingDataTest, ALinkInsideTheAllowedDirectoryIsFollowed) {
  const std::string file = directory_->path() + "/linked.jsonl", link = directory_->path() + "/in";
  ASSERT_TRUE(WriteFileAtomic(file, SmallDataFile()).ok());
  std::filesystem::create_symlink(file, link);
  v1::TrainRequest request = Small();
  request.set_path(link);
  EXPECT_TRUE(client_->TrainToTheEnd(request).ok());
}

TEST(NoDataDirectoryTest, NoPathIsAllowed) {
  TemporaryDirectory directory;
  TestServer server(TrainingConfig(directory.path()));
  const std::string path = directory.path() + "/data.jsonl";
  ASSERT_TRUE(WriteFileAtomic(path, SmallDataFile()).ok());
  v1::TrainRequest request = SmallTraining("op");
  request.set_path(path);
  EXPECT_EQ(FieldOf(TrainingClient(server.channel()).Train(request).status()), "path");
}

TEST_F(TrainingDataTest, RequestsThatSayTooLittleNameTheField) {
  v1::TrainRequest request = Small();
  request.clear_examples();
  ExpectRefused(request, "data", "missing");
  request = Small();
  request.set_task("No Name");
  ExpectRefused(request, "task", "No Name");
  request = Small();
  request.set_operation_id("");
  EXPECT_EQ(FieldOf(client_->Train(request).status()), "operation_id");
  request.set_operation_id(std::string(129, 'x'));
  EXPECT_EQ(FieldOf(client_->Train(request).status()), "operation_id");
}

TEST_F(TrainingDataTest, OptionsOutOfRangeNameTheField) {
  struct Case {
    std::string field;
    std::function<void(v1::TrainingOptions&)> set;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Case cases[] = {
      {"options.steps", [](auto& options) { options.set_steps(0); }},
      {"options.steps", [](auto& options) { options.set_steps(1'000'001); }},
      {"options.batch_size", [](auto& options) { options.set_batch_size(1025); }},
      {"options.learning_rate", [=](auto& options) { options.set_learning_rate(nan); }},
      {"options.learning_rate", [](auto& options) { options.set_learning_rate(-1); }},
      {"options.checkpoint_every", [](auto& options) { options.set_checkpoint_every(0); }},
      {"options.warmup_steps", [](auto& options) { options.set_warmup_steps(13); }},
      {"options.context_length", [](auto& options) { options.set_context_length(65); }},
      {"options.latent_width", [](auto& options) { options.set_latent_width(1025); }},
      {"options.layers", [](auto& options) { options.set_layers(9); }},
      {"options.train_steps", [](auto& options) { options.set_train_steps(10'001); }},
      {"options.ema_decay", [](auto& options) { options.set_ema_decay(1); }},
      {"options.condition_dropout", [](auto& options) { options.set_condition_dropout(0.5); }},
      {"options.time_step_power", [](auto& options) { options.set_time_step_power(0); }},
      {"options.draws", [](auto& options) { options.set_draws(0); }},
      {"options.draws", [](auto& options) { options.set_draws(65); }},
      {"options.validation_share", [](auto& options) { options.set_validation_share(0.6); }},
      {"options.validation_steps", [](auto& options) { options.set_validation_steps(51); }},
      {"options.max_prompt_rms", [](auto& options) { options.set_max_prompt_rms(0); }},
      {"options.subspace_width", [](auto& options) { options.set_subspace_width(10); }},
      {"options.population", [](auto& options) { options.set_population(10); }},
      {"options.sigma", [](auto& options) { options.set_sigma(1); }},
      {"options.micro_batch_size", [](auto& options) { options.set_micro_batch_size(0); }},
      {"options.micro_batch_size", [](auto& options) { options.set_micro_batch_size(1025); }},
      {"options.weight_ema_decay", [](auto& options) { options.set_weight_ema_decay(1); }},
      {"options.prompt_encoder",
       [](auto& options) { options.set_prompt_encoder(v1::PROMPT_ENCODER_MLP); }},
      {"options.prompt_encoder_width", [](auto& options) { options.set_prompt_encoder_width(8); }},
      {"options.context_start",
       [](auto& options) { options.set_context_start(static_cast<v1::ContextStart>(9)); }},
      {"options.reference",
       [](auto& options) {
         options.set_reference(v1::REFERENCE_ON_POLICY);
         options.set_reading(v1::READING_RESIDUAL);
       }},
  };
  for (const Case& c : cases) {
    v1::TrainRequest request = Small();
    c.set(*request.mutable_options());
    ExpectRefused(request, c.field, "");
  }
}

TEST_F(TrainingDataTest, MethodsThatAreNotServedAreRefused) {
  v1::TrainRequest request = Small();
  request.set_method(static_cast<v1::Method>(99));
  ExpectRefused(request, "method", "99");
}

TEST_F(TrainingDataTest, PrefixTuningRefusesWhatItHasNoUseFor) {
  struct Case {
    std::string field;
    std::function<void(v1::TrainingOptions&)> set;
  };
  const Case cases[] = {
      {"options.latent_width", [](auto& options) { options.set_latent_width(8); }},
      {"options.layers", [](auto& options) { options.set_layers(1); }},
      {"options.reference", [](auto& options) { options.set_reference(v1::REFERENCE_ZERO); }},
      {"options.ema_decay", [](auto& options) { options.set_ema_decay(0.9); }},
      {"options.conditional", [](auto& options) { options.set_conditional(true); }},
      {"options.population", [](auto& options) { options.set_population(10); }},
      {"options.prefix_place",
       [](auto& options) { options.set_prefix_place(static_cast<v1::PrefixPlace>(7)); }},
  };
  for (const Case& c : cases) {
    v1::TrainRequest request = Small();
    MakePrefix(request, v1::PREFIX_PLACE_ALL);
    c.set(*request.mutable_options());
    ExpectRefused(request, c.field, "");
  }
  v1::TrainRequest request = Small();
  request.mutable_options()->set_prefix_place(v1::PREFIX_PLACE_DECODER);
  ExpectRefused(request, "options.prefix_place", "PREFIX_TUNING");
}

TEST_F(TrainingDataTest, BlackBoxTuningRefusesWhatItHasNoUseFor) {
  struct Case {
    std::string field;
    std::function<void(v1::TrainingOptions&)> set;
  };
  const Case cases[] = {
      {"options.learning_rate", [](auto& options) { options.set_learning_rate(0.01); }},
      {"options.warmup_steps", [](auto& options) { options.set_warmup_steps(1); }},
      {"options.weight_decay", [](auto& options) { options.set_weight_decay(0); }},
      {"options.clip_norm", [](auto& options) { options.set_clip_norm(1); }},
      {"options.reference", [](auto& options) { options.set_reference(v1::REFERENCE_ZERO); }},
      {"options.ema_decay", [](auto& options) { options.set_ema_decay(0.9); }},
      {"options.conditional", [](auto& options) { options.set_conditional(true); }},
      {"options.subspace_width", [](auto& options) { options.set_subspace_width(501); }},
      {"options.population", [](auto& options) { options.set_population(3); }},
      {"options.sigma", [](auto& options) { options.set_sigma(-1); }},
  };
  for (const Case& c : cases) {
    v1::TrainRequest request = Small();
    MakeBlackBox(request);
    c.set(*request.mutable_options());
    ExpectRefused(request, c.field, "");
  }
}

TEST_F(TrainingDataTest, APromptToStartFromMustFit) {
  const auto start = [](uint32_t rows, uint32_t width) {
    v1::TrainRequest request = Small();
    request.mutable_options()->clear_context_length();
    v1::Tensor& prompt = *request.mutable_start_prompt();
    prompt.add_shape(rows);
    prompt.add_shape(width);
    prompt.set_dtype(v1::DATA_TYPE_FLOAT32);
    prompt.mutable_data()->resize(size_t{4} * rows * width);
    return request;
  };
  ExpectRefused(start(0, 8), "start_prompt", "n in 1..64");
  ExpectRefused(start(65, 8), "start_prompt", "n in 1..64");
  ExpectRefused(start(3, 8), "start_prompt", "is 8 wide");
  v1::TrainRequest request = start(3, 8);
  request.mutable_start_prompt()->mutable_data()->pop_back();
  ExpectRefused(request, "start_prompt", "");
  request = start(3, 8);
  request.mutable_options()->set_context_length(4);
  ExpectRefused(request, "start_prompt", "n is 3");
  request = start(3, 8);
  request.mutable_options()->set_context_text("Write");
  ExpectRefused(request, "start_prompt", "context_text");
}

TEST_F(TrainingDataTest, DuplicatesAreUsedOnceAndTold) {
  v1::TrainRequest request = Small();
  v1::Example* copy = request.mutable_examples()->add_examples();
  *copy = request.examples().examples(0);
  copy->set_code("\n" + copy->code() + "\r\n");
  const auto job = client_->TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), Job::STATE_SUCCEEDED) << job->error();
  EXPECT_EQ(job->train_examples(), 9u);
  EXPECT_EQ(job->validation_examples(), 1u);
  EXPECT_EQ(job->duplicate_examples(), 1u);
  EXPECT_EQ(client_->Watch(job->job_id())->front().job().duplicate_examples(), 1u);
}

TEST_F(TrainingDataTest, OneInstructionCannotBeSplit) {
  v1::TrainRequest request = Small();
  for (v1::Example& example : *request.mutable_examples()->mutable_examples()) {
    example.set_instruction("add");
  }
  ExpectRefused(request, "data", "1 instruction");
}

v1::Example MakeExample(const std::string& instruction, const std::string& code) {
  v1::Example example;
  example.set_instruction(instruction);
  example.set_code(code);
  return example;
}

TEST_F(TrainingDataTest, ValidationExamplesOfOnesOwnTakeTheSplitsPlace) {
  v1::TrainRequest request = Small();
  *request.mutable_validation_examples()->add_examples() = MakeExample("add to b", "return b + 1");
  *request.mutable_validation_examples()->add_examples() = MakeExample("add to c", "return c + 1");
  const auto job = client_->TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), Job::STATE_SUCCEEDED) << job->error();
  EXPECT_EQ(job->train_examples(), 10u);
  EXPECT_EQ(job->validation_examples(), 2u);
  EXPECT_EQ(job->shared_instructions(), 0u);
}

TEST_F(TrainingDataTest, TrainingExamplesAmongTheValidationExamplesAreRefused) {
  v1::TrainRequest request = Small();
  *request.mutable_validation_examples()->add_examples() = MakeExample("add to b", "return b + 1");
  *request.mutable_validation_examples()->add_examples() = request.examples().examples(7);
  ExpectRefused(request, "validation_data", "example 2");
}

TEST_F(TrainingDataTest, AnInstructionWithOtherCodeOnTheOtherSideIsTold) {
  v1::TrainRequest request = Small();
  *request.mutable_validation_examples()->add_examples() =
      MakeExample(request.examples().examples(7).instruction(), "return 7");
  const auto job = client_->TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), Job::STATE_SUCCEEDED) << job->error();
  EXPECT_EQ(job->shared_instructions(), 1u);
}

}  // namespace
}  // namespace ddpt
