#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace ddpt {

// Element types that cross borders (wire and files). Computation inside is float32 unless said
// otherwise.
enum class DataType { kFloat32, kFloat16, kBFloat16 };

// Bytes of one element: 4 or 2.
size_t ElementSize(DataType dtype);
// "float32", "float16", "bfloat16".
std::string_view DataTypeName(DataType dtype);

// A dense row-major float32 tensor with value semantics.
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> data;
};

// "[2, 3]".
std::string ShapeString(std::span<const int64_t> shape);

// Product of the dimensions; INVALID_ARGUMENT when it exceeds `limit` or overflows, before anything
// is allocated.
absl::StatusOr<uint64_t> ElementCount(std::span<const int64_t> shape, uint64_t limit);

// Reads a tensor that came from outside (little endian, row-major). Rank, shape, byte length and
// finiteness are checked against `expected` BEFORE anything is allocated; the error names `field`,
// both values and the limit.
absl::StatusOr<Tensor> DecodeTensor(std::string_view field, std::span<const uint32_t> shape,
                                    DataType dtype, std::string_view bytes,
                                    std::span<const int64_t> expected);

// The bytes of `values` as `dtype`, little endian, rounded to nearest even.
std::string EncodeElements(std::span<const float> values, DataType dtype);

// The inverse; bytes.size() must be a multiple of ElementSize(dtype).
std::vector<float> DecodeElements(std::string_view bytes, DataType dtype);

}  // namespace ddpt
