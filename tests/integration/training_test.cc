#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "core/base/status.h"
#include "tests/integration/model_fixture.h"
#include "tests/integration/server_fixture.h"
#include "tests/integration/training_fixture.h"

namespace ddpt {
namespace {

using testing::HasSubstr;
using Job = v1::TrainingJob;

TEST_F(TrainingTest, InlineExamplesBecomeAServedVersion) {
  const auto job = client_->TrainToTheEnd(Small());
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), Job::STATE_SUCCEEDED) << job->error();
  EXPECT_EQ(job->step(), 12u);
  EXPECT_EQ(job->total_steps(), 12u);
  EXPECT_EQ(job->method(), v1::METHOD_DDPT);
  EXPECT_EQ(job->train_examples(), 9u);
  EXPECT_EQ(job->validation_examples(), 1u);
  EXPECT_EQ(job->version(), 1u);
  EXPECT_GT(job->train_loss(), 0);
  EXPECT_GT(job->validation_nll(), 0);
  EXPECT_GT(job->validation_nll_none(), 0);
  const auto sample = server_->Sample(SampleOf(Name(), 1));
  ASSERT_TRUE(sample.ok()) << sample.status();
  EXPECT_EQ(sample->receipt().denoiser_digest(), job->denoiser_digest());
  EXPECT_EQ(server_->GetTask(Name())->active_version(), 1u);
}

TEST_F(TrainingTest, EveryServedMethodTrains) {
  for (const v1::Method method :
       {v1::METHOD_GENERATOR, v1::METHOD_PROMPT_TUNING, v1::METHOD_P_TUNING}) {
    v1::TrainRequest request = Small(v1::Method_Name(method));
    request.set_method(method);
    const auto job = client_->TrainToTheEnd(request);
    ASSERT_TRUE(job.ok()) << job.status();
    EXPECT_EQ(job->state(), Job::STATE_SUCCEEDED) << job->error();
    EXPECT_EQ(job->method(), method);
  }
}

// No step is worth taking at this rate, so the version that comes out is the prompt that went in.
TEST_F(TrainingTest, TrainingStartsFromAGivenPrompt) {
  ASSERT_EQ(client_->TrainToTheEnd(Small("first"))->state(), Job::STATE_SUCCEEDED);
  const auto drawn = server_->Sample(SampleOf(Name(), 1));
  ASSERT_TRUE(drawn.ok()) << drawn.status();
  v1::TrainRequest request = Small("polish");
  request.set_task("polished");
  request.set_method(v1::METHOD_PROMPT_TUNING);
  request.mutable_options()->set_learning_rate(1e-30);
  *request.mutable_start_prompt() = drawn->prompts(0).embedding();
  const auto job = client_->TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), Job::STATE_SUCCEEDED) << job->error();
  const auto polished = server_->Sample(SampleOf("polished", 1));
  ASSERT_TRUE(polished.ok()) << polished.status();
  EXPECT_EQ(polished->prompts(0).embedding().data(), drawn->prompts(0).embedding().data());
}

TEST_F(TrainingTest, BlackBoxTuningBecomesAServedPrompt) {
  v1::TrainRequest request = Small();
  MakeBlackBox(request);
  const auto job = client_->TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), Job::STATE_SUCCEEDED) << job->error();
  EXPECT_EQ(job->method(), v1::METHOD_BBT);
  EXPECT_EQ(job->step(), 12u);
  const auto one = server_->Sample(SampleOf(Name(), 1)),
             other = server_->Sample(SampleOf(Name(), 2));
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(one->receipt().denoiser_digest(), job->denoiser_digest());
  EXPECT_EQ(one->prompts(0).embedding().data(), other->prompts(0).embedding().data());
}

TEST_F(TrainingTest, BlackBoxTuningCountsItsEvaluations) {
  v1::TrainRequest request = Small();
  MakeBlackBox(request);
  const auto events = client_->Watch(client_->Train(request)->job_id());
  ASSERT_TRUE(events.ok()) << events.status();
  std::vector<double> evaluations;
  for (const v1::JobEvent& event : *events) {
    const auto found = event.metrics().find("evaluations");
    if (found != event.metrics().end()) evaluations.push_back(found->second);
    EXPECT_FALSE(event.metrics().contains("learning_rate"));
  }
  EXPECT_EQ(evaluations.size(), 12u);
  EXPECT_EQ(evaluations.back(), 12 * 6);
}

TEST_F(TrainingTest, TheSameOperationFindsItsJob) {
  const auto first = client_->TrainToTheEnd(Small());
  const auto again = client_->Train(Small());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->job_id(), first->job_id());
  EXPECT_EQ(again->state(), Job::STATE_SUCCEEDED);
  EXPECT_EQ(client_->Find(Name())->job_id(), first->job_id());
  EXPECT_EQ(client_->List(Name(), 10, "")->jobs_size(), 1);
}

