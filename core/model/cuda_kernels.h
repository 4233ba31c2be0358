#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

// What a decoder's token is made of on a GPU, as functions that put their work on a queue and
// return the launch's error. All pointers are the device's. They do not block. Elements are those
// of the weights, and of what goes from kernel to kernel; sums are float32, and so is the residual
// stream. A row's numbers are a function of that row and of which of these functions are called.
// Weights, places, and keys and values of the past are read before the kernel before has ended, so
// they must be older than the first of an unbroken row of these calls.
namespace ddpt::cuda {

enum class Element { kFloat32, kBfloat16, kFloat16 };

// Rows at most of a product, as many as a tensor core's instruction takes; above it LibTorch's are
// faster.
inline constexpr int kMaxRows = 8;
// Widest row that is normed.
inline constexpr int kMaxNormWidth = 8192;
inline constexpr int kMaxHeadWidth = 256;
// Rows of inputs and weights, and heads, are multiples of so many bytes and stand on such.
inline constexpr int kPieceBytes = 16;

// Compute capabilities, their first numbers: of the oldest GPU that there is code for, and of the
// oldest with an early Queue.
inline constexpr int kLeastCapability = 8;
inline constexpr int kEarlyCapability = 9;

// A stream, and what its GPU can do.
struct Queue {
  cudaStream_t stream = nullptr;
  // A kernel may begin to fetch its weights while the one before
  // it ends.
  bool early = false;
};

// x [rows, width] = the embeddings of `ids`.
cudaError_t Embed(Element element, const void* embedding, const int64_t* ids, int rows, int width,
                  float* x, const Queue& queue);

struct Norm {
  const void* weight;
  const void* bias;
  float epsilon;
};
// x [rows, width] = x + the addends, which may be null, and out = its layer norm.
struct NormRows {
  float* x;
  const void* addends[3];
  void* out;
  int rows, width;
};
cudaError_t Normalize(Element element, const Norm& norm, const NormRows& rows, const Queue& queue);

// W [outputs, inputs] row by row, b [outputs] or null.
struct Map {
  const void* weight = nullptr;
  const void* bias = nullptr;
  int inputs = 0, outputs = 0;
};

enum class Output {
  kElement,  // out = y
  kGelu,     // out = gelu(y), by tanh
  kFloat,    // float32 out = y
  kAdd,      // float32 out = out + y
};

// y [rows, outputs] = W in + b, or the sum of two such products with as many outputs.
struct Product {
  Map map;
  Map other = {};                  // its weight null: there is one product
  const void* in = nullptr;        // [rows, map.inputs]
  const void* other_in = nullptr;  // [rows, other.inputs]
  void* out = nullptr;             // [rows, outputs]
  Output output = Output::kElement;
  int rows = 0;  // up to kMaxRows
  // Of a sum: PartialSize floats, and a zero for each 16 outputs, which is left so.
  float* partial = nullptr;
  unsigned* arrived = nullptr;
};
size_t PartialSize(const Product& product);
// One product, or two with nothing to do with each other; no rows: there is no second.
cudaError_t Multiply(Element element, const Product& product, const Product& second,
                     const Queue& queue);

// Attention of one token a row, in CodeGen's arrangement (core/model/codet5p_layers.h).
struct Attention {
  // [rows, parts * heads * head_width], in 4 groups: of its own past query, value and key, which
  // are put at the row's place; else the query. Queries and keys are rotated by the row's position.
  const void* product;
  bool own;
  void *keys, *values;  // [rows, heads, capacity, head_width]
  int capacity;         // tokens; a row looks at all that are not its own
  const float* bias;    // [rows, capacity]: added to the scores; null for the row's own past
  const int *places, *positions;  // [rows]; the row's own past and present are places[row] + 1
  const float *cosine, *sine;     // [positions, pairs]
  int pairs;
  void* out;  // [rows, heads * head_width]
  int rows, heads, head_width;
  unsigned* attended;  // a zero of this call's own, to which each head of each row adds one
};
// Whether there may be such heads.
bool Attends(Element element, int head_width);
cudaError_t Attend(Element element, const Attention& attention, const Queue& queue);
// And then a product, whose `in` is the attention's `out`; `other_in` has nothing to do with it.
cudaError_t AttendAndMultiply(Element element, const Attention& attention, const Product& product,
                              const Queue& queue);

}  // namespace ddpt::cuda
