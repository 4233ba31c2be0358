#include "core/model/t5_config.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/config_reader.h"

namespace ddpt {
namespace {

using Json = nlohmann::json;

constexpr char kRelu[] = "relu", kGatedGelu[] = "gated-gelu";

absl::StatusOr<T5Config> ParseObject(const Json& root) {
  ConfigReader reader(root, "");
  T5Config config;
  config.width = reader.Required("d_model");
  config.head_width = reader.Required("d_kv");
  config.heads = reader.Required("num_heads");
  config.inner = reader.Required("d_ff");
  config.encoder_layers = reader.Required("num_layers");
  config.decoder_layers = reader.Integer("num_decoder_layers").value_or(config.encoder_layers);
  config.buckets = reader.Integer("relative_attention_num_buckets").value_or(32);
  config.max_distance = reader.Integer("relative_attention_max_distance").value_or(128);
  config.epsilon = reader.Number("layer_norm_epsilon", 1e-6);
  const std::string feed_forward = reader.Text("feed_forward_proj", kRelu);
  if (feed_forward != kRelu && feed_forward != kGatedGelu) {
    reader.Fail("feed_forward_proj", absl::StrCat(Json(feed_forward).dump(-1, ' ', true),
                                                  " is not one of \"relu\", \"gated-gelu\""));
  }
  config.gated = feed_forward == kGatedGelu;
  config.tied = reader.Bool("tie_word_embeddings", true);
  config.vocabulary_size = reader.Required("vocab_size");
  config.max_positions = reader.Integer("n_positions").value_or(512);
  const auto start = reader.Integer("decoder_start_token_id");
  const auto end = reader.Integer("eos_token_id");
  DDPT_RETURN_IF_ERROR(reader.status());
  DDPT_RETURN_IF_ERROR(CheckToken("decoder_start_token_id", start, config.vocabulary_size));
  DDPT_RETURN_IF_ERROR(CheckToken("eos_token_id", end, config.vocabulary_size));
  config.start_token = static_cast<uint32_t>(*start);
  config.end_token = static_cast<uint32_t>(*end);
  DDPT_RETURN_IF_ERROR(ValidateT5Config(config));
  return config;
}

absl::Status CheckRange(const char* key, int64_t value, int64_t first, int64_t last) {
  if (value >= first && value <= last) return absl::OkStatus();
  return OutsideLimit(key, value, absl::StrCat("in ", first, "..", last));
}

void AddAttention(const T5Config& config, const std::string& prefix, TensorShapes* shapes) {
  const int64_t inner = config.heads * config.head_width;
  for (const char* name : {"q", "k", "v"}) {
    (*shapes)[absl::StrCat(prefix, name, ".weight")] = {inner, config.width};
  }
  (*shapes)[prefix + "o.weight"] = {config.width, inner};
}

void AddFeedForward(const T5Config& config, const std::string& prefix, TensorShapes* shapes) {
  if (config.gated) {
    (*shapes)[prefix + "wi_0.weight"] = {config.inner, config.width};
    (*shapes)[prefix + "wi_1.weight"] = {config.inner, config.width};
  } else {
    (*shapes)[prefix + "wi.weight"] = {config.inner, config.width};
  }
  (*shapes)[prefix + "wo.weight"] = {config.width, config.inner};
}

void AddStack(const T5Config& config, const std::string& stack, int64_t layers,
              TensorShapes* shapes) {
  const bool decoder = stack == "decoder";
  for (int64_t i = 0; i < layers; ++i) {
    const std::string block = absl::StrCat(stack, ".block.", i, ".layer.");
    const std::string last = decoder ? "2." : "1.";
    AddAttention(config, block + "0.SelfAttention.", shapes);
    if (decoder) AddAttention(config, block + "1.EncDecAttention.", shapes);
    AddFeedForward(config, block + last + "DenseReluDense.", shapes);
    (*shapes)[block + "0.layer_norm.weight"] = {config.width};
    (*shapes)[block + "1.layer_norm.weight"] = {config.width};
    (*shapes)[block + last + "layer_norm.weight"] = {config.width};
  }
  (*shapes)[stack + ".block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = {
      config.buckets, config.heads};
  (*shapes)[stack + ".final_layer_norm.weight"] = {config.width};
}

}  // namespace

absl::Status ValidateT5Config(const T5Config& config) {
  DDPT_RETURN_IF_ERROR(CheckRange("d_model", config.width, 1, 65536));
  DDPT_RETURN_IF_ERROR(CheckRange("d_kv", config.head_width, 1, 4096));
  DDPT_RETURN_IF_ERROR(CheckRange("num_heads", config.heads, 1, 1024));
  DDPT_RETURN_IF_ERROR(CheckRange("d_ff", config.inner, 1, 1 << 20));
  DDPT_RETURN_IF_ERROR(CheckRange("num_layers", config.encoder_layers, 1, 1024));
  DDPT_RETURN_IF_ERROR(CheckRange("num_decoder_layers", config.decoder_layers, 1, 1024));
  if (config.buckets < 4 || config.buckets > 4096 || config.buckets % 2 != 0) {
    return OutsideLimit("relative_attention_num_buckets", config.buckets, "even and in 4..4096");
  }
  DDPT_RETURN_IF_ERROR(CheckRange("relative_attention_max_distance", config.max_distance,
                                  config.buckets / 2 + 1, 1 << 20));
  if (!(config.epsilon > 0 && config.epsilon < 1)) {
    return OutsideLimit("layer_norm_epsilon", config.epsilon, "between 0 and 1");
  }
  DDPT_RETURN_IF_ERROR(CheckRange("vocab_size", config.vocabulary_size, 2, 1 << 20));
  DDPT_RETURN_IF_ERROR(CheckRange("n_positions", config.max_positions, 1, 1 << 20));
  DDPT_RETURN_IF_ERROR(
      CheckToken("decoder_start_token_id", config.start_token, config.vocabulary_size));
  return CheckToken("eos_token_id", config.end_token, config.vocabulary_size);
}

absl::StatusOr<T5Config> ParseT5Config(std::string_view json, std::string_view name) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(Piece(name), ": is not a JSON object"));
  }
  absl::StatusOr<T5Config> config = ParseObject(root);
  if (!config.ok()) return Annotate(config.status(), name);
  return config;
}

