#include "core/base/safetensors.h"

#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddpt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A file with this header and `data_bytes` zero bytes.
std::string FileOf(const std::string& header, size_t data_bytes = 0) {
  const uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof(length));
  return bytes + header + std::string(data_bytes, '\0');
}

std::string EntryOf(const std::string& dtype, const std::string& shape,
                    const std::string& offsets) {
  return absl::StrCat("{\"dtype\":", dtype, ",\"shape\":", shape, ",\"data_offsets\":", offsets,
                      "}");
}

std::string Problem(const std::string& bytes) {
  const auto file = SafetensorsFile::Parse(bytes, "bad.safetensors");
  if (file.ok()) return "accepted";
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(file.status().message());
}

TEST(SafetensorsTest, ReadsWhatItWrote) {
  const std::vector<float> a = {1, 2, 3, 4, 5, 6}, b = {0.5f, -2};
  const std::string bytes = SerializeSafetensors(
      {{"a", {DataType::kFloat32, {2, 3}, a}}, {"b", {DataType::kBFloat16, {2}, b}}},
      {{"format", "ddpt \"1\""}});
  const auto file = SafetensorsFile::Parse(bytes, "x");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->tensors().at("a").ToTensor().data, a);
  EXPECT_THAT((*file)->tensors().at("a").shape, ElementsAre(2, 3));
  EXPECT_EQ((*file)->tensors().at("b").ToTensor().data, b);
  EXPECT_EQ((*file)->tensors().at("b").dtype, DataType::kBFloat16);
  EXPECT_EQ((*file)->metadata().at("format"), "ddpt \"1\"");
}

TEST(SafetensorsTest, WritesItsDataAligned) {
  for (size_t length = 0; length < 70; ++length) {
    const std::string bytes = SerializeSafetensors({}, {{"pad", std::string(length, 'x')}});
    EXPECT_EQ(bytes.size() % 64, 0u);
    EXPECT_EQ(Problem(bytes), "accepted");
  }
}

TEST(SafetensorsTest, OpensAFileAndNamesItInErrors) {
  const std::string path = DDPT_TEST_DATA "/philox/philox.safetensors";
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT((*file)->tensors().at("stream_0").shape, ElementsAre(1026));
  const std::string script = DDPT_TEST_DATA "/philox/make_philox.py";
  EXPECT_THAT(SafetensorsFile::Open(script).status().message(), HasSubstr(script));
}

TEST(SafetensorsTest, ListsTensorsOfOtherTypesAsSkipped) {
  const std::string header = absl::StrCat("{\"mask\":", EntryOf("\"BOOL\"", "[3]", "[0,3]"),
                                          ",\"ids\":", EntryOf("\"I64\"", "[1]", "[3,11]"),
                                          ",\"w\":", EntryOf("\"F16\"", "[2]", "[11,15]"), "}");
  const std::string bytes = FileOf(header, 15);
  const auto file = SafetensorsFile::Parse(bytes, "x");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT((*file)->skipped(), ElementsAre("ids", "mask"));
  EXPECT_THAT((*file)->tensors().at("w").ToTensor().data, ElementsAre(0, 0));
}

TEST(SafetensorsTest, AcceptsEmptyTensorsScalarsAndNoTensors) {
  EXPECT_EQ(Problem(FileOf("{}")), "accepted");
  EXPECT_EQ(Problem(FileOf(absl::StrCat("{\"e\":", EntryOf("\"F32\"", "[0,7]", "[0,0]"),
                                        ",\"s\":", EntryOf("\"F32\"", "[]", "[0,4]"), "}"),
                           4)),
            "accepted");
}

TEST(SafetensorsTest, RefusesAHugeShapeBeforeAnythingIsAllocated) {
  const std::string header =
      absl::StrCat("{\"w\":", EntryOf("\"F32\"", "[2147483648,2147483648]", "[0,4]"), "}");
  EXPECT_THAT(Problem(FileOf(header, 4)), HasSubstr("shape [2147483648, 2147483648]"));
}

struct BadFile {
  const char* name;
  std::string bytes;
  const char* problem;
};

class BadSafetensorsTest : public ::testing::TestWithParam<BadFile> {};

TEST_P(BadSafetensorsTest, NamesTheLie) {
  const std::string problem = Problem(GetParam().bytes);
  EXPECT_THAT(problem, HasSubstr("bad.safetensors: "));
  EXPECT_THAT(problem, HasSubstr(GetParam().problem));
}

std::string OneTensor(const std::string& dtype, const std::string& shape,
                      const std::string& offsets, size_t data_bytes = 4) {
  return FileOf(absl::StrCat("{\"w\":", EntryOf(dtype, shape, offsets), "}"), data_bytes);
}

std::string TwoTensors(const std::string& first, const std::string& second) {
  return FileOf(absl::StrCat("{\"a\":", EntryOf("\"F32\"", "[1]", first),
                             ",\"b\":", EntryOf("\"F32\"", "[1]", second), "}"),
                8);
}

std::string ManyTensors(int count) {
  std::string header = "{";
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&header, i ? "," : "", "\"", i, "\":", EntryOf("\"F32\"", "[0]", "[0,0]"));
  }
  return FileOf(header + "}");
}

std::string LengthOnly(uint64_t length) {
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length));
}

