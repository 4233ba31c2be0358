#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "client/command_line.h"
#include "client/exit_code.h"
#include "core/base/file.h"
#include "tests/integration/training_fixture.h"

namespace ddpt {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

// `ddpt jobs report` against a real server.
class JobReportCommandTest : public TrainingTest {
 protected:
  static Outcome Report(const std::string& job_id, const std::string& file,
                        std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {
        "jobs", "report", job_id, "--out", file, "--server", server_->server().address()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::ostringstream out, err;
    const int code = RunCommandLine(std::move(arguments), out, err, /*terminal=*/false);
    return {code, out.str(), err.str()};
  }

  // The page of a job.
  static std::string Page(const std::string& job_id) {
    const std::string file = directory_->path() + "/" + job_id + ".html";
    const Outcome outcome = Report(job_id, file);
    EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(file));
    const auto page = ReadFile(file, 10 << 20);
    EXPECT_TRUE(page.ok()) << page.status();
    return page.value_or("");
  }
};

TEST_F(JobReportCommandTest, AFinishedJobHasItsCurvesAndValidations) {
  const auto job = client_->TrainToTheEnd(Small());
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_THAT(Page(job->job_id()),
              AllOf(HasSubstr("state succeeded"), HasSubstr(job->denoiser_digest()),
                    HasSubstr("<dd>12 of 12</dd>"), HasSubstr("<b>Loss, nats per token</b>"),
                    HasSubstr("<b>Prompt variance"), HasSubstr("<b>Prompt effect"),
                    HasSubstr("<tr class=\"best\">"), HasSubstr("without a prompt ")));
}

TEST_F(JobReportCommandTest, ARunningJobIsNotWaitedFor) {
  const auto job = client_->Train(Endless());
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_TRUE(client_->Watch(job->job_id(), 0, Reached(50)).ok());
  const std::string page = Page(job->job_id());
  EXPECT_TRUE(client_->Cancel(job->job_id()).ok());
  EXPECT_THAT(page, AllOf(HasSubstr("state running"), HasSubstr("<b>Loss, nats per token</b>"),
                          Not(HasSubstr("<h2>Validations"))));
}

TEST_F(JobReportCommandTest, AFailedJobTellsItsError) {
  v1::TrainRequest request = Small();
  request.mutable_options()->set_max_prompt_rms(1e-6);
  const auto job = client_->TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_THAT(Page(job->job_id()),
              AllOf(HasSubstr("state failed"), HasSubstr("above max_prompt_rms")));
}

TEST_F(JobReportCommandTest, WithoutDrawsThereIsNoVariance) {
  v1::TrainRequest request = Small();
  request.set_method(v1::METHOD_GENERATOR);
  const auto job = client_->TrainToTheEnd(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_THAT(Page(job->job_id()),
              AllOf(HasSubstr("<b>Prompt RMS"), Not(HasSubstr("<b>Prompt variance"))));
}

TEST_F(JobReportCommandTest, JsonTellsFileAndJob) {
  const auto job = client_->TrainToTheEnd(Small());
  ASSERT_TRUE(job.ok()) << job.status();
  const std::string file = directory_->path() + "/json.html";
  const json result = json::parse(Report(job->job_id(), file, {"--json"}).out);
  EXPECT_EQ(result["file"], file);
  EXPECT_EQ(result["job"]["job_id"], job->job_id());
}

TEST_F(JobReportCommandTest, AnUnknownJobIsNotFound) {
  const std::string file = directory_->path() + "/unknown.html";
  const Outcome outcome = Report("job-999", file);
  EXPECT_EQ(outcome.code, kExitNotFound);
  EXPECT_THAT(outcome.err, HasSubstr("job-999"));
  EXPECT_FALSE(ReadFile(file, 1).ok());
}

TEST_F(JobReportCommandTest, AFileThatCannotBeWrittenIsNamed) {
  const auto job = client_->TrainToTheEnd(Small());
  ASSERT_TRUE(job.ok()) << job.status();
  const Outcome outcome = Report(job->job_id(), directory_->path());
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr(directory_->path() + " is not a regular file"));
}

}  // namespace
}  // namespace ddpt
