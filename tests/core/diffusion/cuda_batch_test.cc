#include <map>
#include <random>

#include "core/base/status.h"
#include "tests/core/diffusion/testing.h"

// On a machine without a GPU these tests are skipped.
namespace ddpt {
namespace {

constexpr int kGpu = 0;

struct Shape {
  int64_t latent, layers, train_steps;
};

DenoiserSpec SpecOf(const Shape& shape) {
  DenoiserSpec spec;
  spec.context_length = 2;
  spec.width = 64;
  spec.latent = shape.latent;
  spec.layers = shape.layers;
  spec.time_features = 8;
  spec.train_steps = shape.train_steps;
  spec.condition_width = 5;
  return spec;
}

class CudaBatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto engine = OnGpu(SpecOf({32, 1, 10}), WeightType::kFloat32);
    if (!engine.ok()) GTEST_SKIP() << engine.status();
  }

  static absl::StatusOr<std::shared_ptr<const LatentEngine>> OnGpu(const DenoiserSpec& spec,
                                                                   WeightType type) {
    return LatentEngine::Create(RandomDenoiser(spec, 1).value(), type, BestKernels(), kGpu);
  }
};

SampleRow RandomRow(const DenoiserSpec& spec, std::mt19937_64& random) {
  SampleRow row{.seed = random(), .draw = random() % 7};
  const Sampler samplers[] = {Sampler::kDdim, Sampler::kAncestral, Sampler::kDpmSolverPp2M};
  row.options = Options(samplers[random() % 3], 1 + random() % spec.train_steps);
  if (row.options.sampler == Sampler::kDdim && random() % 2 == 0) row.options.eta = 0.5;
  if (random() % 2 == 0) row.condition = Noise(random(), spec.condition_width);
  if (!row.condition.empty() && random() % 2 == 0) row.options.guidance_scale = 2.5;
  if (random() % 4 == 0) row.initial_noise = Noise(random(), spec.size());
  row.add_context = random() % 2 == 0;
  return row;
}

// The rows' prompts, joined as room allows.
std::vector<Tensor> RunAll(DrawBatch& batch, const std::vector<SampleRow>& rows) {
  std::vector<Tensor> prompts(rows.size());
  std::map<uint64_t, size_t> ids;
  for (size_t next = 0; next < rows.size() || batch.width() > 0;) {
    for (; next < rows.size() && batch.width() < batch.capacity(); ++next) {
      ids[batch.Join(rows[next]).value()] = next;
    }
    for (DrawBatch::Finished& finished : batch.Step()) {
      EXPECT_TRUE(finished.result.ok()) << finished.result.status();
      if (finished.result.ok()) prompts[ids.at(finished.id)] = *std::move(finished.result);
    }
  }
  return prompts;
}

std::vector<Tensor> RunAll(const std::shared_ptr<const LatentEngine>& engine, size_t capacity,
                           const std::vector<SampleRow>& rows) {
  return RunAll(*DrawBatch::Create(engine, capacity).value(), rows);
}

std::vector<SampleRow> RandomRows(const DenoiserSpec& spec, size_t count) {
  std::mt19937_64 random(count);
  std::vector<SampleRow> rows;
  for (size_t i = 0; i < count; ++i) rows.push_back(RandomRow(spec, random));
  return rows;
}

class CudaShapeTest : public CudaBatchTest, public ::testing::WithParamInterface<Shape> {};

TEST_P(CudaShapeTest, Float32GivesTheBytesOfTheProcessor) {
  const DenoiserSpec spec = SpecOf(GetParam());
  const auto gpu = OnGpu(spec, WeightType::kFloat32).value();
  ASSERT_NE(gpu->cuda(), nullptr);
  EXPECT_EQ(gpu->arithmetic_class(), "fp32-cpu");
  const std::vector<SampleRow> rows = RandomRows(spec, 300);
  const auto expected = RunAll(RandomEngine(spec), 32, rows);
  const auto actual = RunAll(gpu, 200, rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(actual[i].shape, expected[i].shape);
    ASSERT_EQ(actual[i].data, expected[i].data) << "row " << i;
  }
}

