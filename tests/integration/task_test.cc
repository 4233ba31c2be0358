#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "client/status.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {
namespace {

using testing::HasSubstr;

class TaskTest : public testing::Test {
 protected:
  void SetUp() override { Restart(); }

  void Restart(const std::string& sampling_dtype = "float32") {
    server_.reset();
    Config config = TestConfig(directory_.path());
    config.sampling_dtype = sampling_dtype;
    server_ = std::make_unique<TestServer>(config);
  }

  absl::StatusOr<v1::TaskInfo> Promote(uint64_t version, std::optional<uint64_t> expected) {
    grpc::ClientContext context;
    v1::PromoteTaskRequest request;
    request.set_task("sql");
    request.set_version(version);
    if (expected) request.set_expected_version(*expected);
    v1::TaskInfo info;
    const grpc::Status status = server_->tasks().PromoteTask(&context, request, &info);
    if (!status.ok()) return FromGrpcStatus(status);
    return info;
  }

  absl::Status Delete(const std::string& task) {
    grpc::ClientContext context;
    v1::DeleteTaskRequest request;
    request.set_task(task);
    v1::DeleteTaskResponse response;
    return FromGrpcStatus(server_->tasks().DeleteTask(&context, request, &response));
  }

  v1::ListTasksResponse List(uint32_t page_size, const std::string& token) {
    grpc::ClientContext context;
    v1::ListTasksRequest request;
    request.set_page_size(page_size);
    request.set_page_token(token);
    v1::ListTasksResponse response;
    EXPECT_TRUE(server_->tasks().ListTasks(&context, request, &response).ok());
    return response;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<TestServer> server_;
};

TEST_F(TaskTest, ImportTellsAllAboutTheVersion) {
  const std::string file = DenoiserFile(SmallSpec(), 1);
  v1::ImportTaskRequest::Header header;
  header.set_task("sql");
  header.set_sha256(Sha256Hex(file));
  const auto info = server_->Import(header, file);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->active_version(), 1u);
  ASSERT_EQ(info->versions_size(), 1);
  const v1::TaskVersion& version = info->versions(0);
  EXPECT_EQ(version.denoiser_digest(), header.sha256());
  EXPECT_EQ(version.reading(), v1::READING_X0);
  EXPECT_EQ(version.context_length(), 4u);
  EXPECT_EQ(version.width(), 16u);
  EXPECT_EQ(version.latent_width(), 16u);
  EXPECT_EQ(version.train_steps(), 100u);
  EXPECT_EQ(version.method(), "random");
  EXPECT_EQ(version.size_bytes(), file.size());
}

TEST_F(TaskTest, SameFileIsTheSameVersion) {
  const std::string file = DenoiserFile(SmallSpec(), 1);
  ASSERT_TRUE(server_->Import("sql", file).ok());
  EXPECT_EQ(server_->Import("sql", file)->versions_size(), 1);
}

TEST_F(TaskTest, ImportWithoutPromotionChangesNothing) {
  ASSERT_TRUE(server_->Import("sql", DenoiserFile(SmallSpec(), 1)).ok());
  v1::ImportTaskRequest::Header header;
  header.set_task("sql");
  header.set_promote(v1::PROMOTE_POLICY_NEVER);
  const auto info = server_->Import(header, DenoiserFile(SmallSpec(), 2));
  EXPECT_EQ(info->active_version(), 1u);
  EXPECT_EQ(info->versions_size(), 2);
  auto request = SampleOf("sql", 1);
  request.set_version(2);
  EXPECT_EQ(server_->Sample(request)->receipt().version(), 2u);
}

TEST_F(TaskTest, PromoteChecksTheExpectedVersion) {
  ASSERT_TRUE(server_->Import("sql", DenoiserFile(SmallSpec(), 1)).ok());
  ASSERT_TRUE(server_->Import("sql", DenoiserFile(SmallSpec(), 2)).ok());
  EXPECT_TRUE(absl::IsAborted(Promote(1, 1).status()));
  const auto promoted = Promote(1, 2);
  ASSERT_TRUE(promoted.ok()) << promoted.status();
  EXPECT_EQ(promoted->active_version(), 1u);
  EXPECT_EQ(server_->Sample(SampleOf("sql", 1))->receipt().version(), 1u);
}

TEST_F(TaskTest, RollbackGoesBack) {
  ASSERT_TRUE(server_->Import("sql", DenoiserFile(SmallSpec(), 1)).ok());
  ASSERT_TRUE(server_->Import("sql", DenoiserFile(SmallSpec(), 2)).ok());
  grpc::ClientContext context;
  v1::RollbackTaskRequest request;
  request.set_task("sql");
  v1::TaskInfo info;
  ASSERT_TRUE(server_->tasks().RollbackTask(&context, request, &info).ok());
  EXPECT_EQ(info.active_version(), 1u);
  EXPECT_EQ(server_->Sample(SampleOf("sql", 1))->receipt().version(), 1u);
}

TEST_F(TaskTest, ListGoesPageByPage) {
  for (const char* task : {"a", "b", "c"}) {
    ASSERT_TRUE(server_->Import(task, DenoiserFile(SmallSpec(), 1)).ok());
  }
  const auto first = List(2, "");
  ASSERT_EQ(first.tasks_size(), 2);
  EXPECT_EQ(first.tasks(1).task(), "b");
  const auto second = List(2, first.next_page_token());
  ASSERT_EQ(second.tasks_size(), 1);
  EXPECT_EQ(second.tasks(0).task(), "c");
  EXPECT_EQ(second.next_page_token(), "");
}

TEST_F(TaskTest, APageThatIsTooLongEndsEarlier) {
  Config config = TestConfig(directory_.path());
  config.max_message_bytes = 64 << 10;
  server_.reset();
  server_ = std::make_unique<TestServer>(config);
  const std::string file = DenoiserFile(SmallSpec(), 1);
  constexpr int kTasks = 400;
  const std::string rest(50, 'x');
  for (int i = 0; i < kTasks; ++i) {
    ASSERT_TRUE(server_->Import(absl::StrCat("t", i, "-", rest), file).ok());
  }
  std::set<std::string> names;
  std::string token;
  int pages = 0, told = 0;
  do {
    const auto page = List(1000, token);
    told += page.tasks_size();
    for (const auto& task : page.tasks()) names.insert(task.task());
    token = page.next_page_token();
    ++pages;
  } while (!token.empty() && pages < kTasks);
  EXPECT_EQ(names.size(), kTasks);
  EXPECT_EQ(told, kTasks);
  EXPECT_GT(pages, 1);
  EXPECT_LT(pages, 10);
}

TEST_F(TaskTest, UnknownTaskIsNotFoundEverywhere) {
  EXPECT_TRUE(absl::IsNotFound(server_->GetTask("sql").status()));
  EXPECT_TRUE(absl::IsNotFound(Promote(1, std::nullopt).status()));
  EXPECT_TRUE(absl::IsNotFound(Delete("sql")));
}

TEST_F(TaskTest, RestartKeepsTasksAndPrompts) {
  ASSERT_TRUE(server_->Import("sql", DenoiserFile(SmallSpec(), 1)).ok());
  const auto before = server_->Sample(SampleOf("sql", 9));
  Restart();
  EXPECT_EQ(server_->Health("sql"), 1);
  v1::ReplayRequest replay;
  replay.set_prompt_id(before->prompts(0).prompt_id());
  replay.set_require_exact(true);
  const auto after = server_->Replay(replay);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->prompts(0).embedding().data(), before->prompts(0).embedding().data());
}

