#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <random>
#include <thread>

#include "core/base/file.h"
#include "core/base/status.h"
#include "core/registry/sqlite_job_store.h"
#include "core/tuning/dataset.h"
#include "server/training_job.h"
#include "tests/integration/child_server.h"
#include "tests/integration/model_fixture.h"
#include "tests/integration/server_fixture.h"
#include "tests/integration/training_fixture.h"

namespace ddpt {
namespace {

using std::chrono::steady_clock;
using Job = v1::TrainingJob;

class TrainingRestartTest : public testing::Test {
 protected:
  TrainingRestartTest() { Restart(); }

  void Restart() {
    client_.reset();
    server_.reset();
    server_ = std::make_unique<TestServer>(TrainingConfig(directory_.path()));
    client_ = std::make_unique<TrainingClient>(server_->channel());
  }

  TemporaryDirectory directory_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<TrainingClient> client_;
};

TEST_F(TrainingRestartTest, OperationsAndEventsOutliveTheServer) {
  const auto job = client_->TrainToTheEnd(SmallTraining("op"));
  const auto events = client_->Watch(job->job_id());
  Restart();
  EXPECT_EQ(client_->Train(SmallTraining("op"))->job_id(), job->job_id());
  v1::TrainRequest other = SmallTraining("op");
  other.set_task("other");
  EXPECT_TRUE(absl::IsAlreadyExists(client_->Train(other).status()));
  const auto again = client_->Watch(job->job_id(), 3);
  ASSERT_TRUE(again.ok()) << again.status();
  ASSERT_EQ(again->size(), events->size() - 3);
  EXPECT_EQ(again->back().SerializeAsString(), events->back().SerializeAsString());
}

TEST_F(TrainingRestartTest, DataSetsOutliveTheServer) {
  const auto dataset = client_->Upload({}, {SmallDataFile()});
  Restart();
  v1::TrainRequest request = SmallTraining("op");
  request.set_dataset_digest(dataset->digest());
  const auto job = client_->TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), Job::STATE_SUCCEEDED) << job->error();
}

TEST_F(TrainingRestartTest, ADrainedJobGoesOnToTheSameBytes) {
  const auto job = client_->Train(MediumTraining());
  const auto before = client_->Watch(job->job_id(), 0, Reached(20));
  ASSERT_TRUE(before.ok()) << before.status();
  server_->server().Shutdown(steady_clock::now() + TestServer::kTimeout);
  Restart();
  const auto ended = client_->Await(job->job_id());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->state(), Job::STATE_SUCCEEDED) << ended->error();
  EXPECT_EQ(ended->resumes(), 1u);
  EXPECT_EQ(server_->Metric("ddpt_train_resumes_total"), 1);
  EXPECT_EQ(ended->denoiser_digest(), UndisturbedDigest());
  const uint64_t last = before->back().event();
  EXPECT_EQ(client_->Watch(job->job_id(), last)->front().event(), last + 1);
}

TEST_F(TrainingRestartTest, AJobWhoseCheckpointIsDamagedComesToTheSameBytes) {
  const auto job = client_->Train(MediumTraining());
  ASSERT_TRUE(client_->Watch(job->job_id(), 0, Reached(20)).ok());
  server_->server().Shutdown(steady_clock::now() + TestServer::kTimeout);
  const std::string file = directory_.path() + "/jobs/" + job->job_id() + ".checkpoint";
  std::string state = ReadFile(file, 1 << 30).value();
  state[state.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomic(file, state).ok());
  Restart();
  const auto ended = client_->Await(job->job_id());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->state(), Job::STATE_SUCCEEDED) << ended->error();
  EXPECT_EQ(ended->denoiser_digest(), UndisturbedDigest());
}

TEST_F(TrainingRestartTest, ADrainedBlackBoxJobGoesOnToTheSameBytes) {
  v1::TrainRequest request = MediumTraining();
  MakeBlackBox(request);
  const auto job = client_->Train(request);
  ASSERT_TRUE(client_->Watch(job->job_id(), 0, Reached(20)).ok());
  server_->server().Shutdown(steady_clock::now() + TestServer::kTimeout);
  Restart();
  const auto ended = client_->Await(job->job_id());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->state(), Job::STATE_SUCCEEDED) << ended->error();
  EXPECT_EQ(ended->resumes(), 1u);
  request.set_operation_id("undisturbed");
  EXPECT_EQ(client_->TrainToTheEnd(request)->denoiser_digest(), ended->denoiser_digest());
}

