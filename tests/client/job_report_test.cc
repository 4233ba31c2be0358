#include "client/job_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace ddpt {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A job of 200 steps of DDPT; what happens to it is added.
class JobReportTest : public testing::Test {
 protected:
  JobReportTest() {
    job_.set_job_id("job-7");
    job_.set_task("sql");
    job_.set_method(v1::METHOD_DDPT);
    job_.set_state(v1::TrainingJob::STATE_RUNNING);
    job_.set_total_steps(200);
    job_.set_dataset_digest("0123abcd");
    job_.set_train_examples(1632);
    job_.set_validation_examples(204);
    job_.mutable_create_time()->set_seconds(1'800'000'000);
    Add(0, {});
  }

  void Add(uint64_t step, const std::map<std::string, double>& metrics,
           const std::string& message = "") {
    job_.set_step(step);
    v1::JobEvent& event = events_.emplace_back();
    event.set_event(events_.size());
    event.mutable_time()->set_seconds(1'800'000'000 + static_cast<int64_t>(step));
    *job_.mutable_update_time() = event.time();
    *event.mutable_job() = job_;
    event.mutable_metrics()->insert(metrics.begin(), metrics.end());
    event.set_message(message);
  }

  void AddStep(uint64_t step) {
    Add(step, {{"loss", 2.0},
               {"learning_rate", 0.001},
               {"gradient_norm", 0.5},
               {"prompt_rms", 0.1},
               {"prompt_variance", 0.01},
               {"step_seconds", 0.1}});
  }

  void AddValidation(uint64_t step, double nll) {
    const double best = job_.validation_nll();
    job_.set_validation_nll(best == 0 ? nll : std::min(best, nll));
    job_.set_validation_nll_none(4.75);
    Add(step,
        {{"validation_nll", nll},
         {"validation_nll_none", 4.75},
         {"served_prompt_rms", 0.2},
         {"prompt_effect", 1.5}},
        "validated");
  }

  std::string Page() const { return JobReport(events_); }

  v1::TrainingJob job_;
  std::vector<v1::JobEvent> events_;
};

TEST_F(JobReportTest, TheHeadTellsTheJob) {
  job_.set_state(v1::TrainingJob::STATE_SUCCEEDED);
  job_.set_version(3);
  job_.set_denoiser_digest("fedc9876");
  job_.set_resumes(2);
  Add(200, {});
  EXPECT_THAT(Page(), AllOf(HasSubstr("<h1>job-7 of task sql <span class=\"state succeeded\">"),
                            HasSubstr("<dd>ddpt</dd>"), HasSubstr("<dd>200 of 200</dd>"),
                            HasSubstr("1,632 training examples, 204 validation examples"),
                            HasSubstr("0123abcd"), HasSubstr("version 3"), HasSubstr("fedc9876"),
                            HasSubstr("3m20s"), HasSubstr("<dt>Resumes</dt><dd>2</dd>")));
}

TEST_F(JobReportTest, TheBestValidationStandsAgainstNoPrompt) {
  AddValidation(50, 1.25);
  AddValidation(100, 1.5);
  EXPECT_THAT(Page(), HasSubstr("<b>1.2500</b> nats per token at best, 4.7500 without a prompt"));
}

TEST_F(JobReportTest, EveryMetricHasItsPlot) {
  AddStep(1);
  AddValidation(50, 1.25);
  EXPECT_THAT(Page(), AllOf(HasSubstr("<b>Loss, nats per token</b>"),
                            HasSubstr("<b>Learning rate</b>"), HasSubstr("<b>Gradient norm"),
                            HasSubstr("<b>Prompt RMS</b>"), HasSubstr("<b>Prompt variance"),
                            HasSubstr("<b>Prompt effect"), HasSubstr("<b>Time of a step")));
}

TEST_F(JobReportTest, APlotWhoseMetricNeverCameIsLeftOut) {
  Add(1, {{"loss", 2.0}});
  EXPECT_THAT(Page(), AllOf(HasSubstr("<b>Loss"), Not(HasSubstr("<b>Prompt variance")),
                            Not(HasSubstr("<b>Prompt effect"))));
}

TEST_F(JobReportTest, AVarianceOfZeroThroughoutIsLeftOut) {
  Add(1, {{"prompt_rms", 0.1}, {"prompt_variance", 0}});
  Add(2, {{"prompt_rms", 0.1}, {"prompt_variance", 0}});
  EXPECT_THAT(Page(), AllOf(HasSubstr("<b>Prompt RMS"), Not(HasSubstr("<b>Prompt variance"))));
}

TEST_F(JobReportTest, AJobBeforeItsFirstStepHasNoPlots) {
  EXPECT_THAT(Page(), AllOf(HasSubstr("state running"), HasSubstr("<dd>0 of 200</dd>"),
                            Not(HasSubstr("<svg")), Not(HasSubstr("<table"))));
}

TEST_F(JobReportTest, ARunningJobHasNoDenoiserAndNoValidationYet) {
  AddStep(1);
  EXPECT_THAT(Page(), AllOf(HasSubstr("<dt>Validation NLL</dt><dd>none</dd>"),
                            HasSubstr("<dt>Denoiser</dt><dd>none</dd>")));
}

TEST_F(JobReportTest, AFailedJobTellsItsError) {
  AddStep(1);
  job_.set_state(v1::TrainingJob::STATE_FAILED);
  job_.set_error("step 2: the loss is inf");
  Add(1, {});
  EXPECT_THAT(Page(), AllOf(HasSubstr("state failed"),
                            HasSubstr("<p class=\"error\">step 2: the loss is inf</p>")));
}

TEST_F(JobReportTest, TheTableMarksTheBestValidation) {
  AddValidation(50, 1.5);
  AddValidation(100, 1.25);
  AddValidation(150, 1.375);
  EXPECT_THAT(Page(), HasSubstr("<tr><td>50</td><td>1.5000</td><td>4.7500</td><td>0.2000</td>"
                                "<td>1.5000</td></tr>\n<tr class=\"best\"><td>100</td>"));
}

TEST_F(JobReportTest, AStepDoneAgainAfterARestartCountsOnce) {
  AddValidation(50, 1.5);
  Add(0, {});
  AddValidation(50, 1.25);
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr("<td>50</td><td>1.2500</td>"));
  EXPECT_THAT(page, Not(HasSubstr("<td>50</td><td>1.5000</td>")));
}

TEST_F(JobReportTest, AValueThatIsMissingIsADash) {
  Add(50, {{"validation_nll", 1.5}});
  EXPECT_THAT(Page(), HasSubstr("<td>1.5000</td><td>-</td><td>-</td><td>-</td></tr>"));
}

TEST_F(JobReportTest, MessagesHaveTimeAndStep) {
  Add(50, {}, "validation 1.5");
  EXPECT_THAT(Page(), HasSubstr("<td>2027-01-15 08:00:50Z</td><td>50</td><td>validation 1.5</td>"));
}

TEST_F(JobReportTest, NoTextIsMarkup) {
  const std::string evil = "</style><script>alert(1)</script>\"'";
  job_.set_job_id(evil);
  job_.set_task(evil);
  job_.set_error(evil);
  job_.set_dataset_digest(evil);
  job_.set_denoiser_digest(evil);
  job_.set_version(1);
  Add(50, {{"loss", 1}, {evil, 1}}, evil);
  EXPECT_THAT(Page(), AllOf(Not(HasSubstr("<script")), HasSubstr("&lt;script&gt;")));
}

TEST_F(JobReportTest, NothingIsLoaded) {
  AddStep(1);
  AddValidation(50, 1.25);
  for (const char* piece : {"http:", "https:", "src=", "href=", "url(", "@import", "<script"}) {
    EXPECT_THAT(Page(), Not(HasSubstr(piece)));
  }
}

}  // namespace
}  // namespace ddpt
