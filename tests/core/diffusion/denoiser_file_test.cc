#include <functional>

#include "core/base/status.h"
#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

using ::testing::HasSubstr;
using Metadata = std::map<std::string, std::string>;

// A valid file taken apart, to be spoilt and put together again.
struct Parts {
  Metadata metadata;
  std::map<std::string, Tensor> tensors;
  std::map<std::string, DataType> types;

  std::string Bytes() const {
    std::map<std::string, TensorToWrite> out;
    for (const auto& [name, tensor] : tensors) {
      const auto type = types.find(name);
      out[name] = {type == types.end() ? DataType::kFloat32 : type->second, tensor.shape,
                   tensor.data};
    }
    return SerializeSafetensors(out, metadata);
  }
};

Parts ValidParts() {
  DenoiserSpec spec = SmallSpec();
  spec.condition_width = 4;
  const auto bytes = Denoiser::Serialize(spec, RandomWeights(spec, 1));
  const auto file = SafetensorsFile::Parse(*bytes, "valid").value();
  Parts parts{file->metadata(), {}, {}};
  for (const auto& [name, view] : file->tensors()) parts.tensors[name] = view.ToTensor();
  return parts;
}

struct Lie {
  const char* name;
  std::function<void(Parts&)> tell;
  const char* field;
  const char* problem;
};

Lie Metadatum(const char* name, const char* key, const char* value, const char* problem) {
  return {name, [=](Parts& parts) { parts.metadata[key] = value; }, key, problem};
}

class DenoiserFileTest : public ::testing::TestWithParam<Lie> {};

TEST_P(DenoiserFileTest, LiesAreRefusedByName) {
  Parts parts = ValidParts();
  GetParam().tell(parts);
  const absl::Status status = Denoiser::Parse(parts.Bytes(), "some/file").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(status), GetParam().field);
  EXPECT_THAT(std::string(status.message()), HasSubstr("some/file"));
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().problem));
}

