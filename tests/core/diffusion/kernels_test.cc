#include "core/diffusion/kernels.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/math.h"
#include "core/diffusion/packed_affine.h"
#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

// out = bias + W in by the rule: one chain of fused multiply-adds in the order of the inputs.
std::vector<float> ByTheRule(std::span<const float> weight, std::span<const float> bias,
                             std::span<const float> in) {
  std::vector<float> out(bias.begin(), bias.end());
  for (size_t j = 0; j < out.size(); ++j) {
    for (size_t k = 0; k < in.size(); ++k) {
      out[j] = std::fma(weight[j * in.size() + k], in[k], out[j]);
    }
  }
  return out;
}

std::vector<float> EachByTheRule(std::span<const float> weight, std::span<const float> bias,
                                 std::span<const float> in, size_t rows) {
  const size_t inputs = in.size() / rows;
  std::vector<float> all;
  for (size_t row = 0; row < rows; ++row) {
    const auto out = ByTheRule(weight, bias, in.subspan(row * inputs, inputs));
    all.insert(all.end(), out.begin(), out.end());
  }
  return all;
}

// To bfloat16, nearest even, by the arithmetic of float: adding and taking away 2^16 ulp.
std::vector<float> Rounded(std::vector<float> values) {
  for (float& value : values) {
    const float shift = std::ldexp(1.5f, std::ilogb(value) + 16);
    value = (value + shift) - shift;
  }
  return values;
}

// The rows of `in` through the map.
std::vector<float> Apply(const Kernels& kernels, const PackedAffine& map,
                         const std::vector<float>& in) {
  const size_t inputs = map.view().inputs, outputs = map.view().outputs;
  const size_t rows = in.size() / inputs;
  std::vector<float> out(rows * outputs);
  std::vector<const float*> from;
  std::vector<float*> to;
  for (size_t row = 0; row < rows; ++row) {
    from.push_back(&in[row * inputs]);
    to.push_back(&out[row * outputs]);
  }
  kernels.affine(map.view(), {0, PanelsOf(outputs)}, from.data(), rows, to.data());
  return out;
}

bool SameBytes(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

class KernelsTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string name = GetParam();
    kernels_ = name == "avx512" ? Avx512Kernels()
               : name == "avx2" ? Avx2Kernels()
                                : &PortableKernels();
    if (kernels_ == nullptr) GTEST_SKIP() << "this processor has no " << name;
  }
  const Kernels* kernels_ = nullptr;
};

TEST_P(KernelsTest, AffineIsOneChainAtEverySize) {
  for (const size_t outputs : {1, 15, 16, 17, 33, 100, 256}) {
    for (const size_t inputs : {1, 7, 64}) {
      const auto weight = Noise(outputs, outputs * inputs), bias = Noise(2, outputs);
      const PackedAffine map(weight, bias, outputs, inputs);
      for (const size_t rows : {1, 2, 3, 4, 5, 6, 7, 13, 25}) {
        const auto in = Noise(rows, rows * inputs);
        ASSERT_TRUE(SameBytes(Apply(*kernels_, map, in), EachByTheRule(weight, bias, in, rows)))
            << outputs << " outputs, " << inputs << " inputs, " << rows << " rows";
      }
    }
  }
}

TEST_P(KernelsTest, Bfloat16AffineIsTheSameChainWithRoundedWeights) {
  for (const size_t outputs : {1, 17, 33, 256}) {
    for (const size_t inputs : {1, 7, 64}) {
      const auto weight = Noise(outputs, outputs * inputs), bias = Noise(2, outputs);
      const PackedAffine map(weight, bias, outputs, inputs, WeightType::kBfloat16);
      for (const size_t rows : {1, 2, 3, 4, 5, 6, 7, 13, 25}) {
        const auto in = Noise(rows, rows * inputs);
        ASSERT_TRUE(
            SameBytes(Apply(*kernels_, map, in), EachByTheRule(Rounded(weight), bias, in, rows)))
            << outputs << " outputs, " << inputs << " inputs, " << rows << " rows";
      }
    }
  }
}

