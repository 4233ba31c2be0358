#include "core/model/kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "core/base/aligned_floats.h"
#include "core/base/math_inline.h"

namespace ddpt {
namespace {

using Floats = std::vector<float>;

std::mt19937& Generator() {
  static std::mt19937 generator(1);
  return generator;
}

Floats Random(size_t count, float scale = 1) {
  std::normal_distribution<float> normal(0, scale);
  Floats values(count);
  for (float& value : values) value = normal(Generator());
  return values;
}

uint16_t ToBfloat16(float x) { return static_cast<uint16_t>(inlined::BfloatBits(x) >> 16); }
float FromBfloat16(uint16_t x) { return inlined::FloatOf(static_cast<uint32_t>(x) << 16); }

// A matrix of any type, and the same in double.
struct Matrix {
  Matrix(MatrixType type, size_t outputs, size_t inputs) : exact(outputs * inputs) {
    const Floats values = Random(outputs * inputs);
    bias = Random(outputs);
    scales = Floats(outputs, 1);
    view = {type, nullptr, nullptr, bias.data(), inputs, outputs};
    for (size_t i = 0; i < values.size(); ++i) {
      if (type == MatrixType::kFloat32) {
        Store(values[i]);
        exact[i] = values[i];
      } else if (type == MatrixType::kBfloat16) {
        Store(ToBfloat16(values[i]));
        exact[i] = FromBfloat16(ToBfloat16(values[i]));
      } else {
        scales[i / inputs] = 0.01f + 0.001f * static_cast<float>(i / inputs % 7);
        const auto kept = static_cast<int8_t>(std::max(-127.0f, std::min(127.0f, values[i] * 40)));
        Store(kept);
        exact[i] = double{scales[i / inputs]} * kept;
      }
    }
    view.weights = bytes.data();
    view.scales = scales.data();
  }

  template <typename T>
  void Store(T value) {
    bytes.resize(bytes.size() + sizeof(T));
    std::memcpy(bytes.data() + bytes.size() - sizeof(T), &value, sizeof(T));
  }

  std::vector<char> bytes;
  std::vector<double> exact;
  Floats bias, scales;
  MatrixView view;
};

struct Prepared {
  Prepared(const ModelKernels& kernels, MatrixType type, const Floats& x, size_t rows)
      : inputs(x.size() / rows), data(rows * PreparedBytes(inputs) / 4), scales(rows) {
    auto* const to = reinterpret_cast<std::byte*>(data.data());
    for (size_t row = 0; row < rows; ++row) {
      kernels.prepare(type, &x[row * inputs], inputs, to + row * PreparedBytes(inputs),
                      &scales[row]);
    }
    view = {to, scales.data(), rows, PreparedBytes(inputs)};
  }

  size_t inputs;
  AlignedFloats data;
  Floats scales;
  PreparedRows view;
};

const ModelKernels* Find(const std::string& name) {
  for (const ModelKernels* kernels :
       {Avx2ModelKernels(), Avx512ModelKernels(), Avx512Bf16ModelKernels(), AmxModelKernels()}) {
    if (kernels != nullptr && kernels->name == name) return kernels;
  }
  return nullptr;
}

class ModelKernelsTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (kernels == nullptr) GTEST_SKIP() << "this processor has no " << GetParam();
  }

  const ModelKernels* kernels = Find(GetParam());
};

INSTANTIATE_TEST_SUITE_P(All, ModelKernelsTest,
                         testing::Values("avx2", "avx512", "avx512_bf16", "amx"),
                         [](const auto& info) { return std::string(info.param); });

class ProductTest : public testing::TestWithParam<std::tuple<const char*, MatrixType>> {
 protected:
  void SetUp() override {
    if (kernels == nullptr) GTEST_SKIP() << "this processor has no " << std::get<0>(GetParam());
  }

  Floats Multiply(const Matrix& matrix, const Floats& x, size_t rows) const {
    const Prepared prepared(*kernels, matrix.view.type, x, rows);
    Floats out(rows * matrix.view.outputs, NAN);
    kernels->multiply(matrix.view, {0, matrix.view.outputs}, prepared.view, out.data(),
                      matrix.view.outputs, false);
    return out;
  }

  // The largest error, as a share of the sum of the products' magnitudes; for int8 of what those
  // would be with the row's largest input in each place.
  double Error(const Matrix& matrix, const Floats& x, size_t rows, const Floats& found) const {
    const size_t inputs = matrix.view.inputs, outputs = matrix.view.outputs;
    double worst = 0;
    for (size_t i = 0; i < rows * outputs; ++i) {
      const auto row = x.begin() + i / outputs * inputs;
      const auto shorter = [](float a, float b) { return std::abs(a) < std::abs(b); };
      const double largest = std::abs(*std::max_element(row, row + inputs, shorter));
      double sum = matrix.bias[i % outputs], size = std::abs(sum);
      for (size_t k = 0; k < inputs; ++k) {
        const double weight = matrix.exact[i % outputs * inputs + k];
        sum += weight * row[k];
        size += std::abs(weight * (type == MatrixType::kInt8 ? largest : double{row[k]}));
      }
      worst = std::max(worst, std::abs(found[i] - sum) / size);
    }
    return worst;
  }

