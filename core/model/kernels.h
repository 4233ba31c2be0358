#pragma once

#include <cstddef>
#include <cstdint>

namespace ddpt {

// What a matrix is kept in, as LibTorch keeps it: float, bfloat16 (the upper half of a float), or
// int8 with a scale for each output.
enum class MatrixType { kFloat32, kBfloat16, kInt8 };

// W [outputs, inputs], row by row. Pointers need no alignment but that of their type.
struct MatrixView {
  MatrixType type = MatrixType::kFloat32;
  const void* weights = nullptr;
  const float* scales = nullptr;  // [outputs] of kInt8
  const float* bias = nullptr;    // [outputs] or null
  size_t inputs = 0;
  size_t outputs = 0;
};

// Rows of inputs as a product of that type wants them (ModelKernels::prepare).
struct PreparedRows {
  const std::byte* data = nullptr;  // 64-byte aligned
  const float* scales = nullptr;    // [rows] of kInt8
  size_t rows = 0;
  size_t stride = 0;  // bytes, PreparedBytes(inputs)
};
// Of one row, whatever the type; a line more, so that not all rows fall on the same lines of a
// cache.
constexpr size_t PreparedBytes(size_t inputs) {
  return (inputs + 31) / 32 * 32 * sizeof(float) + 64;
}

struct OutputRange {
  size_t begin, end;
};

// Tokens of a cache stand in blocks of this many.
inline constexpr size_t kBlockTokens = 16;
// A head's channels are kept in a multiple of this many, the rest zeros.
constexpr size_t PaddedHead(size_t width) { return (width + 15) / 16 * 16; }

// What one query of one head looks at: a block has the keys as [width, kBlockTokens] and the values
// as [kBlockTokens, width], float or bfloat16, width a multiple of 16. All numbers are finite.
struct AttentionView {
  const void* const* keys = nullptr;  // of each block
  const void* const* values = nullptr;
  bool bfloat16 = false;
  size_t width = 0;
  size_t tokens = 0;            // at least 1
  float scale = 1;              // that scores are multiplied by
  const float* bias = nullptr;  // [tokens] added to them, or null
};

// The arithmetic of decoding on a processor. Sums and all that is not a matrix are float32. A row's
// numbers depend on that row alone: each sum is taken in an order that only its length decides, so
// neighbours change no bit. The implementations differ from each other by rounding. Thread-safe, no
// state.
struct ModelKernels {
  const char* name;  // "avx2", "avx512", "avx512_bf16", "amx"
  // Rows from which on weights of fewer bits are better widened to float32 and multiplied so.
  size_t widen_from;

  // Makes a row of x [inputs] ready for products with matrices of `type`. float32 as they are;
  // bfloat16 where the processor multiplies such; for kInt8 in 16 bits, the largest of the row
  // being 32767, and `scale` set.
  void (*prepare)(MatrixType type, const float* x, size_t inputs, std::byte* prepared,
                  float* scale);
  // out[row * stride + o] = W x + bias, or, where `add`, that much more, for the outputs of
  // `range`.
  void (*multiply)(const MatrixView& matrix, OutputRange range, const PreparedRows& in, float* out,
                   size_t stride, bool add);
  // out [width] = softmax(scale q K + bias) V; q is [width]; `scores` has room for the tokens of
  // all blocks.
  void (*attend)(const AttentionView& view, const float* q, float* scores, float* out);
  // out = weight x / root mean square of x, over n elements.
  void (*rms_norm)(size_t n, const float* x, const float* weight, float epsilon, float* out);
  // out = weight (x - mean) / standard deviation + bias.
  void (*layer_norm)(size_t n, const float* x, const float* weight, const float* bias,
                     float epsilon, float* out);
  void (*relu)(size_t n, float* x);
  // GELU by its approximation with tanh, as GPT-2 has it.
  void (*gelu)(size_t n, float* x);
};

// Null where this build or this processor has none.
const ModelKernels* Avx2ModelKernels();
const ModelKernels* Avx512ModelKernels();      // with BW, DQ, VL
const ModelKernels* Avx512Bf16ModelKernels();  // with VNNI and BF16 besides
// Those with products of bfloat16 and int8 by tiles; asks Linux for the tiles' registers.
const ModelKernels* AmxModelKernels();
// The fastest that the processor can run, chosen once. Null where LibTorch has to do it.
const ModelKernels* BestModelKernels();

}  // namespace ddpt
