#include "client/bench_batching.h"

#include <gtest/gtest.h>

#include "core/base/status.h"

namespace ddpt {
namespace {

BenchBatchingOptions Small() {
  BenchBatchingOptions options;
  options.clients = 9;
  options.batch = 4;
  options.requests = 21;
  options.input_tokens = 6;
  options.output_tokens = 12;
  options.runs = 2;
  return options;
}

absl::StatusOr<BenchBatchingResult> Bench(const BenchBatchingOptions& options) {
  return BenchBatching(options, [](size_t) {});
}

TEST(BenchBatchingTest, BothKindsAnswerAllRequestsAndContinuousInFewerSteps) {
  const auto result = Bench(Small());
  ASSERT_TRUE(result.ok()) << result.status();
  for (const BatchingFigures& figures : {result->continuous, result->fixed}) {
    EXPECT_EQ(figures.first_tokens.size(), 42u);
    EXPECT_EQ(figures.answers.size(), 42u);
    EXPECT_GE(figures.answers.back(), figures.first_tokens.front());
  }
  EXPECT_EQ(result->continuous.tokens, result->fixed.tokens);
  EXPECT_LT(result->continuous.steps, result->fixed.steps);
}

TEST(BenchBatchingTest, BadOptionsAreNamed) {
  BenchBatchingOptions options = Small();
  options.clients = 0;
  EXPECT_EQ(FieldOf(Bench(options).status()), "clients");
  options = Small();
  options.output_tokens = 5000;
  EXPECT_EQ(FieldOf(Bench(options).status()), "output-tokens");
}

}  // namespace
}  // namespace ddpt