TEST_F(TrainingTest, TheSameOperationWithAnotherRequestNamesTheDifference) {
  ASSERT_TRUE(client_->TrainToTheEnd(Small()).ok());
  v1::TrainRequest request = Small();
  request.mutable_options()->set_seed(5);
  request.mutable_options()->set_steps(13);
  absl::Status status = client_->Train(request).status();
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("options.steps"));
  request = Small();
  request.mutable_examples()->mutable_examples(3)->set_code("pass");
  status = client_->Train(request).status();
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
}

TEST_F(TrainingTest, EventsTellTheWholeStoryInOrder) {
  const auto job = client_->Train(Small());
  const auto events = client_->Watch(job->job_id());
  ASSERT_TRUE(events.ok()) << events.status();
  EXPECT_EQ(events->front().job().state(), Job::STATE_QUEUED);
  EXPECT_EQ(events->back().job().state(), Job::STATE_SUCCEEDED);
  EXPECT_EQ(events->back().job().version(), 1u);
  int losses = 0, validations = 0;
  for (size_t i = 0; i < events->size(); ++i) {
    EXPECT_EQ(events->at(i).event(), i + 1);
    EXPECT_EQ(events->at(i).job().job_id(), job->job_id());
    losses += events->at(i).metrics().contains("loss");
    validations += events->at(i).metrics().contains("validation_nll");
  }
  EXPECT_EQ(losses, 12);
  EXPECT_EQ(validations, 4);
}

TEST_F(TrainingTest, WatchingGoesOnAfterAnEvent) {
  const auto job = client_->TrainToTheEnd(Small());
  const auto all = client_->Watch(job->job_id());
  const auto rest = client_->Watch(job->job_id(), 5);
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_EQ(rest->front().event(), 6u);
  EXPECT_EQ(rest->size(), all->size() - 5);
  EXPECT_EQ(client_->Watch(job->job_id(), all->size())->size(), 0u);
  EXPECT_TRUE(absl::IsNotFound(client_->Watch("job-999999").status()));
}

TEST_F(TrainingTest, CancelEndsARunningJob) {
  const auto job = client_->Train(Endless());
  ASSERT_TRUE(client_->Watch(job->job_id(), 0, Reached(1)).ok());
  ASSERT_TRUE(client_->Cancel(job->job_id()).ok());
  const auto ended = client_->Await(job->job_id());
  EXPECT_EQ(ended->state(), Job::STATE_CANCELLED);
  EXPECT_EQ(ended->version(), 0u);
  EXPECT_TRUE(absl::IsNotFound(server_->GetTask(Name()).status()));
}

TEST_F(TrainingTest, CancelEndsAQueuedJobAtOnce) {
  const auto running = client_->Train(Endless());
  const auto queued = client_->Train(Small("-queued"));
  EXPECT_EQ(client_->Cancel(queued->job_id())->state(), Job::STATE_CANCELLED);
  EXPECT_EQ(client_->Watch(queued->job_id())->back().job().state(), Job::STATE_CANCELLED);
  ASSERT_TRUE(client_->Cancel(running->job_id()).ok());
  EXPECT_EQ(client_->Await(running->job_id())->state(), Job::STATE_CANCELLED);
}

TEST_F(TrainingTest, CancelLeavesAFinishedJobAsItIs) {
  const auto job = client_->TrainToTheEnd(Small());
  const auto same = client_->Cancel(job->job_id());
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->SerializeAsString(), job->SerializeAsString());
  EXPECT_TRUE(absl::IsNotFound(client_->Cancel("job-999999").status()));
}

TEST_F(TrainingTest, DriftFailsTheJobAndSaysWhy) {
  v1::TrainRequest request = Small();
  request.mutable_options()->set_max_prompt_rms(1e-6);
  const auto job = client_->TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), Job::STATE_FAILED);
  EXPECT_THAT(job->error(), HasSubstr("max_prompt_rms"));
  EXPECT_TRUE(absl::IsNotFound(server_->GetTask(Name()).status()));
}

TEST_F(TrainingTest, AJobThatDriftsGoesBackAndTakesSmallerSteps) {
  v1::TrainRequest request = Small();
  request.set_method(v1::METHOD_PROMPT_TUNING);
  request.mutable_options()->set_learning_rate(0.02);
  request.mutable_options()->set_max_prompt_rms(0.065);
  request.mutable_options()->set_checkpoint_every(12);
  const auto job = client_->TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), Job::STATE_SUCCEEDED) << job->error();
  EXPECT_EQ(job->step(), 12u);
  const auto events = client_->Watch(job->job_id());
  const auto told = [](const v1::JobEvent& event) {
    return absl::StrContains(event.message(), "with half the learning rate");
  };
  EXPECT_TRUE(std::any_of(events->begin(), events->end(), told));
}

