#include <google/protobuf/descriptor.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ddpt/v1/code.grpc.pb.h"
#include "ddpt/v1/evaluation.grpc.pb.h"
#include "ddpt/v1/model.grpc.pb.h"
#include "ddpt/v1/training.grpc.pb.h"
#include "tests/integration/message_mutator.h"
#include "tests/integration/model_fixture.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/server_fixture.h"
#include "tests/integration/training_fixture.h"

namespace ddpt {
namespace {

using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// All that a server offers; a new method of theirs is called without further ado.
constexpr const char* kServices[] = {
    "ddpt.v1.PromptService",     "ddpt.v1.TaskService",
    "ddpt.v1.CodeService",       "ddpt.v1.ModelService",
    "ddpt.v1.EvaluationService", "ddpt.v1.TrainingService",
    "grpc.health.v1.Health",     "grpc.reflection.v1alpha.ServerReflection"};
constexpr size_t kCallers = 4;
constexpr uint64_t kUpkeep = 512;        // rounds after which the server is looked at
constexpr uint64_t kFewestRounds = 500;  // also where the time is up before
constexpr uint64_t kMostAnswers = 20;
constexpr char kKept[] = "kept";  // a task that no mutation is about

uint64_t Setting(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

std::unique_ptr<Message> Copy(const Message& message) {
  std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  return copy;
}

std::unique_ptr<Message> Empty(const google::protobuf::Descriptor& type) {
  return std::unique_ptr<Message>(MessageFactory::generated_factory()->GetPrototype(&type)->New());
}

// What a good caller sends in one call: one message, or several where the call is a stream.
using Example = std::vector<std::unique_ptr<Message>>;

// Codes that say that the server is to blame, or do not say anything.
bool IsFlaw(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss || code == absl::StatusCode::kUnavailable;
}

// A server with a model, and calls with mutated messages of every method of it.
// DDPT_MUTATION_SECONDS says how long (15), DDPT_MUTATION_SEED which (1): a round's messages follow
// from the seed and the number of the round alone.
class MutationTest : public testing::Test {
 protected:
  MutationTest() : server_(TrainingConfig(directory_.path())), training_(server_.channel()) {
    for (const char* name : kServices) {
      const auto* service =
          google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
      EXPECT_NE(service, nullptr) << name;
      for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
        methods_.push_back(service->method(i));
      }
    }
    Restore();
    AddExamples();
  }

  // Imports the tasks again that a call may have deleted, and ends what would train for hours.
  void Restore();
  void AddExamples();
  template <typename... Messages>
  void Add(const Messages&... messages) {
    Example example;
    (example.push_back(Copy(messages)), ...);
    examples_[example[0]->GetDescriptor()].push_back(std::move(example));
  }

  // The messages of a round, on the wire.
  std::vector<std::string> MessagesOf(const MethodDescriptor& method, MessageMutator& mutator);
  void Round(uint64_t seed, uint64_t number);
  // Good requests get good answers.
  void ExpectWell();

  const TemporaryDirectory directory_;
  TestServer server_;
  TrainingClient training_;
  std::vector<const MethodDescriptor*> methods_;
  std::map<const google::protobuf::Descriptor*, std::vector<Example>> examples_;
  std::mutex mutex_;
  // Guarded by mutex_:
  std::map<std::string, std::map<absl::StatusCode, uint64_t>> answers_;  // by method
};

void MutationTest::Restore() {
  DenoiserSpec conditional = SmallSpec();
  conditional.condition_width = 16;
  for (const auto& [task, spec] :
       {std::pair(kKept, SmallSpec()), {"small", SmallSpec()}, {"conditional", conditional}}) {
    auto imported = server_.Import(task, DenoiserFile(spec, 1));
    // A call that its caller gave up may delete the task at the same time.
    for (int again = 0; absl::IsNotFound(imported.status()) && again < 10; ++again) {
      imported = server_.Import(task, DenoiserFile(spec, 1));
    }
    ASSERT_TRUE(imported.ok()) << task << ": " << imported.status();
  }
  const auto jobs = training_.List("", 200, "");
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  for (const v1::TrainingJob& job : jobs->jobs()) {
    const bool open = job.state() == v1::TrainingJob::STATE_QUEUED ||
                      job.state() == v1::TrainingJob::STATE_RUNNING;
    if (open) static_cast<void>(training_.Cancel(job.job_id()));
  }
}

void MutationTest::AddExamples() {
  const auto drawn = server_.Sample(SampleOf("small", 1));
  ASSERT_TRUE(drawn.ok()) << drawn.status();
  const v1::Prompt& prompt = drawn->prompts(0);
  const auto job = training_.Train(SmallTraining("first"));
  ASSERT_TRUE(job.ok()) << job.status();
  const auto dataset = training_.Upload({}, {SmallDataFile()});
  ASSERT_TRUE(dataset.ok()) << dataset.status();

  v1::SampleRequest sample = SampleOf("small", 1, 2);
  sample.mutable_sampling()->set_steps(10);
  Add(sample);
  *sample.mutable_initial_noise() = prompt.embedding();
  Add(sample);
  sample = SampleOf("conditional", 1);
  sample.set_instruction("add");
  sample.mutable_sampling()->set_guidance_scale(2);
  sample.mutable_sampling()->set_best_of(1);
  Add(sample);
  v1::ReplayRequest replay;
  replay.set_prompt_id(prompt.prompt_id());
  Add(replay);
  v1::DescribeRequest describe;
  describe.mutable_prompt()->set_prompt_id(prompt.prompt_id());
  describe.set_neighbours(3);
  Add(describe);

  v1::GenerateRequest generate;
  generate.set_instruction("add");
  generate.mutable_decoding()->set_max_new_tokens(8);
  generate.mutable_decoding()->set_temperature(0.7);
  generate.mutable_decoding()->set_n(2);
  generate.mutable_decoding()->add_stop("x");
  generate.mutable_prompt()->set_task("small");
  Add(generate);
  generate.mutable_instruction_ids()->add_ids(5);
  generate.mutable_decoding()->clear_temperature();
  generate.mutable_decoding()->set_num_beams(2);
  *generate.mutable_prompt()->mutable_embedding() = prompt.embedding();
  Add(generate);
  v1::ScoreRequest score;
  score.set_instruction("add");
  score.set_code("x + 1");
  score.mutable_prompt()->set_text("write");
  score.add_alternatives()->set_task("small");
  score.add_alternatives()->set_prompt_id(prompt.prompt_id());
  Add(score);

  v1::EvaluateRequest evaluate;
  *evaluate.mutable_examples() = SmallTraining("").examples();
  evaluate.add_contenders()->set_name("none");
  evaluate.add_contenders()->set_name("task");
  evaluate.mutable_contenders(1)->mutable_prompt()->set_task("small");
  evaluate.mutable_decoding()->set_max_new_tokens(4);
  evaluate.set_bootstrap(10);
  Add(evaluate);
  evaluate.set_dataset_digest(dataset->digest());
  evaluate.add_metrics("nll");
  Add(evaluate);

  v1::TokenizeRequest tokenize;
  tokenize.set_text("def größe(x):");
  Add(tokenize);
  v1::DetokenizeRequest detokenize;
  detokenize.mutable_token_ids()->add_ids(7);
  Add(detokenize);

  v1::ListTasksRequest list;
  list.set_page_size(2);
  Add(list);
  v1::GetTaskRequest get;
  get.set_task("small");
  Add(get);
  v1::PromoteTaskRequest promote;
  promote.set_task("small");
  promote.set_version(1);
  Add(promote);
  v1::RollbackTaskRequest rollback;
  rollback.set_task("small");
  Add(rollback);
  v1::DeleteTaskRequest remove;
  remove.set_task("small");
  Add(remove);
  const std::string file = DenoiserFile(SmallSpec(), 2);
  v1::ImportTaskRequest header, first, second;
  header.mutable_header()->set_task("imported");
  first.set_chunk(file.substr(0, file.size() / 2));
  second.set_chunk(file.substr(file.size() / 2));
  Add(header, first, second);

  v1::TrainRequest train = SmallTraining("mutated");
  train.mutable_options()->set_steps(2);
  Add(train);
  MakePrefix(train, v1::PREFIX_PLACE_ALL);
  train.set_operation_id("mutated-prefix");
  Add(train);
  train = SmallTraining("mutated-bbt");
  train.mutable_options()->set_steps(2);
  MakeBlackBox(train);
  Add(train);
  train = SmallTraining("mutated-start");
  train.set_dataset_digest(dataset->digest());
  train.mutable_options()->set_steps(2);
  *train.mutable_start_prompt() = prompt.embedding();
  train.set_path("/etc/passwd");
  Add(train);
  v1::DataChunk format, data;
  format.mutable_header()->set_format(v1::DATA_FORMAT_JSONL);
  data.set_chunk(SmallDataFile());
  Add(format, data);
  v1::GetJobRequest find;
  find.set_operation_id("first");
  Add(find);
  v1::ListJobsRequest jobs;
  jobs.set_page_size(2);
  Add(jobs);
  v1::WatchJobRequest watch;
  watch.set_job_id(job->job_id());
  Add(watch);
  v1::CancelJobRequest cancel;
  cancel.set_job_id(job->job_id());
  Add(cancel);
}

std::vector<std::string> MutationTest::MessagesOf(const MethodDescriptor& method,
                                                  MessageMutator& mutator) {
  Example messages;
  const auto found = examples_.find(method.input_type());
  if (found == examples_.end()) {
    messages.push_back(Empty(*method.input_type()));
  } else {
    for (const auto& each : found->second[mutator.Below(found->second.size())]) {
      messages.push_back(Copy(*each));
    }
  }
  for (uint64_t i = 1 + mutator.Below(4); i > 0; --i) {
    mutator.Mutate(*messages[mutator.Below(messages.size())]);
  }
  std::vector<std::string> bytes;
  for (const auto& message : messages) {
    bytes.push_back(message->SerializePartialAsString());
    while (mutator.OneIn(5)) mutator.MutateBytes(bytes.back());
    if (!method.client_streaming()) continue;
    if (mutator.OneIn(8)) bytes.push_back(bytes[mutator.Below(bytes.size())]);
    if (mutator.OneIn(8)) bytes.pop_back();
  }
  return bytes;
}

void MutationTest::Round(uint64_t seed, uint64_t number) {
  MessageMutator mutator(seed * 1'000'000'007 + number);
  const MethodDescriptor& method = *methods_[mutator.Below(methods_.size())];
  const std::vector<std::string> messages = MessagesOf(method, mutator);
  RawCallOptions options;
  options.timeout = milliseconds(mutator.OneIn(4) ? mutator.Below(50) : 1000);
  options.most_answers = mutator.OneIn(4) ? mutator.Below(3) : kMostAnswers;
  const std::string name = absl::StrCat("/", method.service()->full_name(), "/", method.name());
  const absl::Status status = RawCall(server_.channel(), name, messages, options).status();
  // What is no message is gRPC's to refuse, which it does as INTERNAL.
  const std::unique_ptr<Message> parsed = Empty(*method.input_type());
  const bool are_messages = std::all_of(messages.begin(), messages.end(), [&](const auto& bytes) {
    return parsed->ParseFromString(bytes);
  });
  if (are_messages && IsFlaw(status.code())) {
    std::string hex;
    for (const std::string& bytes : messages) {
      absl::StrAppend(&hex, " ", absl::BytesToHexString(bytes.substr(0, 2000)));
    }
    ADD_FAILURE() << "round " << number << ", " << name << ": " << status << "\n" << hex;
  }
  std::lock_guard lock(mutex_);
  ++answers_[name][status.code()];
}

void MutationTest::ExpectWell() {
  const auto drawn = server_.Sample(SampleOf(kKept, 1));
  EXPECT_TRUE(drawn.ok()) << drawn.status();
  v1::ScoreRequest request;
  request.set_instruction("add");
  request.set_code("x + 1");
  request.mutable_prompt()->set_task(kKept);
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  v1::ScoreResponse response;
  const auto code = v1::CodeService::NewStub(server_.channel());
  const grpc::Status status = code->Score(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(MutationTest, NoMessageHarmsTheServer) {
  google::protobuf::SetLogHandler(nullptr);  // it tells of each text that is none
  const uint64_t seed = Setting("DDPT_MUTATION_SEED", 1);
  const auto end = steady_clock::now() + std::chrono::seconds(Setting("DDPT_MUTATION_SECONDS", 15));
  std::atomic<uint64_t> rounds{0};
  std::vector<std::thread> callers;
  for (size_t i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      while ((steady_clock::now() < end || rounds < kFewestRounds) && !HasFailure()) {
        const uint64_t number = rounds++;
        if (number % kUpkeep == 0) {
          Restore();
          ExpectWell();
        }
        Round(seed, number);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  Restore();
  ExpectWell();
  server_.AwaitMetric("ddpt_requests_running", {}, 0);
  server_.AwaitMetric("ddpt_requests_waiting", {}, 0);
  server_.AwaitMetric("ddpt_train_jobs", {"state=\"running\""}, 0);

  std::set<std::string> served;  // at least once, so that not all was refused at the door
  for (const auto& [method, codes] : answers_) {
    std::string line = method;
    for (const auto& [code, count] : codes) {
      absl::StrAppend(&line, " ", absl::StatusCodeToString(code), " ", count);
    }
    std::cout << line << "\n";
    if (codes.count(absl::StatusCode::kOk) > 0) served.insert(method);
  }
  EXPECT_EQ(answers_.size(), methods_.size());
  std::cout << rounds << " calls, " << served.size() << " of " << methods_.size()
            << " methods also served\n";
}

TEST(MessageMutatorTest, TheSameSeedMakesTheSameChanges) {
  v1::TrainRequest one = SmallTraining("a"), two = one;
  MessageMutator first(7), second(7);
  for (int i = 0; i < 100; ++i) {
    first.Mutate(one);
    second.Mutate(two);
  }
  EXPECT_EQ(one.SerializePartialAsString(), two.SerializePartialAsString());
  EXPECT_NE(one.SerializePartialAsString(), SmallTraining("a").SerializePartialAsString());
}

TEST(MessageMutatorTest, EveryFieldIsReached) {
  std::set<std::string> reached;
  const v1::SamplingOptions none;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    v1::SamplingOptions message;
    MessageMutator(seed).Mutate(message);
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    for (const auto* field : fields) reached.insert(field->name());
  }
  EXPECT_EQ(static_cast<int>(reached.size()), none.GetDescriptor()->field_count());
}

}  // namespace
}  // namespace ddpt
