#include "core/base/tensor.h"

#include <bit>
#include <cmath>
#include <limits>

#include "absl/strings/match.h"
#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddpt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kShape[] = {2, 2};
constexpr uint32_t kWireShape[] = {2, 2};

uint16_t Encode16(float value, DataType dtype) {
  const std::string bytes = EncodeElements({&value, 1}, dtype);
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) | static_cast<uint8_t>(bytes[1])
                                                                    << 8);
}

float Decode16(uint16_t bits, DataType dtype) {
  const char bytes[] = {static_cast<char>(bits & 0xff), static_cast<char>(bits >> 8)};
  return DecodeElements({bytes, 2}, dtype)[0];
}

std::string Message(const absl::StatusOr<Tensor>& tensor) {
  return std::string(tensor.status().message());
}

TEST(TensorTest, ShapeStringIsReadable) {
  EXPECT_EQ(ShapeString(kShape), "[2, 2]");
  EXPECT_EQ(ShapeString({}), "[]");
}

TEST(TensorTest, ElementCountMultiplies) {
  EXPECT_EQ(*ElementCount(std::vector<int64_t>{2, 3, 4}, 24), 24u);
  EXPECT_EQ(*ElementCount({}, 1), 1u);
}

TEST(TensorTest, ElementCountRefusesMoreThanTheLimit) {
  const auto count = ElementCount(std::vector<int64_t>{2, 3, 4}, 23);
  EXPECT_EQ(count.status().message(), "shape [2, 3, 4] has more than 23 elements");
}

TEST(TensorTest, ElementCountRefusesOverflowAndNegativeSizes) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  const int64_t huge = int64_t{1} << 62;
  EXPECT_FALSE(ElementCount(std::vector<int64_t>{huge, huge, huge}, kMax).ok());
  EXPECT_FALSE(ElementCount(std::vector<int64_t>{0, -1}, kMax).ok());
  EXPECT_EQ(*ElementCount(std::vector<int64_t>{huge, huge, 0}, kMax), 0u);
}

TEST(TensorTest, DecodesWhatWasEncodedInEveryType) {
  const std::vector<float> values = {1.0f, -0.5f, 0.0f, 1024.0f};
  for (const DataType dtype : {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16}) {
    const std::string bytes = EncodeElements(values, dtype);
    EXPECT_EQ(bytes.size(), values.size() * ElementSize(dtype));
    const auto tensor = DecodeTensor("x", kWireShape, dtype, bytes, kShape);
    ASSERT_TRUE(tensor.ok()) << tensor.status();
    EXPECT_EQ(tensor->data, values) << DataTypeName(dtype);
    EXPECT_THAT(tensor->shape, ElementsAre(2, 2));
  }
}

TEST(TensorTest, DecodeRefusesAnotherShape) {
  const uint32_t shape[] = {2, 3};
  const auto tensor = DecodeTensor("x", shape, DataType::kFloat32, std::string(24, '\0'), kShape);
  EXPECT_EQ(Message(tensor), "x: shape [2, 3] is not [2, 2]");
  EXPECT_EQ(FieldOf(tensor.status()), "x");
}

TEST(TensorTest, DecodeShowsOnlyTheBeginningOfALongShape) {
  const std::vector<uint32_t> shape(1'000'000, 1);
  const auto tensor = DecodeTensor("x", shape, DataType::kFloat32, "", kShape);
  EXPECT_EQ(Message(tensor), "x: shape [1, 1, 1, 1, 1, 1, 1, 1, ...] is not [2, 2]");
}

TEST(TensorTest, DecodeRefusesAnotherLength) {
  const auto tensor = DecodeTensor("x", kWireShape, DataType::kFloat16, "1234567", kShape);
  EXPECT_EQ(Message(tensor), "x: 7 bytes of data are not the 8 of [2, 2] float16");
}

TEST(TensorTest, DecodeRefusesATruthfulShapeThatIsTooLargeToAllocate) {
  const int64_t expected[] = {int64_t{1} << 31, int64_t{1} << 31};
  const uint32_t shape[] = {1u << 31, 1u << 31};
  EXPECT_FALSE(DecodeTensor("x", shape, DataType::kFloat32, "1234", expected).ok());
}