TEST_P(CudaShapeTest, Bfloat16StaysNearTheProcessors) {
  const DenoiserSpec spec = SpecOf(GetParam());
  const auto gpu = OnGpu(spec, WeightType::kBfloat16).value();
  EXPECT_THAT(gpu->arithmetic_class(), ::testing::MatchesRegex("bf16-sm[0-9]+"));
  const std::vector<SampleRow> rows = RandomRows(spec, 100);
  const auto expected =
      RunAll(RandomEngine(spec, 1, BestKernels(), WeightType::kBfloat16), 32, rows);
  const auto actual = RunAll(gpu, 64, rows);
  double largest = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    largest = std::max(largest, RelativeDifference(actual[i].data, expected[i].data));
  }
  RecordProperty("largest", std::to_string(largest));
  EXPECT_LT(largest, 1e-3);
}

TEST_P(CudaShapeTest, NeighboursNeverChangeAByteInBfloat16) {
  const DenoiserSpec spec = SpecOf(GetParam());
  const auto gpu = OnGpu(spec, WeightType::kBfloat16).value();
  const std::vector<SampleRow> rows = RandomRows(spec, 20);
  for (const size_t neighbours : {1, 3, 31, 255}) {
    std::vector<SampleRow> all = RandomRows(spec, neighbours);
    all.insert(all.begin() + neighbours / 2, rows.begin(), rows.end());
    const auto among = RunAll(gpu, neighbours + 1, all);
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto alone = RunAll(gpu, 1, {rows[i]});
      ASSERT_EQ(among[neighbours / 2 + i].data, alone[0].data) << neighbours << ", row " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CudaShapeTest,
                         ::testing::Values(Shape{32, 1, 40}, Shape{96, 2, 200}, Shape{128, 3, 300},
                                           Shape{256, 2, 300}, Shape{512, 2, 140},
                                           Shape{1024, 1, 20}),
                         [](const auto& info) {
                           return "Latent" + std::to_string(info.param.latent);
                         });

TEST_F(CudaBatchTest, FullSizeFloat32GivesTheBytesOfTheProcessor) {
  DenoiserSpec spec;
  std::vector<SampleRow> rows;
  for (const Sampler sampler : {Sampler::kDdim, Sampler::kAncestral, Sampler::kDpmSolverPp2M}) {
    rows.push_back({.seed = 5, .options = Options(sampler, 2000)});
  }
  const auto expected = RunAll(RandomEngine(spec), 3, rows);
  const auto actual = RunAll(OnGpu(spec, WeightType::kFloat32).value(), 3, rows);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(actual[i].data, expected[i].data) << i;
}

TEST_F(CudaBatchTest, ANonFiniteRowEndsAloneNamingItsStepAsOnTheProcessor) {
  const DenoiserSpec spec = SpecOf({64, 2, 300});
  const auto gpu = OnGpu(spec, WeightType::kFloat32).value();
  SampleRow bad{.seed = 1, .options = Options(Sampler::kAncestral, 290)};
  bad.initial_noise.assign(spec.size(), 3e38f);
  const SampleRow good{.seed = 2, .options = {.steps = 140}};
  const absl::Status expected = RunAlone(RandomEngine(spec), bad).status();
  ASSERT_TRUE(absl::IsInternal(expected)) << expected;
  auto batch = DrawBatch::Create(gpu, 2).value();
  const uint64_t bad_id = batch->Join(bad).value();
  const uint64_t good_id = batch->Join(good).value();
  std::map<uint64_t, absl::StatusOr<Tensor>> results;
  while (batch->width() > 0) {
    for (auto& finished : batch->Step()) results[finished.id] = std::move(finished.result);
  }
  EXPECT_EQ(results[bad_id].status(), expected);
  EXPECT_EQ(results[good_id]->data, RunAlone(RandomEngine(spec), good)->data);
}

TEST_F(CudaBatchTest, RemovesARowOnceAndRefusesMoreThanItsCapacity) {
  auto batch =
      DrawBatch::Create(OnGpu(SpecOf({64, 1, 300}), WeightType::kFloat32).value(), 2).value();
  const uint64_t id = batch->Join({.options = {.steps = 300}}).value();
  EXPECT_TRUE(batch->Join({.options = {.steps = 300}}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(batch->Join({.options = {.steps = 1}}).status()));
  batch->Step();
  EXPECT_TRUE(batch->Remove(id));
  EXPECT_FALSE(batch->Remove(id));
  EXPECT_EQ(batch->width(), 1u);
}

TEST(CudaEngineTest, AGpuThatIsNotThereIsRefused) {
  const auto engine = LatentEngine::Create(RandomDenoiser(SpecOf({32, 1, 10}), 1).value(),
                                           WeightType::kFloat32, BestKernels(), 99);
  EXPECT_TRUE(absl::IsFailedPrecondition(engine.status())) << engine.status();
}

}  // namespace
}  // namespace ddpt
