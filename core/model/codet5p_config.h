#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/model/geometry.h"
#include "core/model/tensor_shapes.h"

namespace ddpt {

// The CodeT5+ family of parallel blocks (2B, 6B, 16B; Salesforce): nested `encoder` and `decoder`
// of config.json, in the words of the public checkpoints (n_embd, n_layer, n_head, ...).
struct Codet5pConfig {
  struct Stack {
    int64_t width = 0;   // n_embd: 4..65536, a multiple of heads
    int64_t layers = 0;  // n_layer: 1..1024
    int64_t heads = 0;   // n_head: a multiple of 4, the checkpoints' split for model parallelism
    int64_t rotary_dim = 0;  // even, 2..width/heads; the whole head where the file has null
    int64_t inner = 0;       // n_inner: 4 * width where the file has null
    double epsilon = 1e-5;   // layer_norm_epsilon
  };

  Stack encoder, decoder;
  int64_t vocabulary_size = 0;   // of both: 2..2^20
  int64_t max_positions = 2048;  // n_positions, the smaller of the two: 1..1048576
  uint32_t start_token = 0;      // decoder_start_token_id, else the decoder's bos_token_id
  uint32_t end_token = 0;        // eos_token_id
  // By _name_or_path of the file. Neither Codet5pConfigJson nor a digest has them.
  Habits habits = ParallelHabits("");
};

// INVALID_ARGUMENT names the key, its value and the limit.
absl::Status ValidateCodet5pConfig(const Codet5pConfig& config);

// `name` (a path) stands in errors. The result is valid.
absl::StatusOr<Codet5pConfig> ParseCodet5pConfig(std::string_view json, std::string_view name);

// A config.json that ParseCodet5pConfig reads to the same configuration. Deterministic.
std::string Codet5pConfigJson(const Codet5pConfig& config);

// dtype and device are left at their defaults.
ModelGeometry Codet5pGeometry(const Codet5pConfig& config);

// Every weight of a model of this configuration.
TensorShapes Codet5pTensorShapes(const Codet5pConfig& config);

// Buffers of the public code.
bool IsIgnoredCodet5pTensor(std::string_view name);

}  // namespace ddpt