TEST_F(TrainingTest, PromotionNeverLeavesTheActiveVersion) {
  ASSERT_TRUE(server_->Import(Name(), DenoiserFile(SmallSpec(), 1)).ok());
  v1::TrainRequest request = Small();
  request.set_promote(v1::PROMOTE_POLICY_NEVER);
  const auto job = client_->TrainToTheEnd(request);
  EXPECT_EQ(job->version(), 2u) << job->error();
  EXPECT_EQ(server_->GetTask(Name())->active_version(), 1u);
}

TEST_F(TrainingTest, PromotionIfBetterComparesOnTheValidationExamples) {
  v1::TrainRequest good = Small("-good"), poor = Small("-poor"), best = Small("-best");
  good.mutable_options()->set_steps(60);
  best.mutable_options()->set_steps(120);
  poor.mutable_options()->set_steps(1);
  poor.mutable_options()->set_learning_rate(1e-9);
  for (v1::TrainRequest* request : {&good, &poor, &best}) {
    request->set_promote(v1::PROMOTE_POLICY_IF_BETTER);
    request->mutable_options()->set_checkpoint_every(60);
  }
  const auto first = client_->TrainToTheEnd(good), second = client_->TrainToTheEnd(poor);
  ASSERT_GT(second->validation_nll(), first->validation_nll());
  EXPECT_EQ(second->version(), 2u);
  EXPECT_EQ(server_->GetTask(Name())->active_version(), 1u);
  const auto third = client_->TrainToTheEnd(best);
  ASSERT_LT(third->validation_nll(), first->validation_nll());
  EXPECT_EQ(server_->GetTask(Name())->active_version(), 3u);
}

TEST_F(TrainingTest, ListGoesPageByPageFromTheNewest) {
  std::vector<std::string> ids;
  for (const char* suffix : {"-1", "-2", "-3"}) {
    ids.push_back(client_->TrainToTheEnd(Small(suffix))->job_id());
  }
  const auto first = client_->List(Name(), 2, "");
  ASSERT_EQ(first->jobs_size(), 2);
  EXPECT_EQ(first->jobs(0).job_id(), ids[2]);
  EXPECT_EQ(first->jobs(1).job_id(), ids[1]);
  const auto second = client_->List(Name(), 2, first->next_page_token());
  ASSERT_EQ(second->jobs_size(), 1);
  EXPECT_EQ(second->jobs(0).job_id(), ids[0]);
  EXPECT_EQ(second->jobs(0).state(), Job::STATE_SUCCEEDED);
  EXPECT_EQ(second->next_page_token(), "");
  EXPECT_EQ(FieldOf(client_->List(Name(), 1001, "").status()), "page_size");
  EXPECT_EQ(FieldOf(client_->List(Name(), 1, "!").status()), "page_token");
}

TEST_F(TrainingTest, MetricsCountStepsAndJobs) {
  const double steps = server_->Metric("ddpt_train_steps_total");
  const std::vector<std::string> succeeded = {"state=\"succeeded\""};
  const double jobs = server_->Metric("ddpt_train_jobs", succeeded);
  ASSERT_EQ(client_->TrainToTheEnd(Small())->state(), Job::STATE_SUCCEEDED);
  server_->AwaitMetric("ddpt_train_jobs", succeeded, jobs + 1);
  EXPECT_EQ(server_->Metric("ddpt_train_steps_total"), steps + 12);
  EXPECT_EQ(server_->Metric("ddpt_train_step_seconds_count"), steps + 12);
  EXPECT_GE(server_->Metric("ddpt_train_checkpoint_age_seconds"), 0);
  EXPECT_EQ(server_->Metric("ddpt_train_jobs", {"state=\"running\""}), 0);
}

TEST_F(TrainingTest, TheLossOfARunningJobIsShown) {
  const auto job = client_->Train(Endless());
  ASSERT_TRUE(client_->Watch(job->job_id(), 0, Reached(1)).ok());
  EXPECT_GT(server_->Metric("ddpt_train_loss", {"task=\"" + Name() + "\""}), 0);
  server_->AwaitMetric("ddpt_train_jobs", {"state=\"running\""}, 1);
  ASSERT_TRUE(client_->Cancel(job->job_id()).ok());
  server_->AwaitMetric("ddpt_train_jobs", {"state=\"running\""}, 0);
  server_->AwaitMetric("ddpt_train_loss", {"task=\"" + Name() + "\""}, 0);
}

