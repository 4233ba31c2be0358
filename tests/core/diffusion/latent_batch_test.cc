#include "core/diffusion/latent_batch.h"

#include <cmath>
#include <map>
#include <random>
#include <thread>

#include "core/base/status.h"
#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

using ::testing::HasSubstr;

DenoiserSpec ConditionalSpec(Reading reading) {
  DenoiserSpec spec = SmallSpec(reading);
  spec.condition_width = 5;
  return spec;
}

// A valid row with everything that may differ between neighbours.
SampleRow RandomRow(Reading reading, std::mt19937_64& random) {
  SampleRow row{.seed = random(), .draw = random() % 3};
  row.options.steps = 1 + static_cast<int64_t>(random() % 30);
  row.options.sampler = static_cast<Sampler>(random() % 3);
  if (reading == Reading::kResidual) row.options.sampler = Sampler::kResidual;
  if (row.options.sampler == Sampler::kDdim) row.options.eta = (random() % 3) / 2.0;
  if (random() % 2 == 0) row.condition = Noise(random(), 5);
  if (!row.condition.empty() && random() % 2 == 0) row.options.guidance_scale = 2.5;
  row.add_context = random() % 4 != 0;
  return row;
}

TEST(LatentBatchTest, WithoutUpProjectionThePromptIsTheContextExactly) {
  const DenoiserSpec spec = SmallSpec();
  DenoiserWeights weights = RandomWeights(spec, 1);
  weights.up_weight.assign(weights.up_weight.size(), 0);
  weights.up_bias.assign(weights.up_bias.size(), 0);
  const auto engine = LatentEngine::Create(MakeDenoiser(spec, weights)).value();
  for (const Sampler sampler : {Sampler::kAncestral, Sampler::kDdim, Sampler::kDpmSolverPp2M}) {
    EXPECT_EQ(RunAlone(engine, {.options = Options(sampler, 20)})->data, weights.context);
  }
}

TEST(LatentBatchTest, APrefixIsTheContextAndTheBiasWhateverTheSeed) {
  DenoiserSpec spec = SmallSpec();
  spec.method = Method::kPrefixTuning;
  spec.latent = 1;
  spec.layers = 0;
  spec.width = 2048;
  const DenoiserWeights weights = RandomWeights(spec, 1);
  const auto engine = LatentEngine::Create(MakeDenoiser(spec, weights)).value();
  EXPECT_LT(engine->bytes(), 4 * spec.size() * sizeof(float));  // W = 0 would take 32 rows
  std::vector<float> expected = weights.up_bias;
  for (size_t i = 0; i < expected.size(); ++i) expected[i] += weights.context[i];
  auto batch = LatentBatch::Create(engine, 1).value();  // whose one place is used again
  for (const Sampler sampler : {Sampler::kAncestral, Sampler::kDdim, Sampler::kDpmSolverPp2M}) {
    ASSERT_TRUE(batch->Join({.seed = 7, .options = Options(sampler, 20)}).ok());
    EXPECT_EQ(RunBatch(*batch)->data, expected);
  }
}

TEST(LatentBatchTest, ResultHasTheShapeOfTheContext) {
  const auto prompt = RunAlone(RandomEngine(SmallSpec()), {.options = {.steps = 3}});
  EXPECT_THAT(prompt->shape, ::testing::ElementsAre(3, 21));
}

TEST(LatentBatchTest, TheContextIsAddedOnRequestOnly) {
  const auto engine = RandomEngine(SmallSpec());
  SampleRow row{.options = {.steps = 5}};
  const auto prompt = RunAlone(engine, row);
  row.add_context = false;
  auto direction = RunAlone(engine, row);
  for (size_t i = 0; i < direction->data.size(); ++i) {
    direction->data[i] += engine->denoiser().context()[i];
  }
  EXPECT_EQ(direction->data, prompt->data);
}

