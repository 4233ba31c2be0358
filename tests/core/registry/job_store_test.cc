#include "core/registry/job_store.h"

#include <atomic>
#include <cmath>
#include <thread>

#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/registry/backend.h"
#include "tests/core/registry/jobs.h"

namespace ddpt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class JobStoreTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    if (backend_) Open();
  }
  void Open() {
    store_.reset();
    auto store = backend_->OpenJobs(5);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  Job Create(const std::string& operation_id, const std::string& task = "sql") {
    const auto job = store_->CreateJob(NewJob(operation_id, task));
    EXPECT_TRUE(job.ok()) << job.status();
    return job.value_or(Job{});
  }
  // The number of the event.
  uint64_t Update(const Job& job, JobState state, std::string_view payload = "") {
    Job changed = job;
    changed.state = state;
    const auto number = store_->UpdateJob(changed, payload);
    EXPECT_TRUE(number.ok()) << number.status();
    return number.value_or(0);
  }
  Job CreateFinished(const std::string& operation_id) {
    const Job job = Create(operation_id);
    Update(job, JobState::kSucceeded);
    return job;
  }
  std::vector<std::string> ListIds(const std::string& task, uint32_t page_size,
                                   std::string* token) const {
    const auto page = store_->ListJobs(task, page_size, *token);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> ids;
    for (const Job& job : page.value_or(JobPage{}).jobs) ids.push_back(job.id);
    *token = page.value_or(JobPage{}).next_page_token;
    return ids;
  }

  std::unique_ptr<JobStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Stores, JobStoreTest, kBackends, NameOfBackend);

TEST_P(JobStoreTest, ANewJobIsQueuedAndHasItsFirstEvent) {
  const Job job = Create("op-1");
  EXPECT_EQ(job.id, "job-1");
  EXPECT_EQ(job.operation_id, "op-1");
  EXPECT_EQ(job.task, "sql");
  EXPECT_EQ(job.request, "please");
  EXPECT_FALSE(job.cancel_requested);
  EXPECT_EQ(job.created_at_micros, 1000);
  EXPECT_EQ(job.updated_at_micros, 1000);
  ExpectFigures(job, Job{});
  const auto events = *store_->ListEvents(job.id, 0, 10);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].number, 1u);
  EXPECT_EQ(events[0].time_micros, 1000);
  EXPECT_EQ(events[0].job.state, JobState::kQueued);
  EXPECT_EQ(events[0].payload, "");
}