TEST_F(TrainingTest, InteractiveWorkIsServedBesideAJob) {
  ASSERT_TRUE(server_->Import(Name(), DenoiserFile(SmallSpec(), 1)).ok());
  const auto job = client_->Train(Endless());
  ASSERT_TRUE(client_->Watch(job->job_id(), 0, Reached(1)).ok());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(server_->Sample(SampleOf(Name(), i)).ok());
  EXPECT_EQ(client_->Get(job->job_id())->state(), Job::STATE_RUNNING);
  ASSERT_TRUE(client_->Cancel(job->job_id()).ok());
}

TEST(TrainingWithoutModelTest, IsRefused) {
  TemporaryDirectory directory;
  TestServer server(TestConfig(directory.path()));
  const absl::Status status = TrainingClient(server.channel()).Train(SmallTraining("x")).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
}

TEST(TrainingLimitTest, UnfinishedJobsAreLimited) {
  TemporaryDirectory directory;
  Config config = TrainingConfig(directory.path());
  config.train_limit = 2;
  TestServer server(config);
  TrainingClient client(server.channel());
  ASSERT_TRUE(client.Train(EndlessTraining("1")).ok());
  ASSERT_TRUE(client.Train(EndlessTraining("2")).ok());
  const absl::Status status = client.Train(EndlessTraining("3")).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("limit of 2"));
  EXPECT_TRUE(client.Train(EndlessTraining("2")).ok());
}

// A state directory on a file system of 1 MiB.
class TrainingOnAFullDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    mounted_ =
        geteuid() == 0 && mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, "size=1m") == 0;
    if (!mounted_) GTEST_SKIP() << "needs the right to mount";
    server_ = std::make_unique<TestServer>(TrainingConfig(directory_.path()));
    client_ = std::make_unique<TrainingClient>(server_->channel());
  }
  void TearDown() override {
    server_.reset();
    if (mounted_) umount2(directory_.path().c_str(), MNT_DETACH);
  }

  TemporaryDirectory directory_;
  bool mounted_ = false;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<TrainingClient> client_;
};

TEST_F(TrainingOnAFullDiskTest, AJobStandsStillUntilThereIsRoom) {
  v1::TrainRequest large = SmallTraining("large");
  large.mutable_options()->set_latent_width(256);
  const auto job = client_->Train(large);
  ASSERT_TRUE(job.ok()) << job.status();
  server_->AwaitMetric("ddpt_train_storage_errors_total", {}, 1);
  EXPECT_EQ(client_->Get(job->job_id())->state(), Job::STATE_RUNNING);
  ASSERT_EQ(mount("", directory_.path().c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
  const auto ended = client_->Await(job->job_id());
  EXPECT_EQ(ended->state(), Job::STATE_SUCCEEDED) << ended->error();
}

TEST_F(TrainingOnAFullDiskTest, AJobThatStandsStillCanBeCancelled) {
  v1::TrainRequest large = SmallTraining("large");
  large.mutable_options()->set_latent_width(256);
  const auto job = client_->Train(large);
  server_->AwaitMetric("ddpt_train_storage_errors_total", {}, 1);
  ASSERT_TRUE(client_->Cancel(job->job_id()).ok());
  EXPECT_EQ(client_->Await(job->job_id())->state(), Job::STATE_CANCELLED);
  const auto next = client_->TrainToTheEnd(SmallTraining("small"));
  EXPECT_EQ(next->state(), Job::STATE_SUCCEEDED) << next->error();
}

TEST_F(TrainingOnAFullDiskTest, AJobThatCannotBeNotedIsRefused) {
  const std::string filler = directory_.path() + "/filler";
  std::ofstream(filler) << std::string(2 << 20, 'x');
  const absl::Status status = client_->Train(SmallTraining("op")).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(absl::IsNotFound(client_->Find("op").status()));
  std::filesystem::remove(filler);
  const auto job = client_->TrainToTheEnd(SmallTraining("op"));
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), Job::STATE_SUCCEEDED) << job->error();
}

TEST(TrainingGateTest, PromptsThatChangeNothingAreNotPromoted) {
  const TemporaryDirectory state, model;
  WriteModel(model.path(), /*seed=*/1, /*deaf=*/true);
  Config config = TestConfig(state.path());
  config.model = model.path();
  TestServer server(config);
  TrainingClient client(server.channel());
  v1::TrainRequest request = SmallTraining("gate");
  request.set_promote(v1::PROMOTE_POLICY_ALWAYS);
  const auto job = client.TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::TrainingJob::STATE_SUCCEEDED);
  EXPECT_EQ(job->version(), 1u);
  const auto events = client.Watch(job->job_id());
  const auto told = [](const v1::JobEvent& event) {
    return absl::StrContains(event.message(), "do not change what the model says");
  };
  EXPECT_TRUE(std::any_of(events->begin(), events->end(), told));
  EXPECT_TRUE(absl::IsFailedPrecondition(server.Sample(SampleOf("sql", 1)).status()));
}

}  // namespace
}  // namespace ddpt
