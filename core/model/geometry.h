#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/model/habits.h"

namespace ddpt {

// What the weights are kept in and multiplied by.
enum class ModelDtype {
  // On the processor float32, the model's own numbers, unless that takes more than half of the
  // memory that is free; else, and on a GPU, bfloat16.
  kAuto,
  kFloat32,
  kBFloat16,
  kFloat16,  // on a GPU only
  // Matrices in eight bits with one scale an output, all else and the activations in bfloat16;
  // where
  // a processor's kernels multiply them (core/model/kernels.h), activations in 16 bits a row.
  kInt8,
};

// "auto", "float32", "bfloat16", "float16", "int8".
std::string_view ModelDtypeName(ModelDtype dtype);
// FieldError("dtype", ...) for any other name.
absl::StatusOr<ModelDtype> ParseModelDtype(std::string_view name);

// Where a prefix (core/model/prefixes.h) has its keys and values.
enum class PrefixPlace {
  kAll,      // in the encoder's self-attention, the decoder's, and cross-attention
  kDecoder,  // in the decoder's self-attention alone
};

// What the rest of the program must know of a base model. Token ids are 0..vocabulary_size-1.
struct ModelGeometry {
  struct Stack {
    int64_t width = 0;
    int64_t layers = 0;
    int64_t heads = 0;
    int64_t rotary_dim = 0;  // channels of a head that are rotated
  };
  // The attention layers of one kind.
  struct Attention {
    int64_t layers = 0;
    int64_t heads = 0;
    int64_t head_width = 0;
    // Of a token's keys and values in all of them.
    int64_t size() const { return 2 * layers * heads * head_width; }
  };

  std::string family;  // e.g. "codet5p-parallel"
  Stack encoder;       // encoder.width is the width of a soft prompt
  Stack decoder;
  Attention encoder_self, decoder_self, cross;
  int64_t vocabulary_size = 0;  // rows, of which a tokenizer may use fewer
  int64_t max_positions = 0;    // longest encoder input (soft prompt included) and decoder sequence
  uint32_t start_token = 0;     // first of a decoder sequence, unless the habits leave it out
  uint32_t end_token = 0;       // ends an answer
  Habits habits;
  int64_t parameters = 0;
  ModelDtype dtype = ModelDtype::kFloat32;  // never kAuto
  std::string device = "cpu";               // "cpu" or "cuda:N"
};

// The width of a prefix [n, w] of the model: all that a virtual token has there. It takes no
// position, in the encoder or the decoder.
int64_t PrefixWidth(const ModelGeometry& geometry, PrefixPlace place);
// What a prompt [n, width] is: a prefix with this place; nothing for a soft prompt, and for a width
// that the model does not take.
std::optional<PrefixPlace> PrefixOfWidth(const ModelGeometry& geometry, int64_t width);
// Whether a prompt [n, width] is a soft prompt or a prefix of the model, and the words for what is.
bool TakesPromptWidth(const ModelGeometry& geometry, int64_t width);
std::string PromptWidths(const ModelGeometry& geometry);
// The encoder positions that a prompt [n, width] takes.
int64_t EncoderPositions(const ModelGeometry& geometry, int64_t n, int64_t width);

}  // namespace ddpt
