#include "core/tuning/trainer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/digest.h"
#include "core/decoding/scorer.h"
#include "core/model/batch.h"
#include "core/model/codet5p_model.h"
#include "core/model/random_weights.h"

namespace ddpt {
namespace {

std::shared_ptr<const LanguageModel> TinyModel(float head_bias = 0,
                                               at::ScalarType dtype = at::kFloat) {
  Codet5pConfig config;
  config.encoder = {.width = 16, .layers = 2, .heads = 4, .rotary_dim = 4, .inner = 32};
  config.decoder = {.width = 24, .layers = 2, .heads = 4, .rotary_dim = 4, .inner = 48};
  config.vocabulary_size = 40;
  config.max_positions = 64;
  StateDict weights = RandomCodet5pWeights(config, 3, 0.3f);
  weights.at("decoder.lm_head.bias").add_(head_bias);
  for (auto& [name, weight] : weights) weight = weight.to(dtype);
  return *CreateCodet5pModel(config, weights, "tiny");
}

// Answers repeat the last instruction token, so there is something to learn.
std::vector<EncodedExample> Examples(uint32_t count, uint32_t salt) {
  std::vector<EncodedExample> examples;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t a = 1 + (7 * i + salt) % 30, b = 1 + (11 * i + salt) % 30;
    examples.push_back({{a, b, 5}, {5, 9, 5, 0}});
    if (i % 3 == 0) examples.back().answer_ids = {5, 9, 5, 9, 5, 0};
  }
  return examples;
}

TuningOptions SmallOptions(Method method) {
  TuningOptions options;
  options.method = method;
  options.steps = 12;
  options.warmup_steps = 2;
  options.batch_size = 8;
  options.checkpoint_every = 4;
  options.context_length = 3;
  options.latent = 8;
  options.train_steps = 50;
  options.validation.steps = 50;
  options.learning_rate = HasOnePrompt(method) ? 0.03 : 0.004;
  return options;
}

TuningOptions SmallBlackBox() {
  TuningOptions options = SmallOptions(Method::kPromptTuning);
  options.optimizer = Optimizer::kBbt;
  options.subspace_width = 20;
  options.population = 8;
  return options;
}

TuningOptions WithEncoder(PromptEncoder::Kind kind) {
  TuningOptions options = SmallOptions(Method::kPromptTuning);
  options.prompt_encoder = kind;
  options.prompt_encoder_width = 6;
  options.learning_rate = 0.01;
  return options;
}

TuningOptions OnPolicy() {
  TuningOptions options = SmallOptions(Method::kDdpt);
  options.reference = Reference::kOnPolicy;
  options.conditional = true;
  options.weight_ema_decay = 0.5;
  return options;
}

TuningOptions SeveralDraws() {
  TuningOptions options = OnPolicy();
  options.draws = 3;
  return options;
}

TuningOptions MoreLittleNoise() {
  TuningOptions options = SmallOptions(Method::kDdpt);
  options.time_step_power = 2;
  return options;
}

TuningOptions SmallPrefix(PrefixPlace place) {
  TuningOptions options = SmallOptions(Method::kPrefixTuning);
  options.prefix_place = place;
  return options;
}

std::unique_ptr<Trainer> MakeTrainer(const TuningOptions& options, float head_bias = 0) {
  auto trainer = Trainer::Create(
      TinyModel(head_bias), options,
      {.train = Examples(20, 0), .validation = Examples(10, 3), .context_ids = {2, 4}});
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  return *std::move(trainer);
}

// Runs to step `end`, validating when due.
void RunTo(Trainer& trainer, int64_t end) {
  while (trainer.step() < end) {
    const auto report = trainer.Step();
    ASSERT_TRUE(report.ok()) << report.status();
    if (!trainer.validation_due()) continue;
    ASSERT_TRUE(trainer.Validate().ok());
  }
}

class TrainerTest : public ::testing::TestWithParam<TuningOptions> {};
INSTANTIATE_TEST_SUITE_P(Methods, TrainerTest,
                         ::testing::Values(SmallOptions(Method::kDdpt),
                                           SmallOptions(Method::kGenerator),
                                           SmallOptions(Method::kPromptTuning), SmallBlackBox(),
                                           WithEncoder(PromptEncoder::Kind::kMlp),
                                           WithEncoder(PromptEncoder::Kind::kLstm), OnPolicy(),
                                           SeveralDraws(), MoreLittleNoise(),
                                           SmallPrefix(PrefixPlace::kAll),
                                           SmallPrefix(PrefixPlace::kDecoder)));

TEST_P(TrainerTest, LowersTheValidationLossThroughTheServedSampler) {
  TuningOptions options = GetParam();
  options.steps = 60;
  options.max_prompt_rms = 20;
  const auto trainer = MakeTrainer(options);
  const double before = trainer->Validate()->nll;
  RunTo(*trainer, options.steps);
  EXPECT_LT(trainer->best_nll(), before - 0.2);
}

TEST_P(TrainerTest, GoesOnFromASavedStateToTheSameBytes) {
  const auto unbroken = MakeTrainer(GetParam()), killed = MakeTrainer(GetParam()),
             resumed = MakeTrainer(GetParam());
  RunTo(*unbroken, 12);
  RunTo(*killed, 8);
  ASSERT_TRUE(resumed->RestoreState(killed->SaveState()).ok());
  RunTo(*resumed, 12);
  EXPECT_EQ(Sha256Hex(*resumed->BestDenoiser()), Sha256Hex(*unbroken->BestDenoiser()));
  EXPECT_EQ(Sha256Hex(resumed->SaveState()), Sha256Hex(unbroken->SaveState()));
}

// The context {2, 4, 2} in words, or, of a prefix, in the keys and values that the model has for
// it.
PromptedRequest UnderTheContext(const TuningOptions& options, const LanguageModel& model) {
  PromptedRequest request;
  if (options.method != Method::kPrefixTuning) {
    request.manual_ids = {2, 4, 2};
    return request;
  }
  const at::Tensor ids = at::tensor({2, 4, 2}, at::kLong).unsqueeze(0);
  request.soft_prompt = std::make_shared<const Tensor>(
      FromTorch(PackPrefix(model.KeysAndValues(ids), options.prefix_place)));
  return request;
}

// Identities (c) and (d): before its first step the prompt is the context's tokens.
TEST_P(TrainerTest, StartsAtTheContextsTokens) {
  const auto trainer = MakeTrainer(GetParam());
  const double nll = trainer->Validate()->nll;
  const auto model = TinyModel();
  double sum = 0, tokens = 0;
  for (const EncodedExample& example : Examples(10, 3)) {
    PromptedRequest request = UnderTheContext(GetParam(), *model);
    request.instruction_ids = example.instruction_ids;
    sum += ScoreAnswer(*model, {request}, example.answer_ids)->front().nll_sum;
    tokens += example.answer_ids.size();
  }
  EXPECT_NEAR(nll, sum / tokens, 1e-5);
}

TEST(TrainerConditionTest, ConditionalDenoisersTrainAndResume) {
  TuningOptions options = SmallOptions(Method::kDdpt);
  options.conditional = true;
  const auto unbroken = MakeTrainer(options), resumed = MakeTrainer(options);
  RunTo(*unbroken, 4);
  ASSERT_TRUE(resumed->RestoreState(unbroken->SaveState()).ok());
  RunTo(*unbroken, 8);
  RunTo(*resumed, 8);
  EXPECT_EQ(Sha256Hex(resumed->SaveState()), Sha256Hex(unbroken->SaveState()));
}

// GENERATOR's prompts are a function of the condition alone, so a copy of the example changes
// nothing.
TEST(TrainerConditionTest, ASingleValidationExampleHasItsCondition) {
  TuningOptions options = SmallOptions(Method::kGenerator);
  options.conditional = true;
  const auto trained_beside = [&](std::vector<EncodedExample> validation) {
    auto trainer = Trainer::Create(
        TinyModel(), options,
        {.train = Examples(20, 0), .validation = std::move(validation), .context_ids = {2, 4}});
    EXPECT_TRUE(trainer.ok()) << trainer.status();
    RunTo(**trainer, options.steps);
    return (*trainer)->Validate()->nll;
  };
  const EncodedExample example = Examples(1, 3).front();
  EXPECT_NEAR(trained_beside({example}), trained_beside({example, example}), 1e-6);
}

// Pieces change nothing but rounding.
TEST_P(TrainerTest, AStepInPiecesIsThatOfTheWholeBatch) {
  TuningOptions pieces = GetParam();
  pieces.micro_batch_size = 3;
  const auto whole = MakeTrainer(GetParam()), parted = MakeTrainer(pieces);
  for (int step = 0; step < 4; ++step) {
    const auto one = whole->Step(), other = parted->Step();
    ASSERT_TRUE(one.ok() && other.ok());
    EXPECT_NEAR(one->loss, other->loss, 1e-5);
    EXPECT_NEAR(one->prompt_rms, other->prompt_rms, 1e-5);
  }
}

// The model computes in its dtype; prompts, loss and optimizer are float32, or such steps would be
// rounded away.
TEST(TrainerDtypeTest, ABfloat16ModelIsTrainedThroughBySmallSteps) {
  TuningOptions options = SmallOptions(Method::kPromptTuning);
  options.steps = 60;
  options.learning_rate = 1e-3;
  const Trainer::Data data{
      .train = Examples(20, 0), .validation = Examples(10, 3), .context_ids = {2, 4}};
  const auto trainer = *Trainer::Create(TinyModel(0, at::kBFloat16), options, data);
  const double before = trainer->Validate()->nll;
  RunTo(*trainer, options.steps);
  EXPECT_LT(trainer->best_nll(), before - 0.01);
}

TEST(TrainerReadingTest, EveryReadingTrains) {
  for (const Reading reading : {Reading::kX0Residual, Reading::kResidual}) {
    TuningOptions options = SmallOptions(Method::kDdpt);
    options.reading = reading;
    options.validation.sampler = DefaultSampler(reading);
    RunTo(*MakeTrainer(options), 4);
  }
}

TEST(TrainerFailureTest, DriftBeyondTheBoundFailsTheRun) {
  TuningOptions options = SmallOptions(Method::kPromptTuning);
  options.max_prompt_rms = 0.01;
  const auto trainer = MakeTrainer(options);
  absl::StatusOr<StepReport> report = trainer->Step();
  while (report.ok() && !trainer->done()) report = trainer->Step();
  EXPECT_EQ(report.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(report.status().message()), ::testing::HasSubstr("max_prompt_rms 0.01"));
}

TEST_P(TrainerTest, ALossThatIsNotANumberFailsTheStepAndChangesNothing) {
  const auto trainer = MakeTrainer(GetParam(), NAN);
  const std::string before = trainer->SaveState();
  const absl::Status status = trainer->Step().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("step 1: the loss is nan"));
  EXPECT_EQ(Sha256Hex(trainer->SaveState()), Sha256Hex(before));
}