TEST(LatentBatchTest, InitialNoiseReplacesTheSeedsDraw) {
  const auto engine = RandomEngine(SmallSpec());
  SampleRow row{.seed = 9, .draw = 2, .options = {.steps = 5}};
  const auto drawn = RunAlone(engine, row);
  row.initial_noise.resize(engine->spec().size());
  FillNormal({.seed = 9, .sample = 2, .stage = kInitialNoiseStage}, row.initial_noise);
  row.seed = row.draw = 0;
  EXPECT_EQ(RunAlone(engine, row)->data, drawn->data);
}

TEST(LatentBatchTest, SeedAndDrawEachChangeThePrompt) {
  const auto engine = RandomEngine(SmallSpec());
  const auto base = RunAlone(engine, {.seed = 1, .options = {.steps = 5}});
  EXPECT_NE(RunAlone(engine, {.seed = 2, .options = {.steps = 5}})->data, base->data);
  EXPECT_NE(RunAlone(engine, {.seed = 1, .draw = 1, .options = {.steps = 5}})->data, base->data);
}

TEST(LatentBatchTest, StepNoiseChangesStochasticSamplersOnly) {
  const auto engine = RandomEngine(SmallSpec());
  SampleRow row{.seed = 1, .options = Options(Sampler::kAncestral, 20)};
  row.initial_noise = Noise(1, engine->spec().size());
  const auto first = RunAlone(engine, row);
  row.seed = 2;
  EXPECT_NE(RunAlone(engine, row)->data, first->data);
  row.seed = 1;
  row.draw = 1;
  EXPECT_NE(RunAlone(engine, row)->data, first->data);
  row.options.sampler = Sampler::kDdim;
  const auto still = RunAlone(engine, row);
  row.seed = 3;
  EXPECT_EQ(RunAlone(engine, row)->data, still->data);
}

class NeighbourTest : public ::testing::TestWithParam<std::tuple<Reading, size_t>> {};

// Neighbours join at random steps, some are removed; the row's bytes are those of the row alone.
TEST_P(NeighbourTest, NeighboursNeverChangeAByte) {
  const auto [reading, neighbours] = GetParam();
  const auto engine = RandomEngine(ConditionalSpec(reading));
  std::mt19937_64 random(neighbours);
  for (int trial = 0; trial < 10; ++trial) {
    const SampleRow row = RandomRow(reading, random);
    const auto alone = RunAlone(engine, row);
    auto batch = LatentBatch::Create(engine, neighbours + 1 + random() % 5).value();
    for (size_t i = 0; i < neighbours / 2; ++i) (void)batch->Join(RandomRow(reading, random));
    for (int i = random() % 5; i > 0; --i) batch->Step();
    const uint64_t id = batch->Join(row).value();
    absl::StatusOr<Tensor> among = absl::NotFoundError("not finished");
    uint64_t neighbour = 0;
    while (!among.ok()) {
      if (batch->width() < batch->capacity()) {
        neighbour = batch->Join(RandomRow(reading, random)).value();
      }
      if (random() % 3 == 0) batch->Remove(neighbour);
      for (auto& finished : batch->Step()) {
        if (finished.id == id) among = std::move(finished.result);
      }
    }
    ASSERT_EQ(among->data, alone->data) << "trial " << trial;
  }
}

INSTANTIATE_TEST_SUITE_P(All, NeighbourTest,
                         ::testing::Combine(::testing::Values(Reading::kX0, Reading::kX0Residual,
                                                              Reading::kResidual),
                                            ::testing::Values(1, 3, 31, 255)));

// At every width, with a helper in most steps: the row's bytes are those of one thread.
TEST(LatentBatchTest, AHelperNeverChangesAByte) {
  for (const Reading reading : {Reading::kX0, Reading::kX0Residual, Reading::kResidual}) {
    DenoiserSpec spec = ConditionalSpec(reading);
    spec.latent = 100;
    const auto engine = RandomEngine(spec);
    auto batch = LatentBatch::Create(engine, 9).value();
    const HelperThreads helper(1, [&](HelperThreads::Leave leave) { batch->Help(leave); });
    std::mt19937_64 random(7);
    for (const size_t width : {1, 2, 9}) {
      std::map<uint64_t, SampleRow> rows;
      for (size_t i = 0; i < width; ++i) {
        const SampleRow row = RandomRow(reading, random);
        rows[batch->Join(row).value()] = row;
      }
      while (batch->width() > 0) {
        while (batch->helpers() == 0) std::this_thread::yield();
        for (const auto& finished : batch->Step()) {
          EXPECT_EQ(finished.result->data, RunAlone(engine, rows.at(finished.id))->data);
        }
      }
    }
  }
}

