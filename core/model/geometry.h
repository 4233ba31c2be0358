#pragma once

#include <cstdint>
#include <string>

#include "core/base/tensor.h"

namespace ddpt {

// What the rest of the program must know of a base model. Token ids are 0..vocabulary_size-1.
struct ModelGeometry {
  struct Stack {
    int64_t width = 0;
    int64_t layers = 0;
    int64_t heads = 0;
    int64_t rotary_dim = 0;  // channels of a head that are rotated
  };

  std::string family;  // e.g. "codet5p-parallel"
  Stack encoder;       // encoder.width is the width of a soft prompt
  Stack decoder;
  int64_t vocabulary_size = 0;  // rows, of which a tokenizer may use fewer
  int64_t max_positions = 0;    // longest encoder input (soft prompt included) and decoder sequence
  uint32_t start_token = 0;     // first token of every decoder sequence
  uint32_t end_token = 0;       // ends an answer
  // What stands between start token and answer by habit: the instruction (true) or nothing.
  bool instruction_in_decoder = false;
  int64_t parameters = 0;
  DataType dtype = DataType::kFloat32;  // of the computation
  std::string device = "cpu";           // "cpu" or "cuda:N"
};

}  // namespace ddpt