TEST_P(JobStoreTest, AnOperationIdHasOneJob) {
  const Job job = Create("op-1");
  const absl::Status twice = store_->CreateJob(NewJob("op-1", "other")).status();
  EXPECT_EQ(twice.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(twice.message(), HasSubstr("operation_id \"op-1\" has the job job-1"));
  EXPECT_EQ(store_->FindJob("op-1")->id, job.id);
  EXPECT_EQ(store_->FindJob("op-1")->task, "sql");
  EXPECT_EQ(store_->FindJob("op-2").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(JobStoreTest, CreateChecksItsFields) {
  for (const std::string& id : {std::string(), std::string(129, 'x')}) {
    const absl::Status status = store_->CreateJob(NewJob(id)).status();
    EXPECT_EQ(FieldOf(status), "operation_id") << status;
  }
  EXPECT_EQ(FieldOf(store_->CreateJob(NewJob("op", "S Q L")).status()), "task");
  EXPECT_EQ(Create(std::string(128, 'x')).id, "job-1");
}

TEST_P(JobStoreTest, TheLimitOfUnfinishedJobsIsNamed) {
  for (const char* id : {"1", "2", "3", "4", "5"}) Create(id);
  const absl::Status full = store_->CreateJob(NewJob("6")).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(full.message(), HasSubstr("limit of 5 unfinished jobs"));
  EXPECT_EQ(store_->CreateJob(NewJob("3")).status().code(), absl::StatusCode::kAlreadyExists);
  Update(*store_->FindJob("1"), JobState::kFailed);
  Create("6");
}

TEST_P(JobStoreTest, UpdateStoresEveryFigureAndItsEvent) {
  const Job changed = Changed(Create("op"));
  backend_->Advance(5);
  EXPECT_EQ(*store_->UpdateJob(changed, std::string("a\0b", 3)), 2u);
  const Job stored = *store_->GetJob("job-1");
  ExpectFigures(stored, changed);
  EXPECT_EQ(stored.created_at_micros, 1000);
  EXPECT_EQ(stored.updated_at_micros, 1005);
  const JobEvent event = store_->ListEvents("job-1", 1, 10)->at(0);
  ExpectFigures(event.job, changed);
  EXPECT_EQ(event.job.operation_id, "op");
  EXPECT_EQ(event.job.request, "");
  EXPECT_EQ(event.time_micros, 1005);
  EXPECT_EQ(event.payload, std::string("a\0b", 3));
}

TEST_P(JobStoreTest, UpdateLeavesWhatIsNotItsOwn) {
  Job job = Create("op");
  Update(job, JobState::kRunning);
  ASSERT_TRUE(store_->RequestCancel(job.id).ok());
  job.operation_id = job.task = job.request = "changed";
  job.created_at_micros = 1;
  Update(job, JobState::kRunning);
  const Job stored = *store_->GetJob(job.id);
  EXPECT_EQ(stored.operation_id, "op");
  EXPECT_EQ(stored.task, "sql");
  EXPECT_EQ(stored.request, "please");
  EXPECT_EQ(stored.created_at_micros, 1000);
  EXPECT_TRUE(stored.cancel_requested);
}

TEST_P(JobStoreTest, ALossThatIsNotANumberStaysOne) {
  Job job = Create("op");
  job.state = JobState::kRunning;
  job.train_loss = std::nan("");
  ASSERT_TRUE(store_->UpdateJob(job, "").ok());
  EXPECT_TRUE(std::isnan(store_->GetJob(job.id)->train_loss));
  EXPECT_TRUE(std::isnan(store_->ListEvents(job.id, 1, 1)->at(0).job.train_loss));
}

TEST_P(JobStoreTest, AFinishedJobNeverChanges) {
  int name = 0;
  for (const JobState end : {JobState::kSucceeded, JobState::kFailed, JobState::kCancelled}) {
    const Job job = Create(std::to_string(++name));
    Update(job, end);
    const absl::Status status = store_->UpdateJob(Changed(job), "").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(status.message(), HasSubstr(job.id));
    EXPECT_EQ(store_->GetJob(job.id)->state, end);
    EXPECT_EQ(store_->ListEvents(job.id, 0, 10)->size(), 2u);
  }
}

TEST_P(JobStoreTest, UnknownJobsAreNotFoundByTheirId) {
  Create("op");
  Job job;
  for (const std::string id : {"job-2", "job-01", "job--1", "1", "", "job-1x"}) {
    job.id = id;
    for (const absl::Status& status :
         {store_->GetJob(id).status(), store_->UpdateJob(job, "").status(),
          store_->RequestCancel(id).status(), store_->ListEvents(id, 0, 1).status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
      EXPECT_THAT(status.message(), HasSubstr("job \"" + id + "\" does not exist"));
    }
  }
}

TEST_P(JobStoreTest, AQueuedJobIsCancelledAtOnce) {
  const Job job = Create("op");
  backend_->Advance(1);
  const Job cancelled = *store_->RequestCancel(job.id);
  EXPECT_EQ(cancelled.state, JobState::kCancelled);
  EXPECT_TRUE(cancelled.cancel_requested);
  EXPECT_EQ(store_->ListEvents(job.id, 1, 10)->at(0).job.state, JobState::kCancelled);
  EXPECT_EQ(store_->UpdateJob(Changed(job), "").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_P(JobStoreTest, ARunningJobOnlyLearnsOfTheWish) {
  const Job job = Create("op");
  Update(job, JobState::kRunning);
  const Job asked = *store_->RequestCancel(job.id);
  EXPECT_EQ(asked.state, JobState::kRunning);
  EXPECT_TRUE(asked.cancel_requested);
  EXPECT_EQ(Update(job, JobState::kCancelled), 3u);
}

TEST_P(JobStoreTest, CancellingAFinishedJobChangesNothing) {
  const Job job = CreateFinished("op");
  backend_->Advance(1);
  const Job same = *store_->RequestCancel(job.id);
  EXPECT_EQ(same.state, JobState::kSucceeded);
  EXPECT_FALSE(same.cancel_requested);
  EXPECT_EQ(same.updated_at_micros, 1000);
  EXPECT_EQ(store_->ListEvents(job.id, 0, 10)->size(), 2u);
}

TEST_P(JobStoreTest, EventsCountWithinTheirJob) {
  const Job a = Create("a"), b = Create("b");
  EXPECT_EQ(Update(a, JobState::kRunning, "a2"), 2u);
  EXPECT_EQ(Update(b, JobState::kRunning, "b2"), 2u);
  EXPECT_EQ(Update(a, JobState::kRunning, "a3"), 3u);
  const auto events = *store_->ListEvents(a.id, 1, 10);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].payload, "a2");
  EXPECT_EQ(events[1].payload, "a3");
  EXPECT_EQ(store_->ListEvents(a.id, 0, 2)->back().number, 2u);
  EXPECT_THAT(*store_->ListEvents(a.id, 3, 10), IsEmpty());
  EXPECT_THAT(*store_->ListEvents(a.id, ~uint64_t{0}, 10), IsEmpty());
}

TEST_P(JobStoreTest, ListJobsPagesFromTheNewest) {
  for (const char* id : {"1", "2", "3", "4", "5"}) Create(id, *id == '3' ? "other" : "sql");
  std::string token;
  EXPECT_THAT(ListIds("", 2, &token), ElementsAre("job-5", "job-4"));
  Update(*store_->FindJob("5"), JobState::kSucceeded);
  Create("6");
  EXPECT_THAT(ListIds("", 2, &token), ElementsAre("job-3", "job-2"));
  EXPECT_THAT(ListIds("", 2, &token), ElementsAre("job-1"));
  EXPECT_EQ(token, "");
  EXPECT_THAT(ListIds("other", 1, &token), ElementsAre("job-3"));
  EXPECT_EQ(token, "");
  EXPECT_THAT(ListIds("nobody", 1, &token), IsEmpty());
}

TEST_P(JobStoreTest, ListJobsChecksItsArguments) {
  EXPECT_EQ(FieldOf(store_->ListJobs("", 0, "").status()), "page_size");
  EXPECT_EQ(FieldOf(store_->ListJobs("", 1001, "").status()), "page_size");
  EXPECT_EQ(FieldOf(store_->ListJobs("A B", 1, "").status()), "task");
  for (const std::string& token : {std::string("!"), std::string("YWJj"), std::string(99999, 'a')})
    EXPECT_EQ(FieldOf(store_->ListJobs("", 1, token).status()), "page_token");
}

TEST_P(JobStoreTest, UnfinishedJobsAreOldestFirst) {
  const Job a = Create("a");
  CreateFinished("b");
  Create("c");
  Update(a, JobState::kRunning);
  const auto jobs = *store_->UnfinishedJobs();
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].operation_id, "a");
  EXPECT_EQ(jobs[0].request, "please");
  EXPECT_EQ(jobs[1].operation_id, "c");
}

TEST_P(JobStoreTest, EverythingSurvivesReopening) {
  const Job changed = Changed(Create("op"));
  ASSERT_TRUE(store_->UpdateJob(changed, "payload").ok());
  ASSERT_TRUE(store_->RequestCancel(changed.id).ok());
  Open();
  ExpectFigures(*store_->FindJob("op"), changed);
  EXPECT_TRUE(store_->FindJob("op")->cancel_requested);
  EXPECT_EQ(store_->ListEvents(changed.id, 0, 10)->back().payload, "payload");
  EXPECT_EQ(Update(changed, JobState::kSucceeded), 3u);
}

TEST_P(JobStoreTest, OldFinishedJobsAreForgottenWithTheirEvents) {
  CreateFinished("old");
  Create("running");
  backend_->Advance(1);
  CreateFinished("new");
  EXPECT_EQ(*store_->RemoveFinishedBefore(1001), 1u);
  EXPECT_EQ(store_->FindJob("old").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(store_->FindJob("running").ok());
  EXPECT_TRUE(store_->FindJob("new").ok());
  EXPECT_EQ(*store_->RemoveFinishedBefore(1001), 0u);
}

TEST_P(JobStoreTest, IdsAreNeverGivenTwice) {
  CreateFinished("a");
  EXPECT_EQ(*store_->RemoveFinishedBefore(2000), 1u);
  Open();
  EXPECT_EQ(Create("a").id, "job-2");
}

TEST_P(JobStoreTest, ThreadsThatUpdateOneJobGetANumberEach) {
  const Job job = Create("op");
  const auto work = [&] {
    for (int i = 0; i < 10; ++i) Update(job, JobState::kRunning, "x");
  };
  std::thread first(work), second(work);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(store_->ListEvents(job.id, 0, 100).ok());
  first.join();
  second.join();
  const auto events = *store_->ListEvents(job.id, 0, 100);
  ASSERT_EQ(events.size(), 21u);
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].number, i + 1);
}

TEST_P(JobStoreTest, ThreadsWithOneOperationIdGetOneJob) {
  std::atomic<int> created{0};
  const auto work = [&] { created += store_->CreateJob(NewJob("op")).ok(); };
  std::thread first(work), second(work);
  first.join();
  second.join();
  EXPECT_EQ(created, 1);
}

TEST_P(JobStoreTest, TheOldestJobThatWaitsIsTakenOnce) {
  Create("a");
  Create("b");
  EXPECT_EQ((*store_->TakeJob())->operation_id, "a");
  EXPECT_EQ((*store_->TakeJob())->operation_id, "b");
  EXPECT_EQ(*store_->TakeJob(), std::nullopt);
}

TEST_P(JobStoreTest, ATakenJobRunsAndHasAnEventOfIt) {
  Create("a");
  backend_->Advance(3);
  const Job job = **store_->TakeJob();
  EXPECT_EQ(job.state, JobState::kRunning);
  EXPECT_EQ(job.request, "please");
  EXPECT_EQ(job.resumes, 0u);
  EXPECT_EQ(job.updated_at_micros, 1003);
  EXPECT_EQ(store_->ListEvents(job.id, 1, 10)->at(0).job.state, JobState::kRunning);
  EXPECT_EQ(Update(job, JobState::kSucceeded), 3u);
  EXPECT_EQ(*store_->TakeJob(), std::nullopt);
}

TEST_P(JobStoreTest, AJobThatWasLeftIsTakenAgainAndCountsIt) {
  Create("a");
  const Job job = **store_->TakeJob();
  ASSERT_TRUE(store_->LeaveJob(job).ok());
  const Job again = **store_->TakeJob();
  EXPECT_EQ(again.id, job.id);
  EXPECT_EQ(again.resumes, 1u);
  EXPECT_EQ(*store_->TakeJob(), std::nullopt);
}

TEST_P(JobStoreTest, WhoRenewsLearnsOfTheWishToCancel) {
  Create("a");
  const Job job = **store_->TakeJob();
  EXPECT_FALSE(store_->RenewJob(job)->cancel_requested);
  ASSERT_TRUE(store_->RequestCancel(job.id).ok());
  EXPECT_TRUE(store_->RenewJob(job)->cancel_requested);
}

TEST_P(JobStoreTest, ACheckpointIsReplacedTogetherWithTheFigures) {
  Create("a");
  Job job = **store_->TakeJob();
  EXPECT_EQ(*store_->ReadCheckpoint(job.id), "");
  ASSERT_TRUE(store_->SaveCheckpoint(job, "first").ok());
  job.step = 9;
  const std::string large(2'500'000, '\xff');
  ASSERT_TRUE(store_->SaveCheckpoint(job, large).ok());
  EXPECT_EQ(*store_->ReadCheckpoint(job.id), large);
  EXPECT_EQ(store_->GetJob(job.id)->step, 9u);
  EXPECT_EQ(store_->ListEvents(job.id, 0, 10)->size(), 2u);
}

TEST_P(JobStoreTest, ACheckpointSurvivesReopening) {
  Create("a");
  ASSERT_TRUE(store_->SaveCheckpoint(**store_->TakeJob(), "state").ok());
  Open();
  EXPECT_EQ(*store_->ReadCheckpoint("job-1"), "state");
}

TEST_P(JobStoreTest, TheEndOfAJobRemovesItsCheckpoint) {
  Create("a");
  const Job job = **store_->TakeJob();
  ASSERT_TRUE(store_->SaveCheckpoint(job, "state").ok());
  Update(job, JobState::kFailed);
  EXPECT_EQ(*store_->ReadCheckpoint(job.id), "");
  EXPECT_EQ(store_->SaveCheckpoint(job, "late").code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace ddpt