TEST_F(TaskTest, AnotherArithmeticReplaysInexactlyOrNotAtAll) {
  ASSERT_TRUE(server_->Import("sql", DenoiserFile(SmallSpec(), 1)).ok());
  Restart("bfloat16");
  const auto sampled = server_->Sample(SampleOf("sql", 9));
  ASSERT_TRUE(sampled.ok()) << sampled.status();
  EXPECT_EQ(sampled->receipt().arithmetic(), "bf16-cpu");
  v1::ReplayRequest replay;
  replay.set_prompt_id(sampled->prompts(0).prompt_id());
  EXPECT_TRUE(server_->Replay(replay)->prompts(0).exact_replay());
  Restart("float32");
  const auto other = server_->Replay(replay);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_FALSE(other->prompts(0).exact_replay());
  EXPECT_EQ(other->receipt().arithmetic(), "fp32-cpu");
  replay.set_require_exact(true);
  const absl::Status refused = server_->Replay(replay).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(refused.message(), HasSubstr("bf16-cpu"));
}

TEST_F(TaskTest, HealthOfTasksFollowsThem) {
  EXPECT_EQ(server_->Health("sql"), -1);
  ASSERT_TRUE(server_->Import("sql", DenoiserFile(SmallSpec(), 1)).ok());
  EXPECT_EQ(server_->Health("sql"), 1);
  ASSERT_TRUE(Delete("sql").ok());
  EXPECT_EQ(server_->Health("sql"), 2);
  EXPECT_EQ(server_->Health(""), 1);
}

