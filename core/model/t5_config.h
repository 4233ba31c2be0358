#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/model/geometry.h"
#include "core/model/tensor_shapes.h"

namespace ddpt {

// The T5 family (CodeT5+ 220M and 770M): config.json in the words of the public checkpoints.
struct T5Config {
  int64_t width = 0;            // d_model: 1..65536
  int64_t head_width = 0;       // d_kv: 1..4096
  int64_t heads = 0;            // num_heads: 1..1024
  int64_t inner = 0;            // d_ff: 1..1048576
  int64_t encoder_layers = 0;   // num_layers: 1..1024
  int64_t decoder_layers = 0;   // num_decoder_layers; num_layers where the file has null
  int64_t buckets = 32;         // relative_attention_num_buckets: even, 4..4096
  int64_t max_distance = 128;   // relative_attention_max_distance: above buckets / 2
  double epsilon = 1e-6;        // layer_norm_epsilon
  bool gated = false;           // feed_forward_proj "gated-gelu" (with gelu_new, as ever in T5)
                                // instead of "relu"
  bool tied = true;             // tie_word_embeddings: the head is the embedding, scaled
  int64_t vocabulary_size = 0;  // 2..2^20
  int64_t max_positions = 512;  // n_positions: what the model was trained on; relative positions
                                // know no end
  uint32_t start_token = 0;     // decoder_start_token_id
  uint32_t end_token = 0;       // eos_token_id
  // Neither T5ConfigJson nor a digest has them.
  Habits habits = FindHabits("t5").value();
};

// INVALID_ARGUMENT names the key, its value and the limit.
absl::Status ValidateT5Config(const T5Config& config);

// `name` (a path) stands in errors. The result is valid.
absl::StatusOr<T5Config> ParseT5Config(std::string_view json, std::string_view name);

// A config.json that ParseT5Config reads to the same configuration. Deterministic.
std::string T5ConfigJson(const T5Config& config);

// dtype and device are left at their defaults.
ModelGeometry T5Geometry(const T5Config& config);

// Every weight of a model of this configuration.
TensorShapes T5TensorShapes(const T5Config& config);

// Copies that the public code stores of one embedding, and a bias that it never reads.
bool IsIgnoredT5Tensor(const T5Config& config, std::string_view name);

}  // namespace ddpt
