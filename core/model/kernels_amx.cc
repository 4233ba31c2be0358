#include "core/model/kernels.h"

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AMX_INT8__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

// Products by AMX: a tile is 16 rows of 64 bytes. A tile of weights, 16 outputs as they stand in
// memory, is multiplied by one of inputs, 16 rows of which stand packed: the first 4 bytes of each,
// then the next 4. The sums are [16 outputs, 16 rows], each taken over the inputs in their order.

namespace ddpt {
namespace {

constexpr size_t kTileRows = 16;
constexpr size_t kLine = 64;
constexpr size_t kTileBytes = kTileRows * kLine;
// Rows that are packed at once, and thus share one reading of the weights.
constexpr size_t kMostRows = 64;

constexpr size_t Least(size_t a, size_t b) { return a < b ? a : b; }
constexpr size_t CeilOf(size_t count, size_t part) { return (count + part - 1) / part; }

struct alignas(kLine) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Some tiles of weights, one below the other.
struct Weights {
  const std::byte* first;
  size_t row_bytes;  // from output to output

  const std::byte* Tile(size_t tile) const { return first + tile * kTileRows * row_bytes; }
};

// How a type of matrix is multiplied. kTiles tiles of outputs pass at once; a step is 64 bytes of
// their inputs, for which the rows' inputs take kStepBytes. Step adds it to the sums of the first
// kCount tiles in the registers, Store writes [kTiles * 16 outputs, 16 rows] of them.
struct Bfloat16Product {
  static constexpr size_t kWeightBytes = 2;
  static constexpr size_t kTiles = 4;
  static constexpr size_t kStepBytes = kTileBytes;

  static void Pack(const std::byte* row, size_t place, std::byte* to) {
    const auto* const from = reinterpret_cast<const uint32_t*>(row);
    auto* const words = reinterpret_cast<uint32_t*>(to) + place;
    for (size_t i = 0; i < kTileRows; ++i) words[i * kTileRows] = from[i];
  }
  static void Zero() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  template <size_t kCount>
  static void Step(const Weights& weights, const std::byte* inputs) {
    _tile_loadd(6, inputs, kLine);
    _tile_loadd(4, weights.Tile(0), weights.row_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kCount > 1) {
      _tile_loadd(5, weights.Tile(1), weights.row_bytes);
      _tile_dpbf16ps(1, 5, 6);
    }
    if constexpr (kCount > 2) {
      _tile_loadd(4, weights.Tile(2), weights.row_bytes);
      _tile_dpbf16ps(2, 4, 6);
    }
    if constexpr (kCount > 3) {
      _tile_loadd(5, weights.Tile(3), weights.row_bytes);
      _tile_dpbf16ps(3, 5, 6);
    }
  }
  static void Store(float* sums) {
    _tile_stored(0, sums, kLine);
    _tile_stored(1, sums + kTileRows * kTileRows, kLine);
    _tile_stored(2, sums + 2 * kTileRows * kTileRows, kLine);
    _tile_stored(3, sums + 3 * kTileRows * kTileRows, kLine);
  }
};

// Inputs of 16 bits are 256 times a signed byte and an unsigned one, each with sums of its own.
struct Int8Product {
  static constexpr size_t kWeightBytes = 1;
  static constexpr size_t kTiles = 2;
  static constexpr size_t kStepBytes = 2 * kTileBytes;
  // Beyond it sums of 255 * 127 could overflow.
  static constexpr size_t kMostInputs = 65'536;