TEST_P(KernelsTest, StreamedWeightsGiveTheSameBytes) {
  for (const WeightType type : {WeightType::kFloat32, WeightType::kBfloat16}) {
    for (const size_t outputs : {1, 17, 33, 256}) {
      for (const size_t inputs : {1, 7, 64}) {
        const auto weight = Noise(outputs, outputs * inputs), bias = Noise(2, outputs);
        const PackedAffine kept(weight, bias, outputs, inputs, type);
        const auto streamed = PackedAffine(weight, bias, outputs, inputs, type).Streamed();
        for (const size_t rows : {1, 2, 3, 4, 5, 6, 7, 13, 25}) {
          const auto in = Noise(rows, rows * inputs);
          ASSERT_TRUE(SameBytes(Apply(*kernels_, streamed, in), Apply(*kernels_, kept, in)))
              << outputs << " outputs, " << inputs << " inputs, " << rows << " rows";
        }
      }
    }
  }
}

TEST_P(KernelsTest, ElementwiseKernelsDoWhatTheHeaderSays) {
  constexpr size_t kCount = 37;
  const auto a = Noise(1, kCount), b = Noise(2, kCount), c = Noise(3, kCount);
  std::vector<float> out(kCount), sum = c, guided(kCount), silu = b;
  kernels_->activate(kCount, a.data(), b.data(), c.data(), out.data());
  kernels_->accumulate(kCount, 0.3f, a.data(), sum.data());
  kernels_->guide(kCount, 2.5f, a.data(), b.data(), guided.data());
  kernels_->add_silu(kCount, a.data(), silu.data());
  for (size_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(out[i], Silu((a[i] + b[i]) + c[i]));
    EXPECT_EQ(sum[i], std::fma(0.3f, a[i], c[i]));
    EXPECT_EQ(guided[i], std::fma(2.5f, b[i], (1 - 2.5f) * a[i]));
    EXPECT_EQ(silu[i], a[i] + Silu(b[i]));
  }
}

TEST_P(KernelsTest, AdvanceFollowsTheFormula) {
  constexpr size_t kCount = 37;
  const StepCoefficients step = {0.9f, 0.2f, -0.05f, 0.4f, true};
  const auto noise = Noise(1, kCount), d = Noise(2, kCount), state = Noise(3, kCount);
  const auto before = Noise(4, kCount);
  auto moved = state, kept = before;
  kernels_->advance(kCount, step, noise.data(), d.data(), moved.data(), kept.data());
  for (size_t i = 0; i < kCount; ++i) {
    const float direction = d[i] + state[i];
    const float x = std::fma(step.r, before[i], std::fma(step.q, direction, step.p * state[i]));
    EXPECT_EQ(moved[i], std::fma(step.sigma, noise[i], x));
    EXPECT_EQ(kept[i], direction);
  }
}

TEST_P(KernelsTest, AllFiniteSeesEveryPosition) {
  for (size_t bad = 0; bad < 37; ++bad) {
    auto values = Noise(1, 37);
    EXPECT_TRUE(kernels_->all_finite(37, values.data()));
    values[bad] = bad % 2 == 0 ? std::nanf("") : -std::numeric_limits<float>::infinity();
    EXPECT_FALSE(kernels_->all_finite(37, values.data())) << bad;
  }
}

INSTANTIATE_TEST_SUITE_P(All, KernelsTest, ::testing::Values("portable", "avx2", "avx512"),
                         [](const auto& test) { return std::string(test.param); });

TEST(PackedAffineTest, TransposedIsTheTranspose) {
  const auto weight = Noise(1, 5 * 18), in = Noise(2, 5);
  const auto map = PackedAffine::Transposed(weight, 18, 5);
  std::vector<float> out(18);
  const float* from = in.data();
  float* to = out.data();
  PortableKernels().affine(map.view(), {0, 1}, &from, 1, &to);
  for (size_t j = 0; j < 18; ++j) {
    float sum = 0;
    for (size_t k = 0; k < 5; ++k) sum = std::fma(weight[k * 18 + j], in[k], sum);
    EXPECT_EQ(out[j], sum);
  }
}

}  // namespace
}  // namespace ddpt
