#include "core/model/codet5p_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/config_reader.h"

namespace ddpt {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxVocabulary = 1 << 20;

absl::Status ValidateStack(const char* name, const Codet5pConfig::Stack& stack) {
  const auto key = [&](const char* field) { return absl::StrCat(name, ".", field); };
  if (stack.layers < 1 || stack.layers > 1024) {
    return OutsideLimit(key("n_layer"), stack.layers, "in 1..1024");
  }
  if (stack.heads < 4 || stack.heads > 1024 || stack.heads % 4 != 0) {
    return OutsideLimit(key("n_head"), stack.heads, "a multiple of 4 in 4..1024");
  }
  if (stack.width < 4 || stack.width > 65536 || stack.width % stack.heads != 0) {
    return OutsideLimit(key("n_embd"), stack.width,
                        absl::StrCat("a multiple of n_head ", stack.heads, " in 4..65536"));
  }
  const int64_t head = stack.width / stack.heads;
  if (stack.rotary_dim < 2 || stack.rotary_dim > head || stack.rotary_dim % 2 != 0) {
    return OutsideLimit(key("rotary_dim"), stack.rotary_dim,
                        absl::StrCat("even and in 2..", head, ", the width of a head"));
  }
  if (stack.inner < 1 || stack.inner > 1 << 20) {
    return OutsideLimit(key("n_inner"), stack.inner, "in 1..1048576");
  }
  if (!(stack.epsilon > 0 && stack.epsilon < 1)) {
    return OutsideLimit(key("layer_norm_epsilon"), stack.epsilon, "between 0 and 1");
  }
  return absl::OkStatus();
}

struct ParsedStack {
  Codet5pConfig::Stack stack;
  int64_t vocabulary_size = 0;
  int64_t max_positions = 0;
  std::optional<int64_t> start_token, end_token;
};

absl::StatusOr<ParsedStack> ParseStack(const Json& root, const char* name) {
  const auto found = root.find(name);
  if (found == root.end() || !found->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": is not an object"));
  }
  ConfigReader reader(*found, absl::StrCat(name, "."));
  ParsedStack parsed;
  Codet5pConfig::Stack& stack = parsed.stack;
  stack.width = reader.Required("n_embd");
  stack.layers = reader.Required("n_layer");
  stack.heads = reader.Required("n_head");
  const int64_t head = stack.heads > 0 ? stack.width / stack.heads : 0;
  stack.rotary_dim = reader.Integer("rotary_dim").value_or(head);
  const int64_t width = stack.width > 0 && stack.width <= 65536 ? stack.width : 0;
  stack.inner = reader.Integer("n_inner").value_or(4 * width);
  stack.epsilon = reader.Number("layer_norm_epsilon", 1e-5);
  parsed.vocabulary_size = reader.Required("vocab_size");
  parsed.max_positions = reader.Integer("n_positions").value_or(2048);
  parsed.start_token = reader.Integer("decoder_start_token_id");
  if (!parsed.start_token) parsed.start_token = reader.Integer("bos_token_id");
  parsed.end_token = reader.Integer("eos_token_id");
  reader.Demand("activation_function", "gelu_new");
  if (name == std::string("decoder")) reader.Demand("add_cross_attention", true);
  DDPT_RETURN_IF_ERROR(reader.status());
  return parsed;
}

absl::StatusOr<Codet5pConfig> ParseObject(const Json& root) {
  DDPT_ASSIGN_OR_RETURN(const ParsedStack encoder, ParseStack(root, "encoder"));
  DDPT_ASSIGN_OR_RETURN(const ParsedStack decoder, ParseStack(root, "decoder"));
  if (encoder.vocabulary_size != decoder.vocabulary_size) {
    return absl::InvalidArgumentError(absl::StrCat("encoder.vocab_size: ", encoder.vocabulary_size,
                                                   " is not decoder.vocab_size ",
                                                   decoder.vocabulary_size));
  }
  ConfigReader reader(root, "");
  std::optional<int64_t> start = reader.Integer("decoder_start_token_id");
  if (!start) start = decoder.start_token;
  std::optional<int64_t> end = reader.Integer("eos_token_id");
  if (!end) end = decoder.end_token;
  const std::string name_or_path = reader.Text("_name_or_path", "");
  DDPT_RETURN_IF_ERROR(reader.status());
  DDPT_RETURN_IF_ERROR(CheckToken("decoder_start_token_id", start, decoder.vocabulary_size));
  DDPT_RETURN_IF_ERROR(CheckToken("eos_token_id", end, decoder.vocabulary_size));
  Codet5pConfig config{.encoder = encoder.stack, .decoder = decoder.stack};
  config.vocabulary_size = decoder.vocabulary_size;
  config.max_positions = std::min(encoder.max_positions, decoder.max_positions);
  config.start_token = static_cast<uint32_t>(*start);
  config.end_token = static_cast<uint32_t>(*end);
  config.habits = ParallelHabits(name_or_path);
  DDPT_RETURN_IF_ERROR(ValidateCodet5pConfig(config));
  return config;
}