TEST(TrainerBlackBoxTest, AStepScoresThePopulation) {
  const auto trainer = MakeTrainer(SmallBlackBox());
  ASSERT_TRUE(trainer->Step().ok());
  const auto report = trainer->Step();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->tuner.at("evaluations"), 16);
  EXPECT_LT(report->tuner.at("best_loss"), report->loss);
}

// Sigma 1: as the embeddings, random normal numbers times 0.3 here.
TEST(TrainerBlackBoxTest, TheFirstPromptsVaryAsTheEmbeddingsDo) {
  TuningOptions options = SmallBlackBox();
  options.population = 64;
  EXPECT_NEAR(MakeTrainer(options)->Step()->prompt_rms, 0.3, 0.05);
}

TEST(TrainerBlackBoxTest, StateOfAnotherPopulationIsRefused) {
  TuningOptions other = SmallBlackBox();
  other.population = 9;
  const absl::Status status =
      MakeTrainer(other)->RestoreState(MakeTrainer(SmallBlackBox())->SaveState());
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("another run"));
}

TEST(TrainerBlackBoxTest, ThePromptIsAPromptTuningFileThatNamesTheOptimizer) {
  const auto trainer = MakeTrainer(SmallBlackBox());
  RunTo(*trainer, 4);
  const auto denoiser = Denoiser::Parse(*trainer->BestDenoiser(), "trained");
  ASSERT_TRUE(denoiser.ok()) << denoiser.status();
  EXPECT_EQ((*denoiser)->spec().method, Method::kPromptTuning);
  EXPECT_EQ((*denoiser)->spec().reference, Reference::kZero);
  EXPECT_EQ((*denoiser)->spec().extra.at("optimizer"), "bbt");
}