std::string T5ConfigJson(const T5Config& config) {
  const Json root = {{"model_type", "t5"},
                     {"architectures", {"T5ForConditionalGeneration"}},
                     {"is_encoder_decoder", true},
                     {"d_model", config.width},
                     {"d_kv", config.head_width},
                     {"num_heads", config.heads},
                     {"d_ff", config.inner},
                     {"num_layers", config.encoder_layers},
                     {"num_decoder_layers", config.decoder_layers},
                     {"relative_attention_num_buckets", config.buckets},
                     {"relative_attention_max_distance", config.max_distance},
                     {"layer_norm_epsilon", config.epsilon},
                     {"feed_forward_proj", config.gated ? kGatedGelu : kRelu},
                     {"tie_word_embeddings", config.tied},
                     {"vocab_size", config.vocabulary_size},
                     {"n_positions", config.max_positions},
                     {"decoder_start_token_id", config.start_token},
                     {"eos_token_id", config.end_token}};
  return root.dump(2) + "\n";
}

ModelGeometry T5Geometry(const T5Config& config) {
  return {.family = "t5",
          .encoder = {config.width, config.encoder_layers, config.heads, 0},
          .decoder = {config.width, config.decoder_layers, config.heads, 0},
          .encoder_self = {config.encoder_layers, config.heads, config.head_width},
          .decoder_self = {config.decoder_layers, config.heads, config.head_width},
          .cross = {config.decoder_layers, config.heads, config.head_width},
          .vocabulary_size = config.vocabulary_size,
          .max_positions = config.max_positions,
          .start_token = config.start_token,
          .end_token = config.end_token,
          .habits = config.habits,
          .parameters = ParameterCount(T5TensorShapes(config))};
}

TensorShapes T5TensorShapes(const T5Config& config) {
  TensorShapes shapes;
  shapes["shared.weight"] = {config.vocabulary_size, config.width};
  AddStack(config, "encoder", config.encoder_layers, &shapes);
  AddStack(config, "decoder", config.decoder_layers, &shapes);
  if (!config.tied) shapes["lm_head.weight"] = {config.vocabulary_size, config.width};
  return shapes;
}

bool IsIgnoredT5Tensor(const T5Config& config, std::string_view name) {
  return name == "encoder.embed_tokens.weight" || name == "decoder.embed_tokens.weight" ||
         name == "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight" ||
         (config.tied && name == "lm_head.weight");
}

}  // namespace ddpt
