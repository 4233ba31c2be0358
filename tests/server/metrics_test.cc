#include "server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/status.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

class MetricsTest : public testing::Test {
 protected:
  std::string Text() { return prometheus::TextSerializer().Serialize(registry_->Collect()); }

  // Lines that are samples.
  size_t Series() {
    const std::string text = Text();
    size_t count = 0;
    for (size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1) {
      if (text[begin] != '#') ++count;
    }
    return count;
  }

  std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  Metrics metrics_{registry_};
};

TEST_F(MetricsTest, CountsByMethodCodeAndOutcome) {
  const auto& method = metrics_.AddMethod("ddpt.v1.PromptService", "Sample", "unary", true);
  metrics_.Handled(method, "", absl::InvalidArgumentError("x"), milliseconds(1));
  EXPECT_THAT(Text(), HasSubstr("grpc_server_handled_total{grpc_code=\"InvalidArgument\",grpc_"
                                "method=\"Sample\",grpc_service=\"ddpt.v1.PromptService\",grpc_"
                                "type=\"unary\"} 1"));
  EXPECT_THAT(Text(), HasSubstr("ddpt_requests_total{outcome=\"error\",rpc=\"Sample\"} 1"));
}

TEST_F(MetricsTest, GpuMemoryIsThereOnceRead) {
  EXPECT_THAT(Text(), Not(HasSubstr("ddpt_gpu_memory_used_bytes ")));
  metrics_.GpuMemory(3, 5);
  EXPECT_THAT(Text(), HasSubstr("ddpt_gpu_memory_used_bytes 3"));
  EXPECT_THAT(Text(), HasSubstr("ddpt_gpu_memory_total_bytes 5"));
}

TEST_F(MetricsTest, RefusalsCarryTheirReason) {
  const auto& method = metrics_.AddMethod("s", "Sample", "unary", true);
  metrics_.Handled(method, "", WithReason(absl::ResourceExhaustedError("x"), kReasonQueueFull),
                   milliseconds(1));
  metrics_.Handled(method, "", WithReason(absl::DeadlineExceededError("x"), kReasonExpired),
                   milliseconds(1));
  EXPECT_THAT(Text(),
              HasSubstr("ddpt_requests_rejected_total{reason=\"queue_full\",rpc=\"Sample\"} 1"));
  EXPECT_THAT(Text(),
              HasSubstr("ddpt_requests_rejected_total{reason=\"deadline\",rpc=\"Sample\"} 1"));
  EXPECT_THAT(Text(), HasSubstr("ddpt_requests_total{outcome=\"rejected\",rpc=\"Sample\"} 1"));
}

TEST_F(MetricsTest, UnknownTaskIsOther) {
  const auto& method = metrics_.AddMethod("s", "Sample", "unary", true);
  metrics_.SetTask("known", 1, "abc");
  for (const char* task : {"known", "made-up", "\"; drop"}) {
    metrics_.Handled(method, task, absl::OkStatus(), milliseconds(1));
  }
  EXPECT_THAT(Text(), HasSubstr("ddpt_task_requests_total{outcome=\"ok\",task=\"known\"} 1"));
  EXPECT_THAT(Text(), HasSubstr("ddpt_task_requests_total{outcome=\"ok\",task=\"other\"} 2"));
  EXPECT_THAT(Text(), Not(HasSubstr("made-up")));
}

TEST_F(MetricsTest, DeletedTaskLeavesNoSeries) {
  const auto& method = metrics_.AddMethod("s", "Sample", "unary", true);
  metrics_.SetTask("gone", 1, "abc");
  metrics_.SetTask("gone", 2, "def");
  metrics_.Handled(method, "gone", absl::OkStatus(), milliseconds(1));
  metrics_.PromptEffect("gone", 1.5);
  metrics_.RemoveTask("gone");
  metrics_.PromptEffect("gone", 1.5);
  EXPECT_THAT(Text(), Not(HasSubstr("gone")));
}

TEST_F(MetricsTest, TaskInfoHasOnlyTheActiveVersion) {
  metrics_.SetTask("t", 1, "abc");
  metrics_.SetTask("t", 2, "def");
  EXPECT_THAT(Text(), Not(HasSubstr("version=\"1\"")));
  EXPECT_THAT(Text(), HasSubstr("ddpt_task_info{digest=\"def\",task=\"t\",version=\"2\"} 1"));
}

TEST_F(MetricsTest, MeansOfASlice) {
  metrics_.SampleSlice(10, 40, std::chrono::microseconds(100));
  EXPECT_THAT(Text(), HasSubstr("ddpt_sample_batch_size_sum 4"));
  EXPECT_THAT(Text(), HasSubstr("ddpt_sample_step_seconds_sum 1e-05"));
}

// Every method of the contract, every outcome and reason, 32 tasks: the most that can be.
TEST_F(MetricsTest, SeriesStayBelowTwoThousand) {
  const std::vector<absl::Status> endings = {
      absl::OkStatus(),
      absl::InvalidArgumentError("x"),
      absl::NotFoundError("x"),
      absl::CancelledError("x"),
      absl::DeadlineExceededError("x"),
      WithReason(absl::ResourceExhaustedError("x"), kReasonQueueFull),
      WithReason(absl::UnavailableError("x"), kReasonDraining)};
  std::vector<std::string> tasks;
  for (int i = 0; i < 32; ++i) {
    tasks.push_back(absl::StrCat("task-", i));
    metrics_.SetTask(tasks.back(), 1, "abc");
    metrics_.PromptEffect(tasks.back(), 1);
  }
  const char* const queueing[] = {"Sample", "Replay", "Generate", "Score", "Evaluate"};
  const char* const others[] = {
      "Describe",   "Train",     "UploadDataset", "GetJob",     "ListJobs",    "WatchJob",
      "CancelJob",  "ListTasks", "GetTask",       "ImportTask", "PromoteTask", "RollbackTask",
      "DeleteTask", "GetModel",  "Tokenize",      "Detokenize", "EmbedTokens"};
  std::vector<const Metrics::Method*> methods;
  for (const char* name : queueing)
    methods.push_back(&metrics_.AddMethod("s", name, "unary", true));
  for (const char* name : others) methods.push_back(&metrics_.AddMethod("s", name, "unary", false));
  for (const Metrics::Method* method : methods) {
    for (const absl::Status& status : endings) {
      metrics_.Handled(*method, "unknown", status, milliseconds(1));
      for (const std::string& task : tasks)
        metrics_.Handled(*method, task, status, milliseconds(1));
    }
  }
  for (const char* sampler : {"ancestral", "ddim", "dpm_solver_pp_2m", "residual"}) {
    metrics_.SampleDone(sampler, 2000, milliseconds(1));
  }
  metrics_.StreamPoolThreads(1, 2);
  EXPECT_LT(Series(), 2000u);
  EXPECT_GT(Series(), 1000u);
}

}  // namespace
}  // namespace ddpt