TEST(LatentBatchTest, EveryKernelGivesTheSameBytes) {
  for (const WeightType type : {WeightType::kFloat32, WeightType::kBfloat16}) {
    for (const Reading reading : {Reading::kX0, Reading::kX0Residual, Reading::kResidual}) {
      const auto portable = RandomEngine(ConditionalSpec(reading), 1, PortableKernels(), type);
      std::mt19937_64 random(5);
      for (const Kernels* kernels : {Avx2Kernels(), Avx512Kernels()}) {
        if (kernels == nullptr) continue;
        const auto fast = RandomEngine(ConditionalSpec(reading), 1, *kernels, type);
        for (int trial = 0; trial < 5; ++trial) {
          const SampleRow row = RandomRow(reading, random);
          EXPECT_EQ(RunAlone(portable, row)->data, RunAlone(fast, row)->data) << kernels->name;
        }
      }
    }
  }
}

TEST(LatentBatchTest, Bfloat16StaysNearFloat32) {
  for (const Reading reading : {Reading::kX0, Reading::kX0Residual, Reading::kResidual}) {
    const auto exact = RandomEngine(SmallSpec(reading));
    const auto rounded = RandomEngine(SmallSpec(reading), 1, BestKernels(), WeightType::kBfloat16);
    const SampleRow row{.options = {.sampler = DefaultSampler(reading), .steps = 200}};
    const auto expected = RunAlone(exact, row)->data, actual = RunAlone(rounded, row)->data;
    EXPECT_NE(actual, expected);
    EXPECT_LT(RelativeDifference(actual, expected), 0.02);
  }
}

// The inverse: a neighbour's bytes do follow what is its own.
TEST(LatentBatchTest, EveryFieldOfARowChangesItsOwnBytes) {
  const auto engine = RandomEngine(ConditionalSpec(Reading::kX0));
  const SampleRow base{.seed = 1, .options = {.steps = 10, .eta = 0.5}, .condition = Noise(1, 5)};
  const auto prompt = RunAlone(engine, base)->data;
  std::vector<SampleRow> others(6, base);
  others[0].options.steps = 11;
  others[1].options.eta = 0.6;
  others[2].options.guidance_scale = 1.5;
  others[3].condition[2] += 0.5;
  others[4].condition.clear();
  others[5].options = Options(Sampler::kDpmSolverPp2M, 10);
  for (const SampleRow& row : others) EXPECT_NE(RunAlone(engine, row)->data, prompt);
}

TEST(LatentBatchTest, RowsLeaveAfterTheirOwnNumberOfSteps) {
  auto batch = LatentBatch::Create(RandomEngine(SmallSpec()), 4).value();
  const uint64_t two = batch->Join({.options = {.steps = 2}}).value();
  const uint64_t three = batch->Join({.options = {.steps = 3}}).value();
  EXPECT_TRUE(batch->Step().empty());
  EXPECT_EQ(batch->StepsTaken(two), 1);
  EXPECT_EQ(batch->Step().at(0).id, two);
  EXPECT_EQ(batch->width(), 1);
  EXPECT_EQ(batch->Step().at(0).id, three);
  EXPECT_EQ(batch->width(), 0);
  EXPECT_TRUE(batch->Step().empty());
}