TEST_F(TaskTest, SeriesGoWithTheirTask) {
  ASSERT_TRUE(server_->Import("sql", DenoiserFile(SmallSpec(), 1)).ok());
  ASSERT_TRUE(server_->Sample(SampleOf("sql", 9)).ok());
  EXPECT_EQ(server_->Metric("ddpt_task_requests_total", {"task=\"sql\"", "outcome=\"ok\""}), 1);
  EXPECT_EQ(server_->Metric("ddpt_task_info", {"task=\"sql\"", "version=\"1\""}), 1);
  ASSERT_TRUE(Delete("sql").ok());
  EXPECT_EQ(server_->Metric("ddpt_task_info", {"task=\"sql\""}), 0);
}

TEST_F(TaskTest, TasksOfTheSettingsDoNotUndoWhatWasPromotedSince) {
  const std::string path = directory_.path() + "/given.safetensors";
  ASSERT_TRUE(WriteFileAtomic(path, DenoiserFile(SmallSpec(), 1)).ok());
  Config config = TestConfig(directory_.path());
  config.import_tasks = {{"given", path}};
  server_.reset();
  server_ = std::make_unique<TestServer>(config);
  EXPECT_EQ(server_->GetTask("given")->active_version(), 1u);
  ASSERT_TRUE(server_->Import("given", DenoiserFile(SmallSpec(), 2)).ok());
  server_.reset();
  server_ = std::make_unique<TestServer>(config);
  EXPECT_EQ(server_->GetTask("given")->active_version(), 2u);
  EXPECT_EQ(server_->GetTask("given")->versions_size(), 2);
}

// A state directory on a file system of 1 MiB.
TEST(FullDiskTest, ImportIsRefusedAndNothingIsHalfDone) {
  TemporaryDirectory directory;
  if (geteuid() != 0 || mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "needs the right to mount";
  }
  {
    TestServer server(TestConfig(directory.path()));
    ASSERT_TRUE(server.Import("small", DenoiserFile(SmallSpec(), 1)).ok());
    DenoiserSpec large = SmallSpec();
    large.width = 4096;
    const auto status = server.Import("large", DenoiserFile(large, 1)).status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_TRUE(absl::IsNotFound(server.GetTask("large").status()));
    EXPECT_TRUE(server.Sample(SampleOf("small", 1)).ok());
    EXPECT_TRUE(server.Import("small", DenoiserFile(SmallSpec(), 2)).ok());
  }
  EXPECT_EQ(umount2(directory.path().c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace ddpt
