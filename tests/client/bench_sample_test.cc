#include "client/bench_sample.h"

#include <gtest/gtest.h>

#include "core/base/safetensors.h"
#include "core/base/status.h"
#include "core/diffusion/random_denoiser.h"

namespace ddpt {
namespace {

BenchSampleOptions Small(size_t batch, size_t threads) {
  DenoiserSpec spec;
  spec.context_length = 2;
  spec.width = 8;
  spec.latent = 16;
  spec.method = Method::kRandom;
  BenchSampleOptions options;
  options.denoiser = *RandomDenoiser(spec, 1);
  options.sampling.steps = 5;
  options.batch = batch;
  options.threads = threads;
  options.runs = 2;
  return options;
}

// As helpers, with more threads than prompts too, and with batches of their own.
TEST(BenchSampleTest, PromptsDoNotDependOnThreads) {
  for (const size_t batch : {1, 5, 70}) {
    const auto one = BenchSample(Small(batch, 1), [](size_t) {});
    ASSERT_TRUE(one.ok()) << one.status();
    for (const size_t threads : {2, 3}) {
      const auto several = BenchSample(Small(batch, threads), [](size_t) {});
      ASSERT_TRUE(several.ok()) << several.status();
      ASSERT_EQ(several->prompts.size(), batch);
      for (size_t i = 0; i < batch; ++i) {
        EXPECT_EQ(several->prompts[i].data, one->prompts[i].data);
      }
    }
  }
}

TEST(BenchSampleTest, CountsTheArithmetic) {
  const auto result = BenchSample(Small(3, 1), [](size_t) {});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->flop, 2.0 * 3 * (5 * 3 * 16 * 16 + 2 * 16 * 16));
  EXPECT_EQ(result->seconds.size(), 2u);
  EXPECT_GT(result->share_of_peak(), 0);
}

TEST(BenchSampleTest, RefusesThreadsOutsideTheirLimits) {
  for (const size_t threads : {0, 257}) {
    EXPECT_EQ(FieldOf(BenchSample(Small(2, threads), [](size_t) {}).status()), "threads");
  }
}

TEST(BenchSampleTest, WritesWhatAPeerNeeds) {
  const std::string path = testing::TempDir() + "bench_sample_test.safetensors";
  const BenchSampleOptions options = Small(2, 1);
  const auto result = BenchSample(options, [](size_t) {});
  ASSERT_TRUE(result.ok());
  ASSERT_TRUE(WriteSampleBenchmark(path, options, *result).ok());
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<int64_t> shape = {2, 2, 8};
  EXPECT_EQ((*file)->tensors().at("initial_noise").shape, shape);
  EXPECT_EQ((*file)->tensors().at("prompts").shape, shape);
}

}  // namespace
}  // namespace ddpt