  // float32 rounds sums; bfloat16 rounds the inputs, too; int8 by up to half of 1/32767 of a row's
  // largest input.
  double Bound() const {
    return type == MatrixType::kFloat32 ? 1e-6 : type == MatrixType::kBfloat16 ? 4e-3 : 1.7e-5;
  }

  const ModelKernels* kernels = Find(std::get<0>(GetParam()));
  const MatrixType type = std::get<1>(GetParam());
};

std::string NameOf(const std::tuple<const char*, MatrixType>& param) {
  const char* const types[] = {"float32", "bfloat16", "int8"};
  return std::string(std::get<0>(param)) + "_" + types[static_cast<size_t>(std::get<1>(param))];
}

INSTANTIATE_TEST_SUITE_P(All, ProductTest,
                         testing::Combine(testing::Values("avx2", "avx512", "avx512_bf16", "amx"),
                                          testing::Values(MatrixType::kFloat32,
                                                          MatrixType::kBfloat16,
                                                          MatrixType::kInt8)),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(ProductTest, EqualsTheExactProductOfOddShapes) {
  for (const size_t inputs : {1, 3, 16, 31, 33, 64, 100, 1024, 1057, 2100}) {
    for (const size_t outputs : {1, 3, 4, 7, 8, 19, 40}) {
      const Matrix matrix(type, outputs, inputs);
      for (const size_t rows : {1, 2, 3, 4, 7, 13}) {
        const Floats x = Random(rows * inputs);
        ASSERT_LT(Error(matrix, x, rows, Multiply(matrix, x, rows)), Bound())
            << rows << " x " << inputs << " -> " << outputs;
      }
    }
  }
}

TEST_P(ProductTest, ManyRowsAreTakenInBlocks) {
  const Matrix matrix(type, 5, 1500);
  const Floats x = Random(200 * 1500);
  EXPECT_LT(Error(matrix, x, 200, Multiply(matrix, x, 200)), Bound());
}

TEST_P(ProductTest, TheLargestSumsOverflowNothing) {
  for (const size_t inputs : {65'536, 65'537}) {
    Matrix matrix(type, 1, inputs);
    if (type == MatrixType::kInt8) {
      std::memset(matrix.bytes.data(), 127, inputs);
      std::fill(matrix.exact.begin(), matrix.exact.end(), 127.0 * matrix.scales[0]);
    }
    const Floats x(inputs, 1);
    EXPECT_LT(Error(matrix, x, 1, Multiply(matrix, x, 1)), Bound()) << inputs;
  }
}

TEST_P(ProductTest, NeighboursChangeNoBit) {
  const Matrix matrix(type, 37, 1100);
  const Floats x = Random(64 * 1100);
  const Floats first(x.begin(), x.begin() + 1100);
  const Floats alone = Multiply(matrix, first, 1);
  for (size_t rows = 2; rows <= 64; ++rows) {
    const Floats found = Multiply(matrix, Floats(x.begin(), x.begin() + rows * 1100), rows);
    ASSERT_EQ(Floats(found.begin(), found.begin() + 37), alone) << rows;
  }
}

TEST_P(ProductTest, SharesOfTheOutputsMakeTheWhole) {
  const Matrix matrix(type, 50, 70);
  const Floats x = Random(3 * 70);
  const Prepared prepared(*kernels, type, x, 3);
  Floats found(3 * 50, NAN);
  for (const OutputRange range : {OutputRange{0, 16}, OutputRange{16, 48}, OutputRange{48, 50}}) {
    kernels->multiply(matrix.view, range, prepared.view, found.data(), 50, false);
  }
  EXPECT_EQ(found, Multiply(matrix, x, 3));
}

TEST_P(ProductTest, AddsToWhatIsThere) {
  const Matrix matrix(type, 9, 40);
  const Floats x = Random(40);
  const Prepared prepared(*kernels, type, x, 1);
  Floats found(9, 100), expected = Multiply(matrix, x, 1);
  kernels->multiply(matrix.view, {0, 9}, prepared.view, found.data(), 9, true);
  for (float& value : expected) value = 100 + value;
  EXPECT_EQ(found, expected);
}

TEST_P(ProductTest, ARowOfZerosGivesTheBias) {
  const Matrix matrix(type, 9, 40);
  EXPECT_EQ(Multiply(matrix, Floats(40, 0), 1), matrix.bias);
}

TEST_P(ProductTest, WhatIsNotFiniteStaysSo) {
  const Matrix matrix(type, 9, 40);
  for (const float bad : {NAN, INFINITY}) {
    Floats x = Random(40);
    x[7] = bad;
    for (const float value : Multiply(matrix, x, 1)) EXPECT_FALSE(std::isfinite(value));
  }
}

// Keys and values of `tokens` tokens in blocks, and the same in double.
struct Past {
  Past(size_t tokens, size_t width, bool bfloat16)
      : tokens(tokens), width(width), bfloat16(bfloat16) {
    const size_t count = (tokens + kBlockTokens - 1) / kBlockTokens;
    for (size_t i = 0; i < count; ++i) {
      key_blocks.emplace_back(kBlockTokens * width);
      value_blocks.emplace_back(kBlockTokens * width);
    }
    for (size_t token = 0; token < tokens; ++token) {
      for (size_t c = 0; c < width; ++c) {
        const size_t block = token / kBlockTokens, place = token % kBlockTokens;
        keys.push_back(Put(key_blocks[block], c * kBlockTokens + place));
        values.push_back(Put(value_blocks[block], place * width + c));
      }
    }
    for (size_t i = 0; i < count; ++i) {
      key_pointers.push_back(key_blocks[i].data());
      value_pointers.push_back(value_blocks[i].data());
    }
  }

  double Put(AlignedFloats& block, size_t place) const {
    const float value = Random(1)[0];
    if (!bfloat16) return block[place] = value;
    auto* const halves = reinterpret_cast<uint16_t*>(block.data());
    halves[place] = ToBfloat16(value);
    return FromBfloat16(halves[place]);
  }

  std::vector<double> Exact(const Floats& q, float scale, const Floats& bias) const {
    std::vector<double> weights, out(width, 0);
    double sum = 0;
    for (size_t token = 0; token < tokens; ++token) {
      double score = bias[token];
      for (size_t c = 0; c < width; ++c) score += scale * q[c] * keys[token * width + c];
      weights.push_back(std::exp(score));
      sum += weights.back();
    }
    for (size_t i = 0; i < tokens * width; ++i) {
      out[i % width] += weights[i / width] / sum * values[i];
    }
    return out;
  }

  size_t tokens, width;
  bool bfloat16;
  std::vector<AlignedFloats> key_blocks, value_blocks;
  std::vector<double> keys, values;
  std::vector<const void*> key_pointers, value_pointers;
};

TEST_P(ModelKernelsTest, AttentionEqualsTheExactOne) {
  for (const bool bfloat16 : {false, true}) {
    for (const size_t width : {16, 48, 64, 80, 256}) {
      for (const size_t tokens : {1, 5, 16, 17, 70}) {
        const Past past(tokens, width, bfloat16);
        const Floats q = Random(width), bias = Random(tokens);
        const AttentionView view{past.key_pointers.data(),
                                 past.value_pointers.data(),
                                 bfloat16,
                                 width,
                                 tokens,
                                 0.3f,
                                 bias.data()};
        Floats scores(tokens + kBlockTokens), found(width);
        kernels->attend(view, q.data(), scores.data(), found.data());
        const std::vector<double> exact = past.Exact(q, 0.3f, bias);
        for (size_t c = 0; c < width; ++c) ASSERT_NEAR(found[c], exact[c], 2e-5) << tokens;
      }
    }
  }
}

TEST_P(ModelKernelsTest, RmsNormEqualsTheExactOne) {
  for (const size_t n : {1, 15, 16, 33, 768}) {
    const Floats x = Random(n), weight = Random(n);
    Floats found(n);
    kernels->rms_norm(n, x.data(), weight.data(), 1e-6f, found.data());
    double squares = 0;
    for (const float value : x) squares += double{value} * value;
    for (size_t i = 0; i < n; ++i) {
      ASSERT_NEAR(found[i], weight[i] * x[i] / std::sqrt(squares / n + 1e-6), 1e-5) << n;
    }
  }
}

TEST_P(ModelKernelsTest, LayerNormEqualsTheExactOne) {
  for (const size_t n : {2, 15, 16, 33, 768}) {
    Floats x = Random(n), weight = Random(n), bias = Random(n), found(n);
    for (float& value : x) value += 3;
    kernels->layer_norm(n, x.data(), weight.data(), bias.data(), 1e-5f, found.data());
    double mean = 0, squares = 0;
    for (const float value : x) mean += value / static_cast<double>(n);
    for (const float value : x) squares += (value - mean) * (value - mean);
    for (size_t i = 0; i < n; ++i) {
      const double exact =
          bias[i] + weight[i] * (x[i] - mean) / std::sqrt(squares / static_cast<double>(n) + 1e-5);
      ASSERT_NEAR(found[i], exact, 2e-5) << n;
    }
  }
}

TEST_P(ModelKernelsTest, ActivationsEqualTheExactOnes) {
  Floats relu = {-3, -0.0f, 0, 2, NAN}, gelu;
  kernels->relu(relu.size(), relu.data());
  EXPECT_THAT(Floats(relu.begin(), relu.end() - 1), testing::ElementsAre(0, 0, 0, 2));
  EXPECT_TRUE(std::isnan(relu.back()));
  for (float x = -12; x < 12; x += 0.37f) gelu.push_back(x);
  const Floats before = gelu;
  kernels->gelu(gelu.size(), gelu.data());
  for (size_t i = 0; i < gelu.size(); ++i) {
    const double x = before[i];
    const double exact = x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    EXPECT_NEAR(gelu[i], exact, 1e-6 * (1 + std::abs(x))) << x;
  }
}

}  // namespace
}  // namespace ddpt
