#include "client/bench_generate.h"

#include <gtest/gtest.h>

#include "core/base/status.h"

namespace ddpt {
namespace {

BenchGenerateOptions Small(size_t batch) {
  BenchGenerateOptions options;
  options.batch = batch;
  options.input_tokens = 6;
  options.output_tokens = 5;
  options.runs = 2;
  return options;
}

absl::StatusOr<BenchGenerateResult> Bench(const BenchGenerateOptions& options) {
  return BenchGenerate(options, [](size_t) {});
}

TEST(BenchGenerateTest, EveryRowGetsItsTokens) {
  const auto result = Bench(Small(3));
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->tokens.size(), 3u);
  for (const auto& row : result->tokens) EXPECT_EQ(row.size(), 5u);
  EXPECT_EQ(result->seconds.size(), 2u);
  EXPECT_EQ(result->prefix_tokens, 7u);
  EXPECT_GT(result->share_of_peak(), 0);
}

TEST(BenchGenerateTest, ArithmeticGrowsWithTheRows) {
  const auto one = Bench(Small(1)), four = Bench(Small(4));
  ASSERT_TRUE(one.ok() && four.ok());
  EXPECT_EQ(four->flop, 4 * one->flop);
  EXPECT_LT(four->bytes, 4 * one->bytes);
}

TEST(BenchGenerateTest, RefusesMoreTokensThanPositions) {
  BenchGenerateOptions options = Small(1);
  options.output_tokens = 1024;
  EXPECT_EQ(FieldOf(Bench(options).status()), "output-tokens");
  options.input_tokens = 2000;
  EXPECT_EQ(FieldOf(Bench(options).status()), "input-tokens");
}

TEST(BenchGenerateTest, AMissingModelIsNamed) {
  BenchGenerateOptions options = Small(1);
  options.model = "/nowhere";
  EXPECT_NE(Bench(options).status().message().find("/nowhere"), std::string::npos);
}

}  // namespace
}  // namespace ddpt