  static void Pack(const std::byte* row, size_t place, std::byte* to) {
    const __m512i first = _mm512_loadu_si512(row), second = _mm512_loadu_si512(row + kLine);
    const __m256i bytes[] = {_mm512_cvtepi16_epi8(_mm512_srai_epi16(first, 8)),
                             _mm512_cvtepi16_epi8(_mm512_srai_epi16(second, 8)),
                             _mm512_cvtepi16_epi8(first), _mm512_cvtepi16_epi8(second)};
    uint32_t from[2 * kTileRows];
    __builtin_memcpy(from, bytes, sizeof(from));
    auto* const words = reinterpret_cast<uint32_t*>(to) + place;
    for (size_t i = 0; i < 2 * kTileRows; ++i) words[i * kTileRows] = from[i];
  }
  static void Zero() { Bfloat16Product::Zero(); }
  template <size_t kCount>
  static void Step(const Weights& weights, const std::byte* inputs) {
    _tile_loadd(6, inputs, kLine);
    _tile_loadd(7, inputs + kTileBytes, kLine);
    _tile_loadd(4, weights.Tile(0), weights.row_bytes);
    _tile_dpbssd(0, 4, 6);
    _tile_dpbsud(1, 4, 7);
    if constexpr (kCount > 1) {
      _tile_loadd(5, weights.Tile(1), weights.row_bytes);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbsud(3, 5, 7);
    }
  }
  static void Store(float* sums) {
    alignas(kLine) int32_t parts[4][kTileRows * kTileRows];
    _tile_stored(0, parts[0], kLine);
    _tile_stored(1, parts[1], kLine);
    _tile_stored(2, parts[2], kLine);
    _tile_stored(3, parts[3], kLine);
    for (size_t tile = 0; tile < kTiles; ++tile) {
      for (size_t i = 0; i < kTileRows * kTileRows; ++i) {
        sums[tile * kTileRows * kTileRows + i] = 256.0f * static_cast<float>(parts[2 * tile][i]) +
                                                 static_cast<float>(parts[2 * tile + 1][i]);
      }
    }
  }
};

// Memory that a thread keeps from call to call.
class Scratch {
 public:
  ~Scratch() { std::free(data_); }
  std::byte* Fit(size_t bytes) {
    if (bytes > bytes_) {
      std::free(data_);
      bytes_ = CeilOf(bytes, kLine) * kLine;
      data_ = static_cast<std::byte*>(std::aligned_alloc(kLine, bytes_));
      if (data_ == nullptr) std::abort();
    }
    return data_;
  }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

// Weights with zeros where the matrix has ended: `valid` outputs and the bytes from..row_bytes.
template <size_t kTiles>
Weights CopyOf(const Weights& weights, size_t valid, size_t bytes, std::byte* to) {
  __builtin_memset(to, 0, kTiles * kTileBytes);
  for (size_t output = 0; output < valid; ++output) {
    __builtin_memcpy(to + output * kLine, weights.first + output * weights.row_bytes, bytes);
  }
  return {to, kLine};
}

// Sums of `valid` outputs, more than those of kTiles - 1 tiles, for one packed group of rows.
template <typename Product, size_t kTiles>
void SumsOf(const Weights& weights, size_t valid, const std::byte* inputs, const char* fetch,
            float* sums) {
  const size_t whole = valid == kTiles * kTileRows ? weights.row_bytes / kLine : 0;
  const size_t steps = CeilOf(weights.row_bytes, kLine);
  constexpr size_t kFetch = kTiles * kTileRows;  // lines, as many as a step reads
  Product::Zero();
  for (size_t step = 0; step < whole; ++step) {
    if (fetch != nullptr) {
      for (size_t line = 0; line < kFetch; ++line) {
        __builtin_prefetch(fetch + (step * kFetch + line) * kLine, /*rw=*/0, /*locality=*/2);
      }
    }
    Product::template Step<kTiles>({weights.first + step * kLine, weights.row_bytes},
                                   inputs + step * Product::kStepBytes);
  }
  for (size_t step = whole; step < steps; ++step) {
    alignas(kLine) std::byte copy[kTiles * kTileBytes];
    const Weights rest{weights.first + step * kLine, weights.row_bytes};
    const Weights there =
        CopyOf<kTiles>(rest, valid, Least(kLine, weights.row_bytes - step * kLine), copy);
    asm volatile("" ::: "memory");
    Product::template Step<kTiles>(there, inputs + step * Product::kStepBytes);
  }
  Product::Store(sums);
}

template <typename Product, size_t kTiles = Product::kTiles>
void SumsOfTiles(const Weights& weights, size_t valid, const std::byte* inputs, const char* fetch,
                 float* sums) {
  if constexpr (kTiles > 1) {
    if (valid <= (kTiles - 1) * kTileRows) {
      return SumsOfTiles<Product, kTiles - 1>(weights, valid, inputs, nullptr, sums);
    }
  }
  SumsOf<Product, kTiles>(weights, valid, inputs, fetch, sums);
}

// From the sums of a row, 16 apart, to `outputs` outputs.
void Finish(const MatrixView& matrix, size_t first, size_t outputs, float scale, const float* sums,
            float* out, bool add) {
  const __m512i places =
      _mm512_slli_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), 4);
  for (size_t o = 0; o < outputs; o += kTileRows) {
    const auto valid = static_cast<__mmask16>((1u << Least(outputs - o, kTileRows)) - 1);
    __m512 values = _mm512_i32gather_ps(places, sums + o * kTileRows, sizeof(float));
    if (matrix.type == MatrixType::kInt8) {
      const __m512 scales = _mm512_maskz_loadu_ps(valid, matrix.scales + first + o);
      values = _mm512_mul_ps(values, _mm512_mul_ps(_mm512_set1_ps(scale), scales));
    }
    if (matrix.bias != nullptr) {
      values = _mm512_add_ps(values, _mm512_maskz_loadu_ps(valid, matrix.bias + first + o));
    }
    if (add) values = _mm512_add_ps(_mm512_maskz_loadu_ps(valid, out + o), values);
    _mm512_mask_storeu_ps(out + o, valid, values);
  }
}

// At most kMostRows rows.
template <typename Product>
void Block(const MatrixView& matrix, OutputRange range, const PreparedRows& in, size_t first_row,
           size_t rows, float* out, size_t stride, bool add) {
  constexpr size_t kOutputs = Product::kTiles * kTileRows;
  static thread_local Scratch scratch;
  const size_t row_bytes = matrix.inputs * Product::kWeightBytes;
  const size_t steps = CeilOf(row_bytes, kLine);
  const size_t group_bytes = steps * Product::kStepBytes;
  std::byte* const packed = scratch.Fit(CeilOf(rows, kTileRows) * group_bytes);
  for (size_t row = 0; row < rows; ++row) {
    std::byte* const group = packed + row / kTileRows * group_bytes;
    const std::byte* const from = in.data + (first_row + row) * in.stride;
    for (size_t step = 0; step < steps; ++step) {
      Product::Pack(from + step * (Product::kStepBytes / kTileRows), row % kTileRows,
                    group + step * Product::kStepBytes);
    }
  }
  asm volatile("" ::: "memory");  // the tile loads do not say that they read it
  const auto* const weights = static_cast<const std::byte*>(matrix.weights);
  const auto* const end = reinterpret_cast<const char*>(weights + range.end * row_bytes);
  // The first tiles, too, are read in that order before they are multiplied.
  const auto* const begin = reinterpret_cast<const char*>(weights + range.begin * row_bytes);
  const size_t first_bytes = Least(range.end - range.begin, kOutputs) * row_bytes;
  for (size_t i = 0; i < first_bytes; i += kLine) {
    __builtin_prefetch(begin + i, /*rw=*/0, /*locality=*/2);
  }
  for (size_t first = range.begin; first < range.end; first += kOutputs) {
    const size_t outputs = Least(range.end - first, kOutputs);
    const Weights tiles{weights + first * row_bytes, row_bytes};
    // The next tiles come from memory meanwhile, in the order in which they stand there.
    const auto* const next = reinterpret_cast<const char*>(tiles.Tile(Product::kTiles));
    for (size_t group = 0; group * kTileRows < rows; ++group) {
      alignas(kLine) float sums[kOutputs * kTileRows];
      const bool fetches = group == 0 && next + kOutputs * row_bytes <= end;
      SumsOfTiles<Product>(tiles, outputs, packed + group * group_bytes, fetches ? next : nullptr,
                           sums);
      for (size_t i = 0; i < Least(rows - group * kTileRows, kTileRows); ++i) {
        const size_t row = first_row + group * kTileRows + i;
        const float scale = matrix.type == MatrixType::kInt8 ? in.scales[row] : 1.0f;
        Finish(matrix, first, outputs, scale, sums + i, out + row * stride + first, add);
      }
    }
  }
}

template <typename Product>
void MultiplyOf(const MatrixView& matrix, OutputRange range, const PreparedRows& in, float* out,
                size_t stride, bool add) {
  const TileShapes shapes;
  _tile_loadconfig(&shapes);
  for (size_t first = 0; first < in.rows; first += kMostRows) {
    Block<Product>(matrix, range, in, first, Least(in.rows - first, kMostRows), out, stride, add);
  }
  _tile_release();
}

void Multiply(const MatrixView& matrix, OutputRange range, const PreparedRows& in, float* out,
              size_t stride, bool add) {
  if (matrix.type == MatrixType::kBfloat16) {
    return MultiplyOf<Bfloat16Product>(matrix, range, in, out, stride, add);
  }
  if (matrix.type == MatrixType::kInt8 && matrix.inputs <= Int8Product::kMostInputs) {
    return MultiplyOf<Int8Product>(matrix, range, in, out, stride, add);
  }
  Avx512Bf16ModelKernels()->multiply(matrix, range, in, out, stride, add);
}

bool ProcessorHasTiles() {
  constexpr unsigned kBfloat16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;
  constexpr unsigned kAll = kBfloat16 | kTile | kInt8;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kAll) == kAll;
}

// Linux gives the registers to processes that ask for them.
bool SystemGivesTiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

const ModelKernels* AmxModelKernels() {
  static const bool can =
      Avx512Bf16ModelKernels() != nullptr && ProcessorHasTiles() && SystemGivesTiles();
  if (!can) return nullptr;
  static const ModelKernels kernels = [] {
    ModelKernels those = *Avx512Bf16ModelKernels();
    those.name = "amx";
    those.widen_from = SIZE_MAX;
    those.multiply = Multiply;
    return those;
  }();
  return &kernels;
}

}  // namespace ddpt

#else

const ddpt::ModelKernels* ddpt::AmxModelKernels() { return nullptr; }

#endif
