#include "core/base/torch_file.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddpt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string PathOf(const std::string& name) {
  return absl::StrCat(DDPT_TEST_DATA "/torch_file/", name);
}

std::shared_ptr<const TorchFile> Open(const std::string& name) {
  const auto file = TorchFile::Open(PathOf(name));
  EXPECT_TRUE(file.ok()) << file.status();
  return file.value_or(nullptr);
}

std::string Problem(const absl::StatusOr<std::shared_ptr<const TorchFile>>& file) {
  if (file.ok()) return "accepted";
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(file.status().message());
}

std::string ProblemOf(const std::string& name) { return Problem(TorchFile::Open(PathOf(name))); }

void ExpectSame(const TensorView& actual, const TensorView& expected, const std::string& name) {
  EXPECT_EQ(actual.dtype, expected.dtype) << name;
  EXPECT_EQ(actual.shape, expected.shape) << name;
  EXPECT_EQ(actual.bytes, expected.bytes) << name;
}

class GoldenTorchFileTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTorchFileTest, HoldsTheValuesOfPyTorch) {
  const auto expected = SafetensorsFile::Open(PathOf("values.safetensors")).value();
  const auto file = Open(GetParam());
  for (const auto& [name, view] : expected->tensors()) {
    ASSERT_TRUE(file->tensors().contains(name)) << name;
    ExpectSame(file->tensors().at(name), view, name);
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTorchFileTest,
                         ::testing::Values("ordered_dict.bin", "dict.bin"));

TEST(TorchFileTest, ParametersAndTiedTensorsAreTensors) {
  const auto file = Open("ordered_dict.bin");
  for (const char* name : {"parameter", "tied"}) {
    ExpectSame(file->tensors().at(name), file->tensors().at("float"), name);
  }
}

TEST(TorchFileTest, OtherElementTypesAreSkipped) {
  EXPECT_THAT(Open("ordered_dict.bin")->skipped(), ElementsAre("layer.causal_mask", "steps"));
  EXPECT_THAT(Open("module.bin")->skipped(), ElementsAre("1.num_batches_tracked"));
}

TEST(TorchFileTest, ReadsTheStateOfAModule) {
  const auto file = Open("module.bin");
  EXPECT_THAT(file->tensors().at("0.weight").shape, ElementsAre(2, 3));
  EXPECT_EQ(file->tensors().size(), 6u);
}

struct Refused {
  const char* file;
  const char* reason;
};

class RefusedTorchFileTest : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedTorchFileTest, NamesFileAndReason) {
  const std::string problem = ProblemOf(GetParam().file);
  EXPECT_THAT(problem, HasSubstr(GetParam().file));
  EXPECT_THAT(problem, HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedTorchFileTest,
    ::testing::Values(Refused{"legacy.bin", "has to be converted by python3 -c"},
                      Refused{"transposed.bin",
                              "t: is not contiguous: its stride is [1, 5] for the shape [5, 3]"},
                      Refused{"not_a_tensor.bin", "n: is no tensor"},
                      Refused{"nested.bin", "model: is no tensor"},
                      Refused{"one_tensor.bin", "holds no dictionary of tensors"},
                      Refused{"whole_module.bin",
                              "\"torch.nn.modules.container Sequential\" is refused"},
                      Refused{"protocol_4.bin", "has protocol 4; only 2"},
                      Refused{"sparse.bin", "\"torch._utils _rebuild_sparse_tensor\" is refused"}));

TEST(TorchFileTest, AFileCutOffAnywhereIsRefused) {
  const std::string bytes = ReadFile(PathOf("dict.bin"), 1 << 20).value();
  for (size_t size = 0; size < bytes.size(); size += 7) {
    EXPECT_NE(Problem(TorchFile::Parse(bytes.substr(0, size), "cut")), "accepted") << size;
  }
}

// Whatever a byte becomes, the file is read or refused: nothing else happens.
TEST(TorchFileTest, NoChangedByteDoesHarm) {
  const std::string original = ReadFile(PathOf("dict.bin"), 1 << 20).value();
  size_t refused = 0;
  for (size_t at = 0; at < original.size(); ++at) {
    for (const int change : {1, 0x80, 0xff}) {
      std::string bytes = original;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      const auto file = TorchFile::Parse(bytes, "changed");
      refused += file.ok() ? 0 : 1;
      if (!file.ok()) continue;
      for (const auto& [name, view] : (*file)->tensors()) (void)view.ToTensor();
    }
  }
  EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace ddpt
