#include "core/base/philox.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "core/base/digest.h"
#include "core/base/philox_inline.h"
#include "core/base/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddpt {
namespace {

using ::testing::ElementsAre;

constexpr uint64_t kAllOnes = ~uint64_t{0};

std::vector<float> Normals(const NoiseKey& key, size_t count) {
  std::vector<float> out(count);
  FillNormal(key, out);
  return out;
}

TEST(PhiloxTest, BlocksAreThePublishedVectors) {
  EXPECT_THAT(PhiloxBlock({0, 0, 0}, 0),
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(PhiloxBlock({kAllOnes, kAllOnes, 0xffffffff}, 0xffffffff),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(PhiloxBlock({0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3}, 0x243f6a88),
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(PhiloxTest, NormalsAgreeWithAnIndependentImplementation) {
  const auto file = SafetensorsFile::Open(DDPT_TEST_DATA "/philox/philox.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  const NoiseKey keys[] = {{0, 0, 0}, {1, 0, 0}, {0xdeadbeefcafef00d, 0x123456789abcdef0, 7}};
  for (int stream = 0; stream < 3; ++stream) {
    const auto expected = (*file)->tensors().at("stream_" + std::to_string(stream)).ToTensor().data;
    const auto normals = Normals(keys[stream], expected.size());
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(normals[i], expected[i], 2e-6) << i;
  }
}

TEST(PhiloxTest, NormalsKeepTheirBytes) {
  const std::vector<float> out = Normals({42, 3, 1}, 10'240);
  const std::string_view bytes(reinterpret_cast<const char*>(out.data()),
                               out.size() * sizeof(float));
  EXPECT_EQ(Crc32c(bytes), 0x371368edu);
}

TEST(PhiloxTest, NormalsOfEveryInstructionSetAreTheSame) {
  std::vector<float> portable(4 * 2'500);
  inlined::NormalBlocks(42, 3, 1, 0, 2'500, portable.data());
  EXPECT_EQ(Normals({42, 3, 1}, portable.size()), portable);
}

TEST(PhiloxTest, AShorterDrawIsAPrefixOfALongerOne) {
  const std::vector<float> longer = Normals({7, 0, 0}, 23);
  for (size_t count = 0; count < longer.size(); ++count) {
    const std::vector<float> shorter = Normals({7, 0, 0}, count);
    EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), longer.begin())) << count;
  }
}

TEST(PhiloxTest, SeedSampleStageAndPositionAllMatter) {
  const std::vector<float> base = Normals({1, 2, 3}, 64);
  constexpr uint64_t kHigh = uint64_t{1} << 32;
  for (const NoiseKey& key : {NoiseKey{2, 2, 3}, NoiseKey{1 + kHigh, 2, 3}, NoiseKey{1, 3, 3},
                              NoiseKey{1, 2 + kHigh, 3}, NoiseKey{1, 2, 4}}) {
    const std::vector<float> other = Normals(key, 64);
    for (size_t i = 0; i < base.size(); ++i) EXPECT_NE(base[i], other[i]) << i;
  }
  for (size_t i = 1; i < base.size(); ++i) EXPECT_NE(base[i - 1], base[i]);
}

TEST(PhiloxTest, NormalsHaveTheMomentsOfTheNormalDistribution) {
  constexpr size_t kCount = 1 << 20;
  const std::vector<float> out = Normals({2024, 0, 0}, kCount);
  double moments[5] = {};
  for (const float x : out) {
    for (int k = 1; k <= 4; ++k) moments[k] += std::pow(double{x}, k) / kCount;
  }
  EXPECT_NEAR(moments[1], 0, 5 * std::sqrt(1.0 / kCount));
  EXPECT_NEAR(moments[2], 1, 5 * std::sqrt(2.0 / kCount));
  EXPECT_NEAR(moments[3], 0, 5 * std::sqrt(15.0 / kCount));
  EXPECT_NEAR(moments[4], 3, 5 * std::sqrt(96.0 / kCount));
}

TEST(PhiloxTest, ExtremeWordsStayFinite) {
  for (const uint32_t word : {0u, 1u, 0x7fffffffu, 0xfffffeffu, 0xffffffffu}) {
    float first, second;
    inlined::BoxMuller(word, word, &first, &second);
    EXPECT_TRUE(std::isfinite(first) && std::isfinite(second)) << word;
    EXPECT_LT(std::abs(first) + std::abs(second), 10.0f);
  }
}

}  // namespace
}  // namespace ddpt
