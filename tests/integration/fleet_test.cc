#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/http_get.h"
#include "client/status.h"
#include "core/base/status.h"
#include "core/registry/postgres_database.h"
#include "tests/integration/child_server.h"
#include "tests/integration/model_fixture.h"
#include "tests/integration/server_fixture.h"
#include "tests/integration/training_fixture.h"
#include "tests/postgres_cluster.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::HasSubstr;
using Job = v1::TrainingJob;

// In which servers come to agree.
constexpr std::chrono::seconds kConvergence{2};

// Servers on one database, each with a state directory of its own.
class FleetTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ = PostgresCluster::Get();
    if (cluster_ == nullptr) GTEST_SKIP() << kNoPostgres;
    url_ = cluster_->EmptyDatabase();
  }

  Config ConfigOf(size_t server, const std::string& model) const {
    Config config = TestConfig(directories_[server].path());
    config.model = model;
    config.database = url_;
    config.job_lease = std::chrono::seconds(1);
    return config;
  }
  TestServer& Start(size_t server, const std::string& model = "none") {
    servers_[server] = std::make_unique<TestServer>(ConfigOf(server, model));
    return *servers_[server];
  }
  void StartBoth(const std::string& model = "none") {
    Start(0, model);
    Start(1, model);
  }
  TestServer& a() { return *servers_[0]; }
  TestServer& b() { return *servers_[1]; }
  TrainingClient ClientOf(size_t server) const {
    return TrainingClient(servers_[server]->channel());
  }
  // Blocks until it holds; false after the time.
  template <typename Condition>
  static bool Await(const Condition& condition, milliseconds time = TestServer::kTimeout) {
    const auto deadline = steady_clock::now() + time;
    while (!condition()) {
      if (steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  // A value of the database.
  int64_t Query(std::string_view sql) const {
    const auto database = *PostgresDatabase::Open({.url = url_});
    int64_t value = 0;
    const absl::Status status = database->Transaction([&](PostgresTransaction& transaction) {
      const auto found = transaction.QueryInt(sql);
      value = found.value_or(0);
      return found.status();
    });
    EXPECT_TRUE(status.ok()) << status;
    return value;
  }

  PostgresCluster* cluster_ = nullptr;
  std::string url_;
  std::array<TemporaryDirectory, 2> directories_;
  std::array<std::unique_ptr<TestServer>, 2> servers_;
};

TEST_F(FleetTest, AnImportIsServedByAll) {
  StartBoth();
  ASSERT_TRUE(a().Import("sql", DenoiserFile(SmallSpec(), 1)).ok());
  EXPECT_TRUE(Await([&] { return b().Health("sql") == 1; }, kConvergence));
  const auto there = a().Sample(SampleOf("sql", 7)), here = b().Sample(SampleOf("sql", 7));
  ASSERT_TRUE(here.ok()) << here.status();
  EXPECT_EQ(here->prompts(0).SerializeAsString(), there->prompts(0).SerializeAsString());
}

TEST_F(FleetTest, APromotionIsFollowedByAll) {
  StartBoth();
  for (const uint64_t seed : {1, 2}) {
    ASSERT_TRUE(a().Import("sql", DenoiserFile(SmallSpec(), seed)).ok());
  }
  const auto active = [&](TestServer& server, int version) {
    return server.Metric("ddpt_task_info", {absl::StrCat("version=\"", version, "\"")}) == 1;
  };
  EXPECT_TRUE(Await([&] { return active(b(), 2); }, kConvergence));
  grpc::ClientContext context;
  v1::PromoteTaskRequest request;
  request.set_task("sql");
  request.set_version(1);
  v1::TaskInfo info;
  ASSERT_TRUE(b().tasks().PromoteTask(&context, request, &info).ok());
  EXPECT_TRUE(Await([&] { return active(a(), 1); }, kConvergence));
}

TEST_F(FleetTest, ADeletionIsFollowedByAll) {
  StartBoth();
  ASSERT_TRUE(a().Import("sql", DenoiserFile(SmallSpec(), 1)).ok());
  EXPECT_TRUE(Await([&] { return b().Health("sql") == 1; }, kConvergence));
  grpc::ClientContext context;
  v1::DeleteTaskRequest request;
  request.set_task("sql");
  v1::DeleteTaskResponse response;
  ASSERT_TRUE(a().tasks().DeleteTask(&context, request, &response).ok());
  EXPECT_TRUE(Await([&] { return b().Health("sql") == 2; }, kConvergence));
  EXPECT_TRUE(absl::IsNotFound(b().Sample(SampleOf("sql", 1)).status()));
}

TEST_F(FleetTest, ANewServerHasTheTasksOfTheOthers) {
  Start(0);
  ASSERT_TRUE(a().Import("sql", DenoiserFile(SmallSpec(), 1)).ok());
  Start(1);
  EXPECT_TRUE(b().Sample(SampleOf("sql", 1)).ok());
}

TEST_F(FleetTest, WhileTheDatabaseIsAwayWhatIsLoadedIsServed) {
  Start(0);
  ASSERT_TRUE(a().Import("sql", DenoiserFile(SmallSpec(), 1)).ok());
  ASSERT_TRUE(a().Sample(SampleOf("sql", 1)).ok());
  cluster_->Stop();
  EXPECT_TRUE(a().Sample(SampleOf("sql", 2)).ok());
  const absl::Status status = a().GetTask("sql").status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("database "));
  EXPECT_TRUE(Await([&] { return a().Metric("ddpt_database_reachable") == 0; }));
  EXPECT_TRUE(HttpGet(a().server().metrics_address(), "/readyz", milliseconds(10'000)).ok());
  cluster_->Start();
  EXPECT_TRUE(Await([&] { return a().GetTask("sql").ok(); }));
  EXPECT_TRUE(Await([&] { return a().Metric("ddpt_database_reachable") == 1; }));
}

TEST_F(FleetTest, AServerDoesNotStartWithoutItsDatabase) {
  Config config = TestConfig(directories_[0].path());
  config.database = "postgresql://u:secret@127.0.0.1:1/d";
  const absl::Status status = Server::Create(config).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("127.0.0.1:1/d"));
  EXPECT_THAT(std::string(status.message()), testing::Not(HasSubstr("secret")));
}

TEST_F(FleetTest, EachJobRunsOnce) {
  StartBoth(RandomModel());
  std::vector<std::string> ids;
  for (const char* name : {"1", "2", "3", "4"}) {
    ids.push_back(ClientOf(ids.size() % 2).Train(SmallTraining(name))->job_id());
  }
  for (const std::string& id : ids) {
    const auto job = ClientOf(0).Await(id);
    ASSERT_TRUE(job.ok()) << job.status();
    EXPECT_EQ(job->state(), Job::STATE_SUCCEEDED) << job->error();
    EXPECT_EQ(job->resumes(), 0u);
  }
  EXPECT_EQ(a().Metric("ddpt_train_steps_total") + b().Metric("ddpt_train_steps_total"), 4 * 12);
  const std::vector<std::string> queued = {"state=\"queued\""};
  EXPECT_TRUE(Await([&] {
    return a().Metric("ddpt_train_jobs", queued) + b().Metric("ddpt_train_jobs", queued) == 0;
  }));
}

TEST_F(FleetTest, AKilledServersJobGoesOnElsewhereToTheSameBytes) {
  std::vector<std::string> arguments = ChildArguments(directories_[0].path(), RandomModel());
  arguments.insert(arguments.end(), {"--database", url_, "--job-lease", "1s"});
  ChildServer child(arguments);
  const std::string address = AwaitEndpoints(directories_[0].path())["grpc"];
  TrainingClient client(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  const auto job = client.Train(MediumTraining());
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_TRUE(client.Watch(job->job_id(), 0, Reached(20)).ok());
  Start(1, RandomModel());
  const auto seen = ClientOf(1).Watch(job->job_id(), 0, Reached(20));
  ASSERT_TRUE(seen.ok()) << seen.status();
  child.Signal(SIGKILL);
  EXPECT_EQ(child.Wait(), -SIGKILL);
  const auto ended = ClientOf(1).Await(job->job_id());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->state(), Job::STATE_SUCCEEDED) << ended->error();
  EXPECT_EQ(ended->denoiser_digest(), UndisturbedDigest());
}

TEST_F(FleetTest, ADrainedServersJobGoesOnElsewhere) {
  Start(0, RandomModel());
  const auto job = ClientOf(0).Train(MediumTraining());
  ASSERT_TRUE(ClientOf(0).Watch(job->job_id(), 0, Reached(20)).ok());
  Start(1, RandomModel());
  a().server().Shutdown(steady_clock::now() + TestServer::kTimeout);
  const auto ended = ClientOf(1).Await(job->job_id());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->state(), Job::STATE_SUCCEEDED) << ended->error();
  EXPECT_EQ(ended->denoiser_digest(), UndisturbedDigest());
}

TEST_F(FleetTest, AJobIsWatchedAndCancelledFromAnotherServer) {
  Start(0, RandomModel());
  const auto job = ClientOf(0).Train(EndlessTraining("op"));
  ASSERT_TRUE(ClientOf(0).Watch(job->job_id(), 0, Reached(1)).ok());
  Start(1, RandomModel());
  const auto events = ClientOf(1).Watch(job->job_id(), 0, Reached(1));
  ASSERT_TRUE(events.ok()) << events.status();
  EXPECT_TRUE(ClientOf(1).Watch(job->job_id(), events->back().event(), Reached(1)).ok());
  ASSERT_TRUE(ClientOf(1).Cancel(job->job_id()).ok());
  EXPECT_EQ(ClientOf(1).Await(job->job_id())->state(), Job::STATE_CANCELLED);
  EXPECT_EQ(ClientOf(0).Get(job->job_id())->state(), Job::STATE_CANCELLED);
}

TEST_F(FleetTest, AJobOutlivesARestartOfTheDatabase) {
  Start(0, RandomModel());
  const auto job = ClientOf(0).Train(MediumTraining());
  ASSERT_TRUE(ClientOf(0).Watch(job->job_id(), 0, Reached(20)).ok());
  cluster_->Stop();
  a().AwaitMetric("ddpt_database_reachable", {}, 0);
  cluster_->Start();
  absl::StatusOr<Job> ended;
  EXPECT_TRUE(Await([&] {
    ended = ClientOf(0).Await(job->job_id());
    return ended.ok();
  }));
  EXPECT_EQ(ended->state(), Job::STATE_SUCCEEDED) << ended->error();
  EXPECT_EQ(ended->denoiser_digest(), UndisturbedDigest());
}

TEST_F(FleetTest, AServerWhoseJobWasTakenOverStopsIt) {
  Start(0, RandomModel());
  const auto job = ClientOf(0).Train(EndlessTraining("op"));
  ASSERT_TRUE(ClientOf(0).Watch(job->job_id(), 0, Reached(1)).ok());
  const int64_t step = Query(
      "UPDATE jobs SET owner = 'another', lease = lease + 1,"
      " lease_end = ddpt_now() + 3600 * 1000000::BIGINT RETURNING step");
  a().AwaitMetric("ddpt_train_jobs", {"state=\"running\""}, 0);
  EXPECT_EQ(Query("SELECT step FROM jobs"), step);
  EXPECT_EQ(Query("SELECT state FROM jobs"), 1);
}

}  // namespace
}  // namespace ddpt