TEST(TrainerPromptEncoderTest, TheFileIsOfPromptTuningAndNamesTheEncoder) {
  const auto trainer = MakeTrainer(WithEncoder(PromptEncoder::Kind::kLstm));
  RunTo(*trainer, 4);
  const auto denoiser = Denoiser::Parse(*trainer->BestDenoiser(), "trained");
  ASSERT_TRUE(denoiser.ok()) << denoiser.status();
  EXPECT_EQ((*denoiser)->spec().method, Method::kPromptTuning);
  EXPECT_EQ((*denoiser)->spec().extra.at("prompt_encoder"), "lstm");
}

// How much the prompts of one step differ, after training on instructions with two right answers.
double VarianceOfDraws(int64_t draws) {
  std::vector<EncodedExample> examples;
  for (uint32_t i = 0; i < 16; ++i) {
    const std::vector<uint32_t> instruction = {1 + 7 * i % 30, 6, 5};
    examples.push_back({instruction, {5, 9, 5, 0}});
    examples.push_back({instruction, {7, 3, 7, 0}});
  }
  TuningOptions options = SmallOptions(Method::kDdpt);
  options.steps = 60;
  options.learning_rate = 0.02;
  options.reference = Reference::kOnPolicy;
  options.max_prompt_rms = 20;
  options.draws = draws;
  const auto trainer = Trainer::Create(
      TinyModel(), options, {.train = examples, .validation = examples, .context_ids = {2, 4}});
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  StepReport last;
  while (!(*trainer)->done()) last = *(*trainer)->Step();
  return last.prompt_variance;
}

