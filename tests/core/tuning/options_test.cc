#include "core/tuning/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status.h"

namespace ddpt {
namespace {

TEST(TuningOptionsTest, DefaultsAreValid) { EXPECT_TRUE(ValidateTuning({}).ok()); }

struct BadOption {
  const char* field;
  void (*spoil)(TuningOptions&);
  const char* value;
};

class BadTuningOptionTest : public ::testing::TestWithParam<BadOption> {};

TEST_P(BadTuningOptionTest, IsRefusedByName) {
  TuningOptions options;
  GetParam().spoil(options);
  const absl::Status status = ValidateTuning(options);
  EXPECT_EQ(FieldOf(status), GetParam().field);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(GetParam().value));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadTuningOptionTest,
    ::testing::Values(
        BadOption{"options.steps", [](auto& o) { o.steps = 0; }, "0"},
        BadOption{"options.batch_size", [](auto& o) { o.batch_size = 1025; }, "1025"},
        BadOption{"options.learning_rate", [](auto& o) { o.learning_rate = 0; }, "0"},
        BadOption{"options.warmup_steps", [](auto& o) { o.warmup_steps = 301; }, "301"},
        BadOption{"options.weight_decay", [](auto& o) { o.weight_decay = 2; }, "2"},
        BadOption{"options.clip_norm", [](auto& o) { o.clip_norm = -1; }, "-1"},
        BadOption{"options.checkpoint_every", [](auto& o) { o.checkpoint_every = 0; }, "0"},
        BadOption{"options.subspace_width", [](auto& o) { o.subspace_width = 501; }, "501"},
        BadOption{"options.population", [](auto& o) { o.population = 3; }, "3"},
        BadOption{"options.sigma", [](auto& o) { o.sigma = 0; }, "0"},
        BadOption{"options.context_length", [](auto& o) { o.context_length = 65; }, "65"},
        BadOption{"options.latent_width", [](auto& o) { o.latent = 0; }, "0"},
        BadOption{"options.layers", [](auto& o) { o.layers = 9; }, "9"},
        BadOption{"options.train_steps", [](auto& o) { o.train_steps = 10'001; }, "10001"},
        BadOption{"options.ema_decay", [](auto& o) { o.ema_decay = 1; }, "1"},
        BadOption{"options.time_step_power", [](auto& o) { o.time_step_power = 0; }, "0"},
        BadOption{"options.time_step_power", [](auto& o) { o.time_step_power = 11; }, "11"},
        BadOption{"options.time_step_power",
                  [](auto& o) {
                    o.method = Method::kGenerator;
                    o.time_step_power = 2;
                  },
                  "generator"},
        BadOption{"options.condition_dropout", [](auto& o) { o.condition_dropout = 1; }, "1"},
        BadOption{"options.max_prompt_rms", [](auto& o) { o.max_prompt_rms = 0; }, "0"},
        BadOption{"options.validation_sampler", [](auto& o) { o.validation.steps = 2001; }, "2001"},
        BadOption{"method", [](auto& o) { o.method = Method::kRandom; }, "random"},
        BadOption{"method", [](auto& o) { o.optimizer = Optimizer::kBbt; }, "ddpt"},
        BadOption{"options.reading",
                  [](auto& o) {
                    o.method = Method::kGenerator;
                    o.reading = Reading::kX0Residual;
                  },
                  "x0_residual"},
        BadOption{"options.conditional",
                  [](auto& o) {
                    o.method = Method::kPromptTuning;
                    o.conditional = true;
                  },
                  "true"},
        BadOption{"options.conditional",
                  [](auto& o) {
                    o.method = Method::kPrefixTuning;
                    o.conditional = true;
                  },
                  "prefix_tuning"}));

ModelGeometry GeometryOf(int64_t encoder_width, int64_t decoder_layers) {
  ModelGeometry geometry;
  geometry.encoder.width = encoder_width;
  geometry.decoder_self = {.layers = decoder_layers, .heads = 24, .head_width = 256};
  return geometry;
}

TEST(TuningOptionsTest, PrefixesMustFitIntoADenoiserFile) {
  TuningOptions options;
  options.method = Method::kPrefixTuning;
  options.prefix_place = PrefixPlace::kDecoder;
  options.context_length = 40;
  EXPECT_TRUE(FitTuning(options, GeometryOf(1024, 34)).ok());
  options.context_length = 41;
  const absl::Status status = FitTuning(options, GeometryOf(1024, 34));
  EXPECT_EQ(FieldOf(status), "options.context_length");
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("16777216"));
}

TEST(TuningOptionsTest, PrefixesMustDifferFromSoftPrompts) {
  TuningOptions options;
  options.method = Method::kPrefixTuning;
  EXPECT_EQ(FieldOf(FitTuning(options, GeometryOf(2 * 24 * 256, 1))), "options.prefix_place");
}

}  // namespace
}  // namespace ddpt
