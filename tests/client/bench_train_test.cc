#include "client/bench_train.h"

#include <gtest/gtest.h>

#include "core/base/safetensors.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

BenchTrainOptions Small(size_t batch) {
  BenchTrainOptions options;
  options.batch = batch;
  options.input_tokens = 6;
  options.output_tokens = 5;
  options.runs = 2;
  return options;
}

absl::StatusOr<BenchTrainResult> Bench(const BenchTrainOptions& options) {
  return BenchTrain(options, [](size_t) {});
}

TEST(BenchTrainTest, CachedGradientIsThatOfTheFullModel) {
  const auto result = Bench(Small(3));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->seconds.size(), 2u);
  EXPECT_GT(result->loss, 0);
  EXPECT_LT(result->grad_rel_diff, 1e-5);
  EXPECT_GT(result->share_of_peak(), 0);
}

TEST(BenchTrainTest, TheFullModelTakesMoreArithmetic) {
  const auto one = Bench(Small(1)), four = Bench(Small(4));
  ASSERT_TRUE(one.ok() && four.ok());
  EXPECT_EQ(four->flop, 4 * one->flop);
  EXPECT_GT(one->full_flop, one->flop);
}

TEST(BenchTrainTest, WritesWhatAnotherImplementationNeeds) {
  const std::string path = testing::TempDir() + "/bench_train.safetensors";
  const BenchTrainResult result = Bench(Small(2)).value();
  ASSERT_TRUE(WriteTrainBenchmark(path, result).ok());
  const auto file = SafetensorsFile::Open(path).value();
  EXPECT_EQ(file->tensors().at("instructions").shape, (std::vector<int64_t>{2, 6}));
  EXPECT_EQ(file->tensors().at("answers").shape, (std::vector<int64_t>{2, 5}));
  EXPECT_EQ(file->tensors().at("gradient").ToTensor().data, result.gradient.data);
}

TEST(BenchTrainTest, RefusesMoreTokensThanPositions) {
  BenchTrainOptions options = Small(1);
  options.output_tokens = 1024;
  EXPECT_EQ(FieldOf(Bench(options).status()), "output-tokens");
  options.input_tokens = 2000;
  EXPECT_EQ(FieldOf(Bench(options).status()), "input-tokens");
}

}  // namespace
}  // namespace ddpt