Json StackJson(const Codet5pConfig& config, const Codet5pConfig::Stack& stack) {
  return {{"model_type", "codet5p_module"},
          {"n_embd", stack.width},
          {"n_layer", stack.layers},
          {"n_head", stack.heads},
          {"rotary_dim", stack.rotary_dim},
          {"n_inner", stack.inner},
          {"layer_norm_epsilon", stack.epsilon},
          {"activation_function", "gelu_new"},
          {"vocab_size", config.vocabulary_size},
          {"n_positions", config.max_positions},
          {"n_ctx", config.max_positions},
          {"bos_token_id", config.start_token},
          {"eos_token_id", config.end_token}};
}

void AddStack(const std::string& prefix, const Codet5pConfig::Stack& stack, int64_t vocabulary,
              TensorShapes* shapes) {
  const int64_t d = stack.width;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    (*shapes)[prefix + name] = std::move(shape);
  };
  add("wte.weight", {vocabulary, d});
  for (int64_t layer = 0; layer < stack.layers; ++layer) {
    const std::string block = absl::StrCat("h.", layer, ".");
    add(block + "ln_1.weight", {d});
    add(block + "ln_1.bias", {d});
    add(block + "attn.qkv_proj.weight", {3 * d, d});
    add(block + "attn.out_proj.weight", {d, d});
    add(block + "mlp.fc_in.weight", {stack.inner, d});
    add(block + "mlp.fc_in.bias", {stack.inner});
    add(block + "mlp.fc_out.weight", {d, stack.inner});
    add(block + "mlp.fc_out.bias", {d});
  }
  add("ln_f.weight", {d});
  add("ln_f.bias", {d});
}

}  // namespace

absl::Status ValidateCodet5pConfig(const Codet5pConfig& config) {
  DDPT_RETURN_IF_ERROR(ValidateStack("encoder", config.encoder));
  DDPT_RETURN_IF_ERROR(ValidateStack("decoder", config.decoder));
  if (config.vocabulary_size < 2 || config.vocabulary_size > kMaxVocabulary) {
    return OutsideLimit("vocab_size", config.vocabulary_size, "in 2..1048576");
  }
  if (config.max_positions < 1 || config.max_positions > 1 << 20) {
    return OutsideLimit("n_positions", config.max_positions, "in 1..1048576");
  }
  DDPT_RETURN_IF_ERROR(
      CheckToken("decoder_start_token_id", config.start_token, config.vocabulary_size));
  return CheckToken("eos_token_id", config.end_token, config.vocabulary_size);
}

absl::StatusOr<Codet5pConfig> ParseCodet5pConfig(std::string_view json, std::string_view name) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(Piece(name), ": is not a JSON object"));
  }
  absl::StatusOr<Codet5pConfig> config = ParseObject(root);
  if (!config.ok()) return Annotate(config.status(), name);
  return config;
}

std::string Codet5pConfigJson(const Codet5pConfig& config) {
  Json root = {{"model_type", "codet5p"},
               {"architectures", {"CodeT5pEncoderDecoderModel"}},
               {"is_encoder_decoder", true},
               {"decoder_start_token_id", config.start_token},
               {"eos_token_id", config.end_token},
               {"encoder", StackJson(config, config.encoder)},
               {"decoder", StackJson(config, config.decoder)}};
  root["encoder"]["is_decoder"] = false;
  root["decoder"]["is_decoder"] = true;
  root["decoder"]["add_cross_attention"] = true;
  return root.dump(2) + "\n";
}

ModelGeometry Codet5pGeometry(const Codet5pConfig& config) {
  const auto stack = [](const Codet5pConfig::Stack& from) {
    return ModelGeometry::Stack{from.width, from.layers, from.heads, from.rotary_dim};
  };
  const auto attention = [](const Codet5pConfig::Stack& from, int64_t layers) {
    return ModelGeometry::Attention{layers, from.heads, from.width / from.heads};
  };
  return {.family = "codet5p-parallel",
          .encoder = stack(config.encoder),
          .decoder = stack(config.decoder),
          .encoder_self = attention(config.encoder, config.encoder.layers),
          .decoder_self = attention(config.decoder, config.decoder.layers),
          .cross = attention(config.decoder, 1),
          .vocabulary_size = config.vocabulary_size,
          .max_positions = config.max_positions,
          .start_token = config.start_token,
          .end_token = config.end_token,
          .habits = config.habits,
          .parameters = ParameterCount(Codet5pTensorShapes(config))};
}

TensorShapes Codet5pTensorShapes(const Codet5pConfig& config) {
  TensorShapes shapes;
  const int64_t d = config.decoder.width;
  AddStack("encoder.", config.encoder, config.vocabulary_size, &shapes);
  AddStack("decoder.transformer.", config.decoder, config.vocabulary_size, &shapes);
  const std::string cross =
      absl::StrCat("decoder.transformer.h.", config.decoder.layers - 1, ".crossattention.");
  shapes[cross + "q_attn.weight"] = {d, d};
  shapes[cross + "qkv_proj.weight"] = {2 * d, d};
  shapes[cross + "out_proj.weight"] = {d, d};
  shapes["decoder.lm_head.weight"] = {config.vocabulary_size, d};
  shapes["decoder.lm_head.bias"] = {config.vocabulary_size};
  if (config.encoder.width != d) {
    shapes["enc_to_dec_proj.weight"] = {d, config.encoder.width};
    shapes["enc_to_dec_proj.bias"] = {d};
  }
  return shapes;
}

bool IsIgnoredCodet5pTensor(std::string_view name) {
  return name.ends_with(".causal_mask") || name.ends_with(".scale_attn");
}

}  // namespace ddpt