const BadFile kBadFiles[] = {
    {"TooShort", "1234567", "7 bytes are too few for the header length"},
    {"HeaderLengthTooLarge", LengthOnly(uint64_t{1} << 60), "is above the limit of 16777216"},
    {"HeaderLengthLeavesFile", LengthOnly(100), "length 100 leaves the file of 8 bytes"},
    {"NotJson", FileOf("{\"w\":"), "the header is not valid JSON"},
    {"BadUtf8", FileOf("{\"\xff\":1}"), "the header is not valid JSON"},
    {"Empty", FileOf(""), "the header is not valid JSON"},
    {"NotAnObject", FileOf("[]"), "the header is not a JSON object"},
    {"DeepArrays", FileOf(std::string(1'000'000, '[')), "the header is not a JSON object"},
    {"DeepShape", OneTensor("\"F32\"", "[[1]]", "[0,4]"),
     "the dimension an array, which is no size"},
    {"DeepObject", FileOf("{\"w\":{\"dtype\":{\"x\":1}}}"), "its dtype is not a string"},
    {"DuplicateName", FileOf("{\"__metadata__\":{},\"__metadata__\":{}}"),
     "the header has \"__metadata__\" twice"},
    {"DuplicateTensor",
     FileOf(absl::StrCat("{\"w\":", EntryOf("\"F32\"", "[0]", "[0,0]"), ",\"w\":{}}")),
     "the header has \"w\" twice"},
    {"DuplicateKey", FileOf("{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F16\"}}"),
     "the header has \"dtype\" twice"},
    {"UnknownMember", FileOf("{\"w\":{\"x\":1}}"), "its entry has the unknown member \"x\""},
    {"EntryNotAnObject", FileOf("{\"w\":7}"), "tensor \"w\": its entry is not an object"},
    {"NoDtype", FileOf("{\"w\":{\"shape\":[]}}"), "tensor \"w\": its entry has no dtype"},
    {"NoShape", FileOf("{\"w\":{\"dtype\":\"F32\"}}"), "its entry has no shape"},
    {"NoOffsets", FileOf("{\"w\":{\"dtype\":\"F32\",\"shape\":[]}}"), "has no data_offsets"},
    {"DtypeNotAString", OneTensor("32", "[1]", "[0,4]"), "its dtype is not a string"},
    {"UnknownDtype", OneTensor("\"F31\"", "[1]", "[0,4]"), "its dtype \"F31\" is unknown"},
    {"ShapeNotAnArray", OneTensor("\"F32\"", "1", "[0,4]"), "its shape is not an array"},
    {"NegativeSize", OneTensor("\"F32\"", "[-1]", "[0,4]"), "the dimension -1, which is no size"},
    {"FractionalSize", OneTensor("\"F32\"", "[1.0]", "[0,4]"), "the dimension 1.0, which is no"},
    {"HugeSize", OneTensor("\"F32\"", "[18446744073709551615]", "[0,4]"), "which is no size"},
    {"RankTooHigh", OneTensor("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"),
     "its shape has more than 8 elements"},
    {"OneOffset", OneTensor("\"F32\"", "[1]", "[0]"), "its data_offsets are not two offsets"},
    {"NegativeOffset", OneTensor("\"F32\"", "[1]", "[-4,0]"), "are not two offsets"},
    {"Backwards", OneTensor("\"F32\"", "[1]", "[4,0]"), "its data_offsets 4..0 run backwards"},
    {"LeavesData", OneTensor("\"F32\"", "[2]", "[0,8]"), "0..8 leave the 4 bytes of data"},
    {"WrongLength", OneTensor("\"F32\"", "[2]", "[0,4]"), "[2] of F32 takes 8 bytes"},
    {"Overlap", TwoTensors("[0,4]", "[0,4]"), "tensor \"b\": its data begins at 0, inside"},
    {"Hole", FileOf(absl::StrCat("{\"w\":", EntryOf("\"F32\"", "[1]", "[4,8]"), "}"), 8),
     "tensor \"w\": its data begins at 4, after a hole"},
    {"TrailingData", OneTensor("\"F32\"", "[1]", "[0,4]", 5), "the tensors end at 4 of 5 bytes"},
    {"TooManyTensors", ManyTensors(65'537), "has more than 65536 tensors"},
    {"MetadataNotAnObject", FileOf("{\"__metadata__\":[]}"), "__metadata__ is not an object"},
    {"MetadataNotAString", FileOf("{\"__metadata__\":{\"a\":1}}"), "\"a\" is not a string"},
};

INSTANTIATE_TEST_SUITE_P(Each, BadSafetensorsTest, ::testing::ValuesIn(kBadFiles),
                         [](const auto& info) { return info.param.name; });

TEST(SafetensorsTest, SurvivesAnyFlippedByteAndAnyTruncation) {
  const std::vector<float> a = {1, 2, 3};
  const std::string good = SerializeSafetensors({{"a", {DataType::kFloat32, {3}, a}}}, {});
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char flip : {'\x01', '\x20', '\x80'}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      const auto file = SafetensorsFile::Parse(bad, "flipped");
      if (!file.ok()) continue;
      EXPECT_EQ((*file)->tensors().size() + (*file)->skipped().size(), 1u);
    }
    EXPECT_FALSE(SafetensorsFile::Parse(good.substr(0, i), "cut").ok()) << i;
  }
}

}  // namespace
}  // namespace ddpt
