#include "core/base/torch_pickle.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddpt {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Text(const std::string& text) {
  return "X"s + static_cast<char>(text.size()) + "\0\0\0"s + text;
}

// A tensor of a float32 storage "0" of `elements`, as torch.save writes it.
std::string TensorOf(const std::string& elements, const std::string& offset,
                     const std::string& shape, const std::string& stride) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(("s + Text("storage") + "ctorch\nFloatStorage\n" +
         Text("0") + Text("cpu") + elements + "tQ" + offset + shape + stride +
         "\x89"
         "ccollections\nOrderedDict\n)RtR";
}

const std::string kTwo = "K\x02", kZero = "K\0"s, kShape = "K\x02\x85", kStride = "K\x01\x85";

std::string DictOf(const std::string& key, const std::string& value) {
  return "\x80\x02}"s + key + value + "s.";
}

std::string Problem(const std::string& pickle) {
  const auto tensors = ReadTorchPickle(pickle);
  if (tensors.ok()) return "accepted";
  EXPECT_EQ(tensors.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(tensors.status().message());
}

TEST(TorchPickleTest, ReadsATensor) {
  const auto tensors = ReadTorchPickle(DictOf(Text("t"), TensorOf(kTwo, kZero, kShape, kStride)));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 1u);
  const PickledTensor& tensor = tensors->front();
  EXPECT_EQ(tensor.name, "t");
  EXPECT_EQ(tensor.dtype, DataType::kFloat32);
  EXPECT_EQ(tensor.storage, "0");
  EXPECT_EQ(tensor.storage_elements, 2u);
  EXPECT_THAT(tensor.shape, ElementsAre(2));
  EXPECT_THAT(tensor.stride, ElementsAre(1));
}

TEST(TorchPickleTest, LongIntegersAreSigned) {
  const std::string minus_one = "\x8a\x01\xff"s, two_to_the_40 = "\x8a\x06\0\0\0\0\0\x01"s;
  const auto tensors =
      ReadTorchPickle(DictOf(Text("t"), TensorOf(two_to_the_40, kZero, kShape, kStride)));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ(tensors->front().storage_elements, uint64_t{1} << 40);
  EXPECT_THAT(Problem(DictOf(Text("t"), TensorOf(minus_one, kZero, kShape, kStride))),
              HasSubstr("persistent id"));
  EXPECT_THAT(Problem(DictOf(Text("t"), TensorOf(kTwo, minus_one, kShape, kStride))),
              HasSubstr("offset is negative"));
}

// Runs nothing: the classic attack, and its variants, are refused by the name they call.
TEST(TorchPickleTest, ForeignGlobalsAreRefusedByName) {
  EXPECT_THAT(Problem("\x80\x02"
                      "cposix\nsystem\n" +
                      Text("id") + "\x85R."),
              HasSubstr("\"posix system\" is refused"));
  EXPECT_THAT(Problem("\x80\x02"
                      "c__builtin__\neval\n"s),
              HasSubstr("\"__builtin__ eval\""));
  EXPECT_THAT(Problem("\x80\x02"
                      "ctorch\nload\n"s),
              HasSubstr("\"torch load\" is refused"));
}

TEST(TorchPickleTest, ForeignOperationsAreRefusedByNumber) {
  for (const char* operation :
       {"\x81", "\x93", "\x94", "\x95", "i", "o", "I", "V", "P", "2", "0"}) {
    EXPECT_THAT(Problem("\x80\x02" + std::string(operation) + "."),
                HasSubstr("at byte 2 is refused"))
        << operation;
  }
}

TEST(TorchPickleTest, WhatIsNotThereIsNotTaken) {
  for (const char* operations :
       {".", "t.", "u.", "s.", "a.", "e.", "R.", "b.", "Q.", "h\x05.", "q\x01.", "\x85.", "((s.",
        "(K\x01"
        "a.",
        "}K\x01u."}) {
    EXPECT_NE(Problem("\x80\x02" + std::string(operations)), "accepted") << operations;
  }
}

TEST(TorchPickleTest, WhatIsCutOffIsRefused) {
  const std::string whole = DictOf(Text("t"), TensorOf(kTwo, kZero, kShape, kStride));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(Problem(whole.substr(0, size)), "accepted") << size;
  }
}

TEST(TorchPickleTest, DeepAndCircularValuesAreHarmless) {
  std::string deep = "\x80\x02)"s;
  for (int i = 0; i < 1'000'000; ++i) deep += '\x85';
  EXPECT_THAT(Problem(deep + "."), HasSubstr("no dictionary"));
  EXPECT_THAT(Problem("\x80\x02}q\x01" + Text("t") + "h\x01s."), HasSubstr("t: is no tensor"));
}

TEST(TorchPickleTest, SizesAreBounded) {
  EXPECT_THAT(Problem(std::string((64 << 20) + 1, '(')), HasSubstr("limit of 67108864"));
  EXPECT_THAT(Problem(std::string(5'000'000, '(')), HasSubstr("more than 4194304 values"));
  std::string shape = "(", stride = "(";
  for (int i = 0; i < 9; ++i) {
    shape += "K\x01";
    stride += "K\x01";
  }
  EXPECT_THAT(Problem(DictOf(Text("t"), TensorOf(kTwo, kZero, shape + "t", stride + "t"))),
              HasSubstr("rank 9 is above the limit of 8"));
}

}  // namespace
}  // namespace ddpt