INSTANTIATE_TEST_SUITE_P(
    All, DenoiserFileTest,
    ::testing::Values(
        Metadatum("Format", "format", "gguf", "\"gguf\" is not \"ddpt-denoiser\""),
        Metadatum("Version", "format_version", "2", "\"2\" is not \"1\""),
        Metadatum("Reading", "reading", "eps", "\"eps\" is unknown"),
        Metadatum("Schedule", "schedule", "", "\"\" is unknown"),
        Metadatum("Reference", "reference", "EMA", "\"EMA\" is unknown"),
        Metadatum("Method", "method", "lora", "\"lora\" is unknown"),
        Metadatum("BetaZero", "beta_start", "0", "0 is not between"),
        Metadatum("BetaNan", "beta_start", "nan", "\"nan\" is not a finite number"),
        Metadatum("BetaText", "beta_start", "1e-4x", "is not a finite number"),
        Metadatum("BetaFalls", "beta_end", "0.00001", "is not between beta_start"),
        Metadatum("BetaOne", "beta_end", "1", "1 is not between"),
        Metadatum("BetaTooNoisy", "beta_end", "0.9", "alpha-bar ends at"),
        Metadatum("StepsZero", "train_steps", "0", "0 is outside 1..10000"),
        Metadatum("StepsMany", "train_steps", "10001", "10001 is outside 1..10000"),
        Metadatum("StepsSigned", "train_steps", "+200", "is not a whole number"),
        Metadatum("StepsHuge", "train_steps", "99999999999999999999", "is not a whole number"),
        Metadatum("ContextLength", "context_length", "257", "257 is outside 1..256"),
        Metadatum("Width", "width", "16385", "16385 is outside 1..16384"),
        Metadatum("Latent", "latent", "4097", "4097 is outside 1..4096"),
        Metadatum("LatentNegative", "latent", "-1", "-1 is outside 1..4096"),
        Metadatum("Layers", "layers", "9", "9 is outside 0..8"),
        Metadatum("TimeFeatures", "time_features", "1026", "1026 is outside 2..1024"),
        Metadatum("TimeFeaturesOdd", "time_features", "7", "7 is not even"),
        Metadatum("ConditionWidth", "condition_width", "16385", "16385 is outside 0..16384"),
        Metadatum("BaseDigest", "base_model_digest", "a\nb", "printable"),
        Lie{"SizeProduct",
            [](Parts& parts) {
              parts.metadata["context_length"] = "256";
              parts.metadata["width"] = "16384";
            },
            "width", "4194304, the limit is 1048576"},
        Lie{"WeightProduct",
            [](Parts& parts) {
              parts.metadata["context_length"] = "64";
              parts.metadata["width"] = "16384";
              parts.metadata["latent"] = "4096";
            },
            "latent", "4294967296, the limit is 268435456"},
        Lie{"MissingKey", [](Parts& parts) { parts.metadata.erase("width"); }, "width", "missing"},
        Lie{"ManyKeys",
            [](Parts& parts) {
              for (int i = 0; i < 65; ++i) parts.metadata["key" + std::to_string(i)] = "";
            },
            "metadata", "65 further keys, the limit is 64"},
        Lie{"LongKey", [](Parts& parts) { parts.metadata[std::string(65, 'k')] = ""; }, "metadata",
            "65 bytes"},
        Lie{"LongValue", [](Parts& parts) { parts.metadata["note"] = std::string(4097, 'x'); },
            "note", "4097 bytes of value, the limit is 4096"},
        Lie{"MissingTensor", [](Parts& parts) { parts.tensors.erase("up.bias"); }, "up.bias",
            "missing"},
        Lie{"FewerLayers", [](Parts& parts) { parts.metadata["layers"] = "1"; }, "hidden.2.bias",
            "no such tensor"},
        Lie{"NoCondition", [](Parts& parts) { parts.metadata["condition_width"] = "0"; },
            "condition.null", "no such tensor"},
        Lie{"UnknownTensor",
            [](Parts& parts) {
              parts.tensors["spare"] = {{1}, {0}};
            },
            "spare", "no such tensor"},
        Lie{"WrongShape", [](Parts& parts) { parts.tensors["context"].shape = {63}; }, "context",
            "has shape [63], the metadata imply [3, 21]"},
        Lie{"TransposedShape",
            [](Parts& parts) {
              parts.tensors["up.weight"].shape = {19, 63};
            },
            "up.weight", "has shape [19, 63], the metadata imply [63, 19]"},
        Lie{"HalfPrecision", [](Parts& parts) { parts.types["up.bias"] = DataType::kBFloat16; },
            "up.bias", "is bfloat16, not float32"},
        Lie{"NanWeight", [](Parts& parts) { parts.tensors["down.weight"].data[7] = std::nanf(""); },
            "down.weight", "element 7 is nan"},
        Lie{"InfiniteBias",
            [](Parts& parts) { parts.tensors["hidden.1.bias"].data[0] = -HUGE_VALF; },
            "hidden.1.bias", "element 0 is -inf"},
        Lie{"BlindMethod", [](Parts& parts) { parts.metadata["method"] = "generator"; },
            "down.weight", "is not zero, as method generator says"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(DenoiserFileTest, TheUnspoiltFileIsAccepted) {
  EXPECT_TRUE(Denoiser::Parse(ValidParts().Bytes(), "valid").ok());
}

TEST(DenoiserFileTest, IntegersAreNoWeights) {
  std::string bytes = ValidParts().Bytes();
  const std::string entry = "\"dtype\":\"F32\",\"shape\":[19]";
  bytes.replace(bytes.find(entry), entry.size(), "\"dtype\":\"I32\",\"shape\":[19]");
  const absl::Status status = Denoiser::Parse(bytes, "x").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
}

TEST(DenoiserFileTest, EveryCutIsRefused) {
  const std::string bytes = ValidParts().Bytes();
  for (size_t length = 0; length < bytes.size(); length += 97) {
    EXPECT_FALSE(Denoiser::Parse(bytes.substr(0, length), "cut").ok()) << length;
  }
}

}  // namespace
}  // namespace ddpt
