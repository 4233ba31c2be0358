#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "client/status.h"
#include "core/base/status.h"
#include "core/base/tensor.h"
#include "ddpt/v1/code.pb.h"
#include "ddpt/v1/evaluation.pb.h"
#include "ddpt/v1/model.pb.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/training_fixture.h"

namespace ddpt {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr uint32_t kMost = std::numeric_limits<uint32_t>::max();  // -1, too

// What an attacker or a broken program sends, and the answer to it.
struct Hostile {
  std::string what;
  std::string method;
  std::vector<std::string> messages;  // on the wire
  StatusCode code = StatusCode::kInvalidArgument;
  std::string field = {};  // that the refusal names
  std::string words = {};  // of its message
};

// `request` after `spoil`, on the wire.
template <typename Request, typename Spoil>
std::vector<std::string> Spoiled(Request request, const Spoil& spoil) {
  spoil(request);
  return {request.SerializePartialAsString()};
}

// A gigabyte by its shape, in four bytes.
void Lie(v1::Tensor& tensor) {
  tensor.add_shape(16'384);
  tensor.add_shape(16'384);
  tensor.set_data("four");
}

std::vector<Hostile> HostileSamples() {
  const auto hostile = [](const std::string& what, const std::string& field,
                          const std::string& words, const auto& spoil) {
    return Hostile{.what = what,
                   .method = "PromptService/Sample",
                   .messages = Spoiled(SampleOf("small", 1), spoil),
                   .field = field,
                   .words = words};
  };
  return {
      hostile("no task", "task", "", [](auto& r) { r.clear_task(); }),
      hostile("a path as task", "task", "", [](auto& r) { r.set_task("../../etc/passwd"); }),
      hostile("SQL as task", "task", "", [](auto& r) { r.set_task("a'; DROP TABLE tasks; --"); }),
      hostile("a task with a zero byte", "task", "",
              [](auto& r) { r.set_task(std::string("small\0", 6)); }),
      hostile("a megabyte of task", "task", "",
              [](auto& r) { r.set_task(std::string(1 << 20, 'a')); }),
      hostile("-1 prompts", "count", "1..1024", [](auto& r) { r.set_count(kMost); }),
      hostile("no prompts", "count", "1..1024", [](auto& r) { r.set_count(0); }),
      hostile("no steps", "sampling.steps", "1..100",
              [](auto& r) { r.mutable_sampling()->set_steps(0); }),
      hostile("four billion steps", "sampling.steps", "1..100",
              [](auto& r) { r.mutable_sampling()->set_steps(kMost); }),
      hostile("an eta that is no number", "sampling.eta", "nan",
              [](auto& r) { r.mutable_sampling()->set_eta(kNan); }),
      hostile("endless guidance", "sampling.guidance_scale", "inf",
              [](auto& r) { r.mutable_sampling()->set_guidance_scale(kInfinity); }),
      hostile("a sampler without a name", "sampling.sampler", "-1",
              [](auto& r) { r.mutable_sampling()->set_sampler(v1::Sampler(-1)); }),
      hostile("the best of four billion", "sampling.best_of", "1..64",
              [](auto& r) { r.mutable_sampling()->set_best_of(kMost); }),
      hostile("noise of a gigabyte in four bytes", "initial_noise", "[4, 16]",
              [](auto& r) { Lie(*r.mutable_initial_noise()); }),
      hostile("noise whose size overflows", "initial_noise", "[4, 16]",
              [](auto& r) {
                for (int i = 0; i < 4; ++i) r.mutable_initial_noise()->add_shape(1U << 31U);
                r.mutable_initial_noise()->set_data("four");
              }),
      hostile("noise of 100,000 dimensions", "initial_noise", "[4, 16]",
              [](auto& r) { r.mutable_initial_noise()->mutable_shape()->Resize(100'000, 1); }),
      hostile("noise without a shape", "initial_noise", "[4, 16]",
              [](auto& r) { r.mutable_initial_noise()->set_data("four"); }),
      hostile("100,000 attributes", "attributes", "100000",
              [](auto& r) {
                for (int i = 0; i < 100'000; ++i) (*r.mutable_attributes())[absl::StrCat(i)] = "";
              }),
      hostile("an instruction above its limit", "instruction", "65536",
              [](auto& r) { r.set_instruction(std::string(65'537, 'a')); }),
  };
}

std::vector<Hostile> HostileGenerations() {
  v1::GenerateRequest good;
  good.set_instruction("add");
  good.mutable_decoding()->set_max_new_tokens(4);
  const auto hostile = [&good](const std::string& what, const std::string& field,
                               const std::string& words, const auto& spoil) {
    return Hostile{.what = what,
                   .method = "CodeService/Generate",
                   .messages = Spoiled(good, spoil),
                   .field = field,
                   .words = words};
  };
  const auto decoding = [&hostile](const std::string& what, const std::string& field,
                                   const std::string& words, const auto& spoil) {
    return hostile(what, "decoding." + field, words,
                   [&spoil](auto& request) { spoil(*request.mutable_decoding()); });
  };
  return {
      decoding("no tokens", "max_new_tokens", "0", [](auto& d) { d.set_max_new_tokens(0); }),
      decoding("-1 tokens", "max_new_tokens", "2048", [](auto& d) { d.set_max_new_tokens(kMost); }),
      decoding("a temperature that is no number", "temperature", "nan",
               [](auto& d) { d.set_temperature(kNan); }),
      decoding("a temperature below zero", "temperature", "-1",
               [](auto& d) { d.set_temperature(-1); }),
      decoding("an endless temperature", "temperature", "inf",
               [](auto& d) { d.set_temperature(kInfinity); }),
      decoding("a nucleus of nothing", "top_p", "(0, 1]", [](auto& d) { d.set_top_p(0); }),
      decoding("a nucleus that is no number", "top_p", "nan", [](auto& d) { d.set_top_p(kNan); }),
      decoding("a repetition penalty of zero", "repetition_penalty", "0.1..10",
               [](auto& d) { d.set_repetition_penalty(0); }),
      decoding("a length penalty that is no number", "length_penalty", "nan",
               [](auto& d) {
                 d.set_num_beams(2);
                 d.set_length_penalty(kNan);
               }),
      decoding("four billion choices", "n", "1..16", [](auto& d) { d.set_n(kMost); }),
      decoding("four billion beams", "num_beams", "1..16", [](auto& d) { d.set_num_beams(kMost); }),
      decoding("10,000 stop strings", "stop", "10000",
               [](auto& d) {
                 for (int i = 0; i < 10'000; ++i) d.add_stop("x");
               }),
      decoding("a stop string of a megabyte", "stop", "1..64",
               [](auto& d) { d.add_stop(std::string(1 << 20, 'x')); }),
      hostile("an instruction of a megabyte", "instruction", "65536",
              [](auto& r) { r.set_instruction(std::string(1 << 20, 'x')); }),
      hostile("more tokens than the model has positions", "instruction", "2048",
              [](auto& r) { r.set_instruction(std::string(60'000, '\n')); }),
      hostile("a token that is none", "instruction_ids", "4294967295",
              [](auto& r) { r.mutable_instruction_ids()->add_ids(kMost); }),
      hostile("a million tokens", "instruction_ids", "1000000",
              [](auto& r) { r.mutable_instruction_ids()->mutable_ids()->Resize(1'000'000, 1); }),
      hostile("a prompt of a gigabyte in four bytes", "prompt.embedding", "",
              [](auto& r) { Lie(*r.mutable_prompt()->mutable_embedding()); }),
      hostile("a prompt of no vectors", "prompt.embedding", "",
              [](auto& r) {
                r.mutable_prompt()->mutable_embedding()->add_shape(0);
                r.mutable_prompt()->mutable_embedding()->add_shape(16);
              }),
      hostile("a prompt with an infinity", "prompt.embedding", "finite",
              [](auto& r) {
                v1::Tensor& tensor = *r.mutable_prompt()->mutable_embedding();
                tensor.add_shape(1);
                tensor.add_shape(16);
                std::vector<float> values(16);
                values[3] = std::numeric_limits<float>::infinity();
                tensor.set_data(EncodeElements(values, DataType::kFloat32));
              }),
      hostile("a prompt that is finite, but whose square is not", "prompt.embedding",
              "outside -10000..10000",
              [](auto& r) {
                v1::Tensor& tensor = *r.mutable_prompt()->mutable_embedding();
                tensor.add_shape(1);
                tensor.add_shape(16);
                tensor.set_data(EncodeElements(std::vector<float>(16, 1e38F), DataType::kFloat32));
              }),
      hostile("a prompt's id of a megabyte", "prompt.prompt_id", "",
              [](auto& r) { r.mutable_prompt()->set_prompt_id(std::string(1 << 20, 'A')); }),
      hostile("a path as the prompt's task", "prompt.task", "",
              [](auto& r) { r.mutable_prompt()->set_task("../small"); }),
  };
}

std::vector<Hostile> HostileTrainings() {
  const auto hostile = [](const std::string& what, const std::string& field,
                          const std::string& words, const auto& spoil) {
    return Hostile{.what = what,
                   .method = "TrainingService/Train",
                   .messages = Spoiled(SmallTraining("hostile"), spoil),
                   .field = field,
                   .words = words};
  };
  const auto path = [&hostile](const std::string& what, const std::string& path) {
    return hostile(what, "path", "data-directory", [&path](auto& r) { r.set_path(path); });
  };
  return {
      path("a file of the system as data", "/etc/passwd"),
      path("a way out of the allowed directory", DDPT_TEST_DATA "/philox/../../../README.md"),
      path("a path from where the server happens to be", "data.jsonl"),
      path("a device as data", "/dev/zero"),
      path("a path with a zero byte", std::string(DDPT_TEST_DATA "/philox\0/x", 20)),
      hostile("a path of a megabyte", "path", "",
              [](auto& r) { r.set_path("/" + std::string(1 << 20, 'a')); }),
      hostile("a path as digest", "dataset_digest", "hexadecimal",
              [](auto& r) { r.set_dataset_digest("../../ddpt.sqlite3"); }),
      hostile("a path as the task to be trained", "task", "", [](auto& r) { r.set_task("../up"); }),
      hostile("no operation", "operation_id", "1..128", [](auto& r) { r.clear_operation_id(); }),
      hostile("an operation of a megabyte", "operation_id", "1..128",
              [](auto& r) { r.set_operation_id(std::string(1 << 20, 'x')); }),
      hostile("no examples", "data", "at least 1",
              [](auto& r) { r.mutable_examples()->clear_examples(); }),
      hostile("a learning rate that is no number", "options.learning_rate", "nan",
              [](auto& r) { r.mutable_options()->set_learning_rate(kNan); }),
      hostile("a learning rate below zero", "options.learning_rate", "-1",
              [](auto& r) { r.mutable_options()->set_learning_rate(-1); }),
      hostile("-1 steps", "options.steps", "4294967295",
              [](auto& r) { r.mutable_options()->set_steps(kMost); }),
      hostile("a batch of four billion", "options.batch_size", "4294967295",
              [](auto& r) { r.mutable_options()->set_batch_size(kMost); }),
      hostile("a network of four billion", "options.latent_width", "4294967295",
              [](auto& r) { r.mutable_options()->set_latent_width(kMost); }),
      hostile("four billion vectors", "options.context_length", "4294967295",
              [](auto& r) { r.mutable_options()->set_context_length(kMost); }),
      hostile("a start of a gigabyte in four bytes", "start_prompt", "",
              [](auto& r) { Lie(*r.mutable_start_prompt()); }),
      hostile("a method without a name", "method", "-1",
              [](auto& r) { r.set_method(v1::Method(-1)); }),
  };
}

// A data set as it is uploaded, and why it is none.
std::vector<Hostile> HostileUploads() {
  const auto hostile = [](const std::string& what, const std::string& words,
                          const std::string& data, v1::DataFormat format) {
    v1::DataChunk header, chunk;
    header.mutable_header()->set_format(format);
    chunk.set_chunk(data);
    return Hostile{.what = what,
                   .method = "TrainingService/UploadDataset",
                   .messages = {header.SerializeAsString(), chunk.SerializeAsString()},
                   .field = "data",
                   .words = words};
  };
  const std::string open(500'000, '[');
  v1::DataChunk header, chunk, large, strange;
  header.mutable_header();
  chunk.set_chunk("{}");
  strange.mutable_header()->set_format(v1::DataFormat(-1));
  large.set_chunk(std::string((1 << 20) + 1, 'x'));
  const std::string method = "TrainingService/UploadDataset";
  return {
      hostile("JSON nested 500,000 deep", "line 1", open, v1::DATA_FORMAT_JSONL),
      hostile("an array nested 500,000 deep", "", open, v1::DATA_FORMAT_CONALA),
      hostile("objects nested 100,000 deep", "line 1",
              "{\"instruction\": " + std::string(100'000, '['), v1::DATA_FORMAT_JSONL),
      hostile("bad UTF-8", "line 1", "{\"instruction\": \"\xff\", \"code\": \"b\"}",
              v1::DATA_FORMAT_JSONL),
      hostile("a lone surrogate", "line 1", R"({"instruction": "\ud800", "code": "b"})",
              v1::DATA_FORMAT_JSONL),
      hostile("a number above all numbers", "line 1", R"({"instruction": 1e99999, "code": "b"})",
              v1::DATA_FORMAT_JSONL),
      hostile("zero bytes", "", std::string(1000, '\0'), v1::DATA_FORMAT_UNSPECIFIED),
      {.what = "a format without a name",
       .method = method,
       .messages = {strange.SerializeAsString()},
       .field = "data_format.format",
       .words = "-1"},
      {.what = "no message at all", .method = method, .messages = {}, .field = "header"},
      {.what = "data before the header",
       .method = method,
       .messages = {chunk.SerializeAsString()},
       .field = "header"},
      {.what = "two headers",
       .method = method,
       .messages = {header.SerializeAsString(), header.SerializeAsString()},
       .field = "header"},
      {.what = "a chunk above its limit",
       .method = method,
       .messages = {header.SerializeAsString(), large.SerializeAsString()},
       .field = "chunk",
       .words = "1048576"},
  };
}

std::vector<Hostile> HostileDenoisers() {
  const auto hostile = [](const std::string& what, const std::string& file) {
    v1::ImportTaskRequest header, chunk;
    header.mutable_header()->set_task("hostile");
    chunk.set_chunk(file);
    return Hostile{.what = what,
                   .method = "TaskService/ImportTask",
                   .messages = {header.SerializeAsString(), chunk.SerializeAsString()}};
  };
  const auto with_header = [](uint64_t length, const std::string& json) {
    std::string file(8, '\0');
    for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(length >> (8 * i));
    return file + json;
  };
  const auto safetensors = [&](const std::string& json) { return with_header(json.size(), json); };
  v1::ImportTaskRequest path, digest;
  path.mutable_header()->set_task("../../outside");
  digest.mutable_header()->set_task("hostile");
  digest.mutable_header()->set_sha256("../../etc/passwd");
  return {
      hostile("an empty denoiser", ""),
      hostile("a header of 16 exabytes", with_header(~uint64_t{0}, "{}")),
      hostile("a header behind the end", with_header(1000, "{}")),
      hostile("a header nested 100,000 deep", safetensors(std::string(100'000, '['))),
      hostile("a tensor behind the end",
              safetensors(R"({"a": {"dtype": "F32", "shape": [1000000, 1000000],
                            "data_offsets": [0, 4000000000000]}})")),
      hostile("a tensor from back to front",
              safetensors(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}})")),
      hostile("a tensor of -1",
              safetensors(R"({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}})")),
      hostile("a pickle",
              "\x80\x02"
              "cos\nsystem\n(S'true'\ntR."),
      {.what = "a path as the name of a task",
       .method = "TaskService/ImportTask",
       .messages = {path.SerializeAsString()},
       .field = "task"},
      {.what = "a path as digest of a file",
       .method = "TaskService/ImportTask",
       .messages = {digest.SerializeAsString()},
       .field = "header.sha256"},
  };
}

std::vector<Hostile> HostileOthers() {
  const auto hostile = [](const std::string& what, const std::string& method, const auto& request,
                          StatusCode code, const std::string& field) {
    return Hostile{.what = what,
                   .method = method,
                   .messages = {request.SerializePartialAsString()},
                   .code = code,
                   .field = field};
  };
  constexpr auto kInvalid = StatusCode::kInvalidArgument;
  v1::ReplayRequest replay;
  replay.set_prompt_id(std::string("dp1_\0\0", 6));
  v1::ScoreRequest score;
  score.set_instruction("add");
  score.mutable_code_ids()->mutable_ids()->Resize(1'000'000, 1);
  v1::DescribeRequest describe;
  describe.mutable_prompt()->set_task("small");
  describe.set_neighbours(kMost);
  v1::EvaluateRequest evaluate;
  for (int i = 0; i < 10'000; ++i) evaluate.add_contenders()->set_name("x");
  v1::ListTasksRequest tasks, forged;
  tasks.set_page_size(kMost);
  forged.set_page_token("' OR 1=1; --");
  v1::ListJobsRequest jobs, other;
  jobs.set_page_size(kMost);
  other.set_page_token("\x01\x02");
  v1::GetJobRequest job, nothing;
  job.set_job_id("../../jobs/1");
  v1::WatchJobRequest watch;
  watch.set_job_id("' OR 1=1; --");
  watch.set_after_event(std::numeric_limits<uint64_t>::max());
  v1::CancelJobRequest cancel;
  v1::DeleteTaskRequest remove;
  remove.set_task("*");
  v1::PromoteTaskRequest promote;
  promote.set_task("small");
  promote.set_version(std::numeric_limits<uint64_t>::max());
  v1::TokenizeRequest tokenize;
  tokenize.set_text(std::string((1 << 20) + 1, 'x'));
  v1::DetokenizeRequest detokenize;
  detokenize.mutable_token_ids()->add_ids(kMost);
  return {
      hostile("an id of zero bytes", "PromptService/Replay", replay, kInvalid, "prompt_id"),
      hostile("code of a million tokens", "CodeService/Score", score, kInvalid, "code_ids"),
      hostile("four billion neighbours", "PromptService/Describe", describe, kInvalid,
              "neighbours"),
      hostile("10,000 contenders without data", "EvaluationService/Evaluate", evaluate, kInvalid,
              "contenders"),
      hostile("a page of four billion tasks", "TaskService/ListTasks", tasks, kInvalid,
              "page_size"),
      hostile("a page of nobody", "TaskService/ListTasks", forged, kInvalid, "page_token"),
      hostile("a page of four billion jobs", "TrainingService/ListJobs", jobs, kInvalid,
              "page_size"),
      hostile("a page of binary", "TrainingService/ListJobs", other, kInvalid, "page_token"),
      hostile("a path as job", "TrainingService/GetJob", job, StatusCode::kNotFound, ""),
      hostile("no job", "TrainingService/GetJob", nothing, kInvalid, "id"),
      hostile("SQL as job", "TrainingService/WatchJob", watch, StatusCode::kNotFound, ""),
      hostile("nothing to cancel", "TrainingService/CancelJob", cancel, kInvalid, "job_id"),
      hostile("a wildcard to delete", "TaskService/DeleteTask", remove, kInvalid, "task"),
      hostile("version 18446744073709551615", "TaskService/PromoteTask", promote,
              StatusCode::kNotFound, ""),
      hostile("a text above its limit", "ModelService/Tokenize", tokenize, kInvalid, "text"),
      hostile("a token that is none", "ModelService/Detokenize", detokenize, kInvalid, "token_ids"),
  };
}

// What is no message of ours, and does not get as far as the services. The codes are gRPC's, whose
// word for bytes that cannot be read is UNIMPLEMENTED.
std::vector<Hostile> HostileBytes() {
  const auto hostile = [](const std::string& what, const std::string& bytes, StatusCode code) {
    return Hostile{
        .what = what, .method = "PromptService/Sample", .messages = {bytes}, .code = code};
  };
  const std::string good = SampleOf("small", 1).SerializeAsString();
  constexpr auto kNoMessage = StatusCode::kUnimplemented;
  v1::SampleRequest bad_text;
  bad_text.set_task("\xff\xfe");
  return {
      hostile("noise", "\xde\xad\xbe\xef", kNoMessage),
      hostile("half a message", good.substr(0, good.size() - 1), kNoMessage),
      hostile("a length of four gigabytes", "\x0a\xff\xff\xff\xff\x0f", kNoMessage),
      hostile("a number without end", std::string(100, '\xff'), kNoMessage),
      // Groups of an unknown field, each within the last.
      hostile("nested 100,000 deep", std::string(100'000, '\x7b'), kNoMessage),
      hostile("bad UTF-8", bad_text.SerializePartialAsString(), kNoMessage),
      hostile("five megabytes", std::string(5 << 20, 'x'), StatusCode::kResourceExhausted),
      {.what = "a method that is not there",
       .method = "PromptService/Drop",
       .messages = {""},
       .code = StatusCode::kUnimplemented},
      {.what = "a service that is not there",
       .method = "PromptService/../TaskService/ListTasks",
       .messages = {""},
       .code = StatusCode::kUnimplemented},
  };
}

class HostileInputTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TemporaryDirectory();
    Config config = TrainingConfig(directory_->path());
    config.data_directories = {DDPT_TEST_DATA "/philox"};
    server_ = new TestServer(config);
    ASSERT_TRUE(server_->Import("small", DenoiserFile(SmallSpec(), 1)).ok());
  }
  static void TearDownTestSuite() {
    delete server_;
    delete directory_;
  }

  // Each gets its answer, and whoever comes after it is served.
  static void ExpectAnswers(const std::vector<Hostile>& list) {
    for (const Hostile& each : list) {
      SCOPED_TRACE(each.what);
      const absl::Status status =
          RawCall(server_->channel(), "/ddpt.v1." + each.method, each.messages).status();
      EXPECT_EQ(status.code(), each.code) << status;
      EXPECT_EQ(FieldOf(status), each.field) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr(each.words));
      EXPECT_LT(status.message().size(), 2000u);
    }
    EXPECT_TRUE(server_->Sample(SampleOf("small", 1)).ok());
    server_->AwaitMetric("ddpt_requests_running", {}, 0);
  }

  static TemporaryDirectory* directory_;
  static TestServer* server_;
};

TemporaryDirectory* HostileInputTest::directory_ = nullptr;
TestServer* HostileInputTest::server_ = nullptr;

TEST_F(HostileInputTest, Samples) { ExpectAnswers(HostileSamples()); }
TEST_F(HostileInputTest, Generations) { ExpectAnswers(HostileGenerations()); }
TEST_F(HostileInputTest, Trainings) { ExpectAnswers(HostileTrainings()); }
TEST_F(HostileInputTest, DataSets) { ExpectAnswers(HostileUploads()); }
TEST_F(HostileInputTest, Denoisers) { ExpectAnswers(HostileDenoisers()); }
TEST_F(HostileInputTest, OtherRequests) { ExpectAnswers(HostileOthers()); }
TEST_F(HostileInputTest, NoMessages) { ExpectAnswers(HostileBytes()); }

// A message within the limit on the wire, and far above it when it has been unpacked.
TEST_F(HostileInputTest, ABombIsNotUnpacked) {
  const absl::Status status = RawCall(server_->channel(), "/ddpt.v1.PromptService/Sample",
                                      {std::string(64 << 20, '\0')}, {.compress = true})
                                  .status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("gzip"));
  EXPECT_TRUE(server_->Sample(SampleOf("small", 1)).ok());
}

}  // namespace
}  // namespace ddpt