TEST(TrainerDrawsTest, DrawsPartWhereSeveralAnswersAreRight) {
  EXPECT_GT(VarianceOfDraws(6), 1.5 * VarianceOfDraws(1));
}

// The average lags behind the weights on their way from zero.
TEST(TrainerAverageTest, TheServedWeightsAreTheAverage) {
  TuningOptions options = SmallOptions(Method::kPromptTuning), averaged = options;
  averaged.weight_ema_decay = 0.9;
  const auto last = MakeTrainer(options), mean = MakeTrainer(averaged);
  RunTo(*last, 4);
  RunTo(*mean, 4);
  const double of_last = last->Validate()->prompt_rms, of_mean = mean->Validate()->prompt_rms;
  EXPECT_LT(of_mean, 0.95 * of_last);
  EXPECT_GT(of_mean, 0.5 * of_last);
}

TEST(TrainerFailureTest, CalmingDownGoesBackWithHalfTheLearningRate) {
  const auto trainer = MakeTrainer(SmallOptions(Method::kDdpt));
  const std::string start = trainer->SaveState();
  const double rate = trainer->Step()->tuner.at("learning_rate");
  ASSERT_TRUE(trainer->CalmDown(start).ok());
  EXPECT_EQ(trainer->step(), 0);
  EXPECT_EQ(trainer->Step()->tuner.at("learning_rate"), rate / 2);
}

TEST(TrainerFailureTest, CalmingDownIsPartOfTheState) {
  const auto calm = MakeTrainer(SmallOptions(Method::kDdpt));
  ASSERT_TRUE(calm->CalmDown(calm->SaveState()).ok());
  const auto restored = MakeTrainer(SmallOptions(Method::kDdpt));
  ASSERT_TRUE(restored->RestoreState(calm->SaveState()).ok());
  EXPECT_EQ(restored->Step()->tuner.at("learning_rate"), calm->Step()->tuner.at("learning_rate"));
}

TEST_P(TrainerTest, CalmingDownHasAnEnd) {
  const auto trainer = MakeTrainer(GetParam());
  const std::string start = trainer->SaveState();
  for (int i = 0; i < Trainer::kMostCalmings; ++i) ASSERT_TRUE(trainer->CalmDown(start).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(trainer->CalmDown(start)));
}

TEST(TrainerFailureTest, StateOfAnotherRunIsRefused) {
  TuningOptions other = SmallOptions(Method::kDdpt);
  other.seed = 1;
  const absl::Status status =
      MakeTrainer(other)->RestoreState(MakeTrainer(SmallOptions(Method::kDdpt))->SaveState());
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("another run"));
}

TEST(TrainerFailureTest, DamagedStateIsRefusedAndChangesNothing) {
  const auto trainer = MakeTrainer(SmallOptions(Method::kDdpt));
  const std::string state = trainer->SaveState();
  std::string changed = state;
  changed[state.size() - 100] ^= 1;  // a bit of a weight
  for (const std::string& damaged : {std::string(), state.substr(0, state.size() / 2), changed}) {
    EXPECT_TRUE(absl::IsDataLoss(trainer->RestoreState(damaged)));
  }
  EXPECT_EQ(trainer->SaveState(), state);
}

TEST(TrainerFailureTest, AStoppedValidationSaysWhy) {
  StopSource stop;
  stop.Cancel();
  const auto report = MakeTrainer(SmallOptions(Method::kDdpt))->Validate(stop.token());
  EXPECT_EQ(report.status().code(), absl::StatusCode::kCancelled);
}

// Identity (i): with a trained prompt the logits are others.
TEST(TrainerEffectTest, ATrainedPromptChangesTheLogits) {
  const auto trainer = MakeTrainer(SmallOptions(Method::kDdpt));
  RunTo(*trainer, 12);
  EXPECT_GT(trainer->Validate()->prompt_effect, 1e-3);
}

}  // namespace
}  // namespace ddpt