TEST_F(TrainingRestartTest, TheDrainOfAJobTellsItsWatchers) {
  const auto job = client_->Train(EndlessTraining("op"));
  absl::StatusOr<std::vector<v1::JobEvent>> events;
  std::jthread watcher([&] { events = client_->Watch(job->job_id()); });
  ASSERT_TRUE(client_->Watch(job->job_id(), 0, Reached(1)).ok());
  server_->server().Shutdown(steady_clock::now() + TestServer::kTimeout);
  watcher.join();
  EXPECT_TRUE(absl::IsUnavailable(events.status())) << events.status();
}

TEST_F(TrainingRestartTest, AQueuedJobIsStillQueuedAfterTheRestart) {
  const auto running = client_->Train(EndlessTraining("running"));
  const auto queued = client_->Train(SmallTraining("queued"));
  ASSERT_TRUE(client_->Watch(running->job_id(), 0, Reached(1)).ok());
  Restart();
  EXPECT_EQ(client_->Get(queued->job_id())->state(), Job::STATE_QUEUED);
  ASSERT_TRUE(client_->Cancel(running->job_id()).ok());
  const auto ended = client_->Await(queued->job_id());
  EXPECT_EQ(ended->state(), Job::STATE_SUCCEEDED) << ended->error();
  EXPECT_EQ(ended->resumes(), 0u);
}

TEST_F(TrainingRestartTest, AJobThatWasAcceptedUnderAnotherSplitFailsAndSaysWhy) {
  server_->server().Shutdown(steady_clock::now() + TestServer::kTimeout);
  {
    const auto jobs = SqliteJobStore::Open({.state_directory = directory_.path()});
    ASSERT_TRUE(jobs.ok()) << jobs.status();
    ASSERT_TRUE((*jobs)
                    ->CreateJob({.operation_id = "old",
                                 .task = "sql",
                                 .request = SerializeRecord({.request = SmallTraining("old"),
                                                             .path = "",
                                                             .split_version = kSplitVersion - 1})})
                    .ok());
  }
  Restart();
  const auto job = client_->Find("old");
  ASSERT_TRUE(job.ok()) << job.status();
  const auto ended = client_->Await(job->job_id());
  EXPECT_EQ(ended->state(), Job::STATE_FAILED);
  EXPECT_THAT(ended->error(), testing::HasSubstr("divided data"));
}

// Kills the server between two instructions of its choosing, ten times.
TEST(TrainingKillTest, KillsLeaveTheFinalBytesAsTheyAre) {
  constexpr int kKills = 10;
  TemporaryDirectory directory;
  std::mt19937 random(20);
  uint64_t seen = 0;
  Job ended;
  for (int start = 0; start <= kKills; ++start) {
    ChildServer child(ChildArguments(directory.path(), RandomModel()));
    const std::string address = AwaitEndpoints(directory.path())["grpc"];
    TrainingClient client(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
    const auto job = client.Train(MediumTraining());
    ASSERT_TRUE(job.ok()) << job.status();
    EXPECT_EQ(job->job_id(), "job-1");
    if (start == kKills) {
      ended = *client.Await(job->job_id());
      break;
    }
    const uint64_t last = seen + 1 + random() % 12;
    const auto events = client.Watch(
        job->job_id(), seen, [&](const v1::JobEvent& event) { return event.event() >= last; });
    ASSERT_TRUE(events.ok()) << events.status();
    seen = events->back().event();
    child.Signal(SIGKILL);
    EXPECT_EQ(child.Wait(), -SIGKILL);
    std::filesystem::remove(directory.path() + "/endpoints.json");
  }
  EXPECT_EQ(ended.state(), Job::STATE_SUCCEEDED) << ended.error();
  EXPECT_GT(ended.resumes(), 0u);
  EXPECT_EQ(ended.version(), 1u);
  EXPECT_EQ(ended.denoiser_digest(), UndisturbedDigest());
}

}  // namespace
}  // namespace ddpt
