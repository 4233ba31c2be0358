#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "client/command_line.h"
#include "client/exit_code.h"
#include "core/base/file.h"
#include "tests/integration/training_fixture.h"

namespace ddpt {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// `ddpt evaluate --outcomes` and `ddpt report` against a real server, of a task trained there.
class ReportCommandTest : public TrainingTest {
 protected:
  ReportCommandTest() { EXPECT_TRUE(WriteFileAtomic(data_, SmallDataFile()).ok()); }

  std::string Ddpt(std::vector<std::string> arguments, int code = kExitOk) {
    arguments.insert(arguments.end(), {"--server", server_->server().address()});
    std::ostringstream out, err;
    EXPECT_EQ(RunCommandLine(std::move(arguments), out, err, /*terminal=*/false), code)
        << err.str();
    return err.str();
  }

  std::string Page(std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"report", "--out", page_});
    Ddpt(std::move(flags));
    return ReadFile(page_, 10 << 20).value_or("");
  }

  const std::string data_ = directory_->path() + "/data.jsonl";
  const std::string outcomes_ = directory_->path() + "/" + Name() + ".json";
  const std::string page_ = directory_->path() + "/" + Name() + ".html";
};

TEST_F(ReportCommandTest, AnEvaluationIsReportedWithoutAServer) {
  ASSERT_TRUE(client_->TrainToTheEnd(Small()).ok());
  const std::string task = "task:" + Name();
  Ddpt({"evaluate", "--data", data_, "--contender", "none", "--contender", task + "@5",
        "--contender", task + "@50", "--language", "python", "--outcomes", outcomes_,
        "--max-new-tokens", "8", "--resamples", "20"});
  std::ostringstream out, err;
  ASSERT_EQ(
      RunCommandLine({"report", "--evaluation", outcomes_, "--out", page_, "--server", "nowhere:1"},
                     out, err, /*terminal=*/false),
      kExitOk)
      << err.str();
  EXPECT_THAT(
      ReadFile(page_, 10 << 20).value(),
      AllOf(HasSubstr("<h1>Evaluation</h1>"), HasSubstr("NLL, nats a token"), HasSubstr("CodeBLEU"),
            HasSubstr("over sampling steps"), HasSubstr("<h3>Best: example ")));
}

TEST_F(ReportCommandTest, ATaskHasItsPromptsAndTheJobThatMadeIt) {
  const auto job = client_->TrainToTheEnd(Small());
  ASSERT_TRUE(job.ok()) << job.status();
  const std::string page =
      Page({"--task", Name(), "--draws", "3", "--tokens", "20", "--steps", "20", "--seed", "7"});
  EXPECT_THAT(page,
              AllOf(HasSubstr("<h1>Task " + Name() + "</h1>"), HasSubstr(job->denoiser_digest()),
                    HasSubstr("20 steps, seed 7"), HasSubstr("Nearest tokens by cosine"),
                    HasSubstr("Norms of the vectors"), HasSubstr("Exact t-SNE")));
  EXPECT_THAT(page, AllOf(HasSubstr("Training: " + job->job_id()), HasSubstr("<b>Loss")));
  for (const char* piece : {"http:", "https:", "src=", "href=", "url(", "<script"}) {
    EXPECT_THAT(page, Not(HasSubstr(piece)));
  }
}

TEST_F(ReportCommandTest, TheSeedMakesTheSamePage) {
  ASSERT_TRUE(client_->TrainToTheEnd(Small()).ok());
  const std::vector<std::string> flags = {"--task", Name(), "--tokens", "20", "--steps", "20"};
  const std::string page = Page(flags);
  EXPECT_EQ(Page(flags), page);
}

TEST_F(ReportCommandTest, APrefixHasNoTokensNearIt) {
  v1::TrainRequest request = Small();
  MakePrefix(request, v1::PREFIX_PLACE_DECODER);
  ASSERT_TRUE(client_->TrainToTheEnd(request).ok());
  EXPECT_THAT(Page({"--task", Name()}),
              AllOf(HasSubstr("which no tokens are near"), Not(HasSubstr("t-SNE"))));
}

TEST_F(ReportCommandTest, NothingToReportIsRefused) {
  EXPECT_THAT(Ddpt({"report", "--out", page_}, kExitUsage), HasSubstr("report needs one of"));
  EXPECT_FALSE(ReadFile(page_, 1).ok());
}

}  // namespace
}  // namespace ddpt
