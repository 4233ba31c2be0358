#include "core/base/tensor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

static_assert(std::endian::native == std::endian::little, "element bytes are copied as they are");

constexpr uint32_t kFloat32Exponent = 0x7f800000;
constexpr uint16_t kFloat16Exponent = 0x7c00;
constexpr uint16_t kBFloat16Exponent = 0x7f80;

template <typename Bits>
Bits LoadBits(std::string_view bytes, size_t index) {
  Bits bits;
  std::memcpy(&bits, bytes.data() + index * sizeof(Bits), sizeof(Bits));
  return bits;
}

float Float16ToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  if (magnitude < 0x0400) {
    const float value = std::ldexp(static_cast<float>(magnitude), -24);
    return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
  }
  const uint32_t rebias = magnitude >= kFloat16Exponent ? 0x70000000 : 0x38000000;
  return std::bit_cast<float>(sign | ((magnitude << 13) + rebias));
}

// Adds half of the last kept place, less one where that place is even, and drops `shift` bits.
uint32_t RoundedShift(uint32_t bits, int shift) {
  const uint32_t odd = (bits >> shift) & 1;
  return (bits + (1u << (shift - 1)) - 1 + odd) >> shift;
}

uint16_t FloatToFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > kFloat32Exponent) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | kFloat16Exponent;
  if (magnitude >= 0x38800000) return sign | RoundedShift(magnitude - 0x38000000, 13);
  const int exponent = static_cast<int>(magnitude >> 23);
  if (exponent < 102) return sign;
  return sign | RoundedShift((magnitude & 0x7fffff) | 0x800000, 126 - exponent);
}

uint16_t FloatToBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > kFloat32Exponent) return static_cast<uint16_t>(bits >> 16) | 0x0040;
  return static_cast<uint16_t>(RoundedShift(bits, 16));
}

bool IsFiniteAt(std::string_view bytes, DataType dtype, size_t index) {
  const auto below = [](auto bits, auto exponent) { return (bits & exponent) != exponent; };
  switch (dtype) {
    case DataType::kFloat32:
      return below(LoadBits<uint32_t>(bytes, index), kFloat32Exponent);
    case DataType::kFloat16:
      return below(LoadBits<uint16_t>(bytes, index), kFloat16Exponent);
    case DataType::kBFloat16:
      return below(LoadBits<uint16_t>(bytes, index), kBFloat16Exponent);
  }
  return false;
}

}  // namespace

size_t ElementSize(DataType dtype) { return dtype == DataType::kFloat32 ? 4 : 2; }

std::string_view DataTypeName(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat32:
      return "float32";
    case DataType::kFloat16:
      return "float16";
    case DataType::kBFloat16:
      return "bfloat16";
  }
  return "unknown";
}

std::string ShapeString(std::span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

absl::StatusOr<uint64_t> ElementCount(std::span<const int64_t> shape, uint64_t limit) {
  if (std::ranges::any_of(shape, [](int64_t size) { return size < 0; })) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape ", ShapeString(shape), " has a negative dimension"));
  }
  if (std::ranges::find(shape, 0) != shape.end()) return 0;
  uint64_t count = 1;
  for (const int64_t size : shape) {
    if (count > limit / static_cast<uint64_t>(size)) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape ", ShapeString(shape), " has more than ", limit, " elements"));
    }
    count *= static_cast<uint64_t>(size);
  }
  return count;
}

absl::StatusOr<Tensor> DecodeTensor(std::string_view field, std::span<const uint32_t> shape,
                                    DataType dtype, std::string_view bytes,
                                    std::span<const int64_t> expected) {
  if (!std::equal(shape.begin(), shape.end(), expected.begin(), expected.end())) {
    const auto shown = shape.first(std::min<size_t>(shape.size(), 8));
    return FieldError(
        field, absl::StrCat("shape [", absl::StrJoin(shown, ", "), shape.size() > 8 ? ", ..." : "",
                            "] is not ", ShapeString(expected)));
  }
  constexpr uint64_t kLimit = std::numeric_limits<int64_t>::max() / sizeof(float);
  DDPT_ASSIGN_OR_RETURN(const uint64_t count, ElementCount(expected, kLimit));
  if (bytes.size() != count * ElementSize(dtype)) {
    return FieldError(
        field, absl::StrCat(bytes.size(), " bytes of data are not the ", count * ElementSize(dtype),
                            " of ", ShapeString(expected), " ", Piece(DataTypeName(dtype))));
  }
  for (uint64_t i = 0; i < count; ++i) {
    if (!IsFiniteAt(bytes, dtype, i)) {
      return FieldError(field, absl::StrCat("element ", i, " of ", count, " is not finite"));
    }
  }
  return Tensor{{expected.begin(), expected.end()}, DecodeElements(bytes, dtype)};
}

std::string EncodeElements(std::span<const float> values, DataType dtype) {
  std::string bytes(values.size() * ElementSize(dtype), '\0');
  if (dtype == DataType::kFloat32) {
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  const auto convert = dtype == DataType::kFloat16 ? FloatToFloat16 : FloatToBFloat16;
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = convert(values[i]);
    std::memcpy(bytes.data() + i * sizeof(bits), &bits, sizeof(bits));
  }
  return bytes;
}

std::vector<float> DecodeElements(std::string_view bytes, DataType dtype) {
  std::vector<float> values(bytes.size() / ElementSize(dtype));
  if (dtype == DataType::kFloat32) {
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = LoadBits<uint16_t>(bytes, i);
    values[i] = dtype == DataType::kFloat16
                    ? Float16ToFloat(bits)
                    : std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
  return values;
}

}  // namespace ddpt