TEST(TensorTest, DecodeNamesTheElementThatIsNotFinite) {
  for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) {
    const std::vector<float> values = {0, 1, bad, 3};
    for (const DataType dtype : {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16}) {
      const std::string bytes = EncodeElements(values, dtype);
      EXPECT_EQ(Message(DecodeTensor("x", kWireShape, dtype, bytes, kShape)),
                "x: element 2 of 4 is not finite");
    }
  }
}

TEST(TensorTest, EveryFloat16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = Decode16(static_cast<uint16_t>(bits), DataType::kFloat16);
    if (std::isnan(value)) {
      EXPECT_GT(bits & 0x7fff, 0x7c00u);
      EXPECT_GT(Encode16(value, DataType::kFloat16) & 0x7fff, 0x7c00);
    } else {
      ASSERT_EQ(Encode16(value, DataType::kFloat16), bits);
    }
  }
}

TEST(TensorTest, Float16HasItsKnownValues) {
  EXPECT_EQ(Decode16(0x3c00, DataType::kFloat16), 1.0f);
  EXPECT_EQ(Decode16(0x7bff, DataType::kFloat16), 65504.0f);
  EXPECT_EQ(Decode16(0x0001, DataType::kFloat16), 0x1p-24f);
  EXPECT_EQ(Decode16(0x03ff, DataType::kFloat16), 1023 * 0x1p-24f);
  EXPECT_EQ(Decode16(0xfc00, DataType::kFloat16), -kInfinity);
  EXPECT_TRUE(std::signbit(Decode16(0x8000, DataType::kFloat16)));
}

// Between neighbouring float16 values the middle goes to the even one, anything else to the nearer.
TEST(TensorTest, Float16RoundsToNearestEven) {
  for (uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = Decode16(bits, DataType::kFloat16);
    const float high = Decode16(bits + 1, DataType::kFloat16);
    const float middle = low + (high - low) / 2;
    ASSERT_EQ(Encode16(middle, DataType::kFloat16), bits + (bits & 1)) << middle;
    ASSERT_EQ(Encode16(std::nextafter(middle, 0.0f), DataType::kFloat16), bits);
    ASSERT_EQ(Encode16(std::nextafter(middle, kInfinity), DataType::kFloat16), bits + 1);
  }
  EXPECT_EQ(Encode16(65519.996f, DataType::kFloat16), 0x7bff);
  EXPECT_EQ(Encode16(65520.0f, DataType::kFloat16), 0x7c00);
  EXPECT_EQ(Encode16(-1e30f, DataType::kFloat16), 0xfc00);
}

TEST(TensorTest, BFloat16RoundsToNearestEven) {
  EXPECT_EQ(Encode16(1.0f + 0x1p-8f, DataType::kBFloat16), 0x3f80);
  EXPECT_EQ(Encode16(1.0f + 0x1.8p-7f, DataType::kBFloat16), 0x3f82);
  EXPECT_EQ(Encode16(1.0f + 0x1.002p-8f, DataType::kBFloat16), 0x3f81);
  EXPECT_EQ(Encode16(std::numeric_limits<float>::max(), DataType::kBFloat16), 0x7f80);
  EXPECT_GT(Encode16(std::bit_cast<float>(0x7f800001u), DataType::kBFloat16), 0x7f80);
}

TEST(TensorTest, EveryBFloat16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = Decode16(static_cast<uint16_t>(bits), DataType::kBFloat16);
    if (std::isnan(value)) continue;
    ASSERT_EQ(Encode16(value, DataType::kBFloat16), bits);
  }
}

TEST(TensorTest, EmptyTensorsAreTensors) {
  const int64_t expected[] = {0, 4};
  const uint32_t shape[] = {0, 4};
  const auto tensor = DecodeTensor("x", shape, DataType::kFloat32, "", expected);
  ASSERT_TRUE(tensor.ok());
  EXPECT_TRUE(tensor->data.empty());
  EXPECT_EQ(EncodeElements({}, DataType::kFloat32), "");
}

}  // namespace
}  // namespace ddpt