TEST(LatentBatchTest, RefusesRowsBeyondItsCapacity) {
  auto batch = LatentBatch::Create(RandomEngine(SmallSpec()), 2).value();
  const uint64_t first = batch->Join({.options = {.steps = 2}}).value();
  ASSERT_TRUE(batch->Join({.options = {.steps = 2}}).ok());
  EXPECT_EQ(batch->Join({.options = {.steps = 2}}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(batch->Remove(first));
  EXPECT_TRUE(batch->Join({.options = {.steps = 2}}).ok());
}

TEST(LatentBatchTest, RemovesARowOnce) {
  auto batch = LatentBatch::Create(RandomEngine(SmallSpec()), 2).value();
  const uint64_t id = batch->Join({.options = {.steps = 2}}).value();
  EXPECT_TRUE(batch->Remove(id));
  EXPECT_FALSE(batch->Remove(id));
  const uint64_t next = batch->Join({.options = {.steps = 2}}).value();
  EXPECT_NE(next, id);
  EXPECT_FALSE(batch->Remove(id));
  EXPECT_FALSE(batch->Remove(0));
  EXPECT_EQ(batch->width(), 1);
}

TEST(LatentBatchTest, ANonFiniteRowEndsAloneNamingItsStep) {
  const DenoiserSpec spec = ConditionalSpec(Reading::kX0);
  DenoiserWeights weights = RandomWeights(spec, 1);
  for (float& value : weights.condition_weight) value = 3e38f;
  const auto engine = LatentEngine::Create(MakeDenoiser(spec, weights)).value();
  const SampleRow healthy{.seed = 4, .options = {.steps = 6}};
  auto batch = LatentBatch::Create(engine, 3).value();
  const uint64_t good = batch->Join(healthy).value();
  SampleRow row{.options = {.steps = 6}, .condition = std::vector<float>(5, 3e38f)};
  const uint64_t bad = batch->Join(row).value();
  const auto& finished = batch->Step();
  ASSERT_EQ(finished.size(), 1);
  EXPECT_EQ(finished[0].id, bad);
  EXPECT_EQ(finished[0].result.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(finished[0].result.status().message()), HasSubstr("step 1 of 6"));
  EXPECT_EQ(RunBatch(*batch)->data, RunAlone(engine, healthy)->data);
  EXPECT_FALSE(batch->Remove(good));
}

TEST(LatentBatchTest, ANonFinitePromptIsAnErrorOfTheLastStep) {
  const DenoiserSpec spec = SmallSpec();
  DenoiserWeights weights = ZeroWeights(spec);
  for (float& value : weights.up_weight) value = 3e38f;
  weights.down_bias.assign(weights.down_bias.size(), 5.0f);
  const auto engine = LatentEngine::Create(MakeDenoiser(spec, weights)).value();
  const auto prompt = RunAlone(engine, {.options = {.steps = 4}});
  EXPECT_EQ(prompt.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(prompt.status().message()), HasSubstr("step 4 of 4"));
}

struct BadRow {
  SampleRow row;
  const char* field;
};

TEST(LatentBatchTest, RefusesRowsThatDoNotFitTheDenoiser) {
  auto batch = LatentBatch::Create(RandomEngine(ConditionalSpec(Reading::kX0)), 1).value();
  const std::vector<float> condition(5, 0.5f), nan(5, std::nanf(""));
  for (const BadRow& bad : {
           BadRow{{.options = {.steps = 0}}, "sampling.steps"},
           BadRow{{.options = {.steps = 5}, .condition = {1, 2}}, "condition"},
           BadRow{{.options = {.steps = 5}, .condition = nan}, "condition"},
           BadRow{{.options = {.steps = 5}, .initial_noise = {1}}, "initial_noise"},
           BadRow{{.options = {.steps = 5}, .initial_noise = std::vector<float>(63, HUGE_VALF)},
                  "initial_noise"},
           BadRow{{.options = {.steps = 5, .guidance_scale = 2}}, "sampling.guidance_scale"},
       }) {
    EXPECT_EQ(FieldOf(batch->Join(bad.row).status()), bad.field);
  }
  EXPECT_EQ(batch->width(), 0);
}

TEST(LatentBatchTest, RefusesCapacitiesOutsideItsLimits) {
  const auto engine = RandomEngine(SmallSpec());
  EXPECT_EQ(FieldOf(LatentBatch::Create(engine, 0).status()), "capacity");
  EXPECT_EQ(FieldOf(LatentBatch::Create(engine, 4097).status()), "capacity");
}

}  // namespace
}  // namespace ddpt
