#include "core/model/load.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/base/safetensors.h"
#include "core/model/codet5p_model.h"
#include "core/model/language_model.h"
#include "core/model/random_weights.h"
#include "core/model/state_dict.h"
#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

// A directory with a tiny checkpoint that tests damage before it is loaded.
class LoadTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/load_" +
                 testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    ASSERT_TRUE(WriteFileAtomic(directory_ + "/config.json", Codet5pConfigJson(config_)).ok());
  }

  absl::Status Load() {
    EXPECT_TRUE(WriteWeights(directory_, weights_, DataType::kFloat32).ok());
    return LoadLanguageModel(directory_, {}).status();
  }

  const Codet5pConfig config_ = {
      .encoder = {.width = 8, .layers = 1, .heads = 4, .rotary_dim = 2, .inner = 8},
      .decoder = {.width = 8, .layers = 1, .heads = 4, .rotary_dim = 2, .inner = 8},
      .vocabulary_size = 10,
      .max_positions = 16};
  StateDict weights_ = RandomCodet5pWeights(config_, 1);
  std::string directory_;
};

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST_F(LoadTest, EverythingWrongIsListedAtOnce) {
  weights_.erase("encoder.wte.weight");
  weights_["encoder.extra"] = at::zeros({2});
  weights_["decoder.lm_head.bias"] = at::zeros({11});
  const absl::Status status = Load();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(
      Message(status),
      AllOf(HasSubstr("1 missing: encoder.wte.weight"), HasSubstr("1 surplus: encoder.extra"),
            HasSubstr("1 mis-shaped: decoder.lm_head.bias [11] instead of [10]")));
}

TEST_F(LoadTest, ValuesThatAreNotFiniteAreRefused) {
  weights_["encoder.ln_f.bias"][3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Message(Load()), HasSubstr("encoder.ln_f.bias: has values that are not finite"));
}

TEST_F(LoadTest, BuffersOfThePublicCodeAreNotRead) {
  weights_["encoder.h.0.attn.scale_attn"] = at::ones({1});
  EXPECT_TRUE(Load().ok());
}

TEST_F(LoadTest, NoWeightsIsNotFound) {
  const absl::Status status = LoadLanguageModel(directory_, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(status), HasSubstr("neither model.safetensors nor"));
}

TEST_F(LoadTest, UnknownFamilyIsRefused) {
  ASSERT_TRUE(WriteFileAtomic(directory_ + "/config.json", R"({"model_type": "gpt"})").ok());
  EXPECT_THAT(Message(Load()), HasSubstr("model_type: \"gpt\" is not one of \"codet5p\", \"t5\""));
}

TEST_F(LoadTest, IndexMayNotLeaveTheDirectory) {
  ASSERT_TRUE(WriteFileAtomic(directory_ + "/model.safetensors.index.json",
                              R"({"weight_map": {"a": "../b.safetensors"}})")
                  .ok());
  EXPECT_THAT(Message(LoadLanguageModel(directory_, {}).status()),
              HasSubstr("weight_map.a: is not the name of a .safetensors file"));
}

TEST_F(LoadTest, ShardThatIsMissingIsNamed) {
  ASSERT_TRUE(WriteFileAtomic(directory_ + "/model.safetensors.index.json",
                              R"({"weight_map": {"a": "b.safetensors"}})")
                  .ok());
  const absl::Status status = LoadLanguageModel(directory_, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(status), HasSubstr("b.safetensors"));
}

TEST_F(LoadTest, TensorInAnotherShardThanTheIndexSaysIsRefused) {
  ASSERT_TRUE(WriteWeights(directory_, weights_, DataType::kFloat32).ok());
  fs::rename(directory_ + "/model.safetensors", directory_ + "/b.safetensors");
  ASSERT_TRUE(WriteFileAtomic(directory_ + "/model.safetensors.index.json",
                              R"({"weight_map": {"a": "b.safetensors"}})")
                  .ok());
  EXPECT_THAT(Message(LoadLanguageModel(directory_, {}).status()),
              HasSubstr("the index does not place this tensor here"));
}

TEST_F(LoadTest, AShardThatIsCutOffIsNamed) {
  ASSERT_TRUE(WriteWeights(directory_, weights_, DataType::kFloat32).ok());
  fs::rename(directory_ + "/model.safetensors", directory_ + "/b.safetensors");
  fs::resize_file(directory_ + "/b.safetensors", fs::file_size(directory_ + "/b.safetensors") - 1);
  std::string map;
  for (const auto& [name, weight] : weights_) {
    map += (map.empty() ? "\"" : ", \"") + name + "\": \"b.safetensors\"";
  }
  ASSERT_TRUE(WriteFileAtomic(directory_ + "/model.safetensors.index.json",
                              "{\"weight_map\": {" + map + "}}")
                  .ok());
  const absl::Status status = LoadLanguageModel(directory_, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("b.safetensors"));
}

TEST_F(LoadTest, AFileWithoutBytesIsNamed) {
  ASSERT_TRUE(Load().ok());
  for (const char* name : {"model.safetensors", "config.json"}) {
    fs::resize_file(directory_ + "/" + name, 0);
    const absl::Status status = LoadLanguageModel(directory_, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(Message(status), HasSubstr(name));
  }
}

TEST_F(LoadTest, AnIndexThatIsNoneIsNamed) {
  ASSERT_TRUE(WriteFileAtomic(directory_ + "/model.safetensors.index.json", "[]").ok());
  EXPECT_THAT(Message(LoadLanguageModel(directory_, {}).status()),
              HasSubstr("model.safetensors.index.json: has no object \"weight_map\""));
}

TEST_F(LoadTest, AConfigurationThatLiesAboutASizeIsRefusedByTheTensorsThatDoNotFit) {
  ASSERT_TRUE(Load().ok());
  Codet5pConfig lie = config_;
  lie.vocabulary_size = 11;
  ASSERT_TRUE(WriteFileAtomic(directory_ + "/config.json", Codet5pConfigJson(lie)).ok());
  EXPECT_THAT(Message(LoadLanguageModel(directory_, {}).status()),
              HasSubstr("decoder.transformer.wte.weight [10, 8] instead of [11, 8]"));
}

TEST_F(LoadTest, ALinkOutOfTheDirectoryIsRefused) {
  ASSERT_TRUE(Load().ok());
  const std::string outside = directory_ + "_outside.safetensors";
  fs::rename(directory_ + "/model.safetensors", outside);
  fs::create_symlink(outside, directory_ + "/model.safetensors");
  const absl::Status status = LoadLanguageModel(directory_, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("model.safetensors: is a link out of the directory, to " +
                                         fs::canonical(outside).string()));
}

TEST_F(LoadTest, LinksOfHuggingFacesCacheAreFollowed) {
  ASSERT_TRUE(Load().ok());
  const std::string snapshot = directory_ + "/snapshots/1";
  fs::create_directories(snapshot);
  fs::create_directories(directory_ + "/blobs");
  for (const char* name : {"model.safetensors", "config.json"}) {
    fs::rename(directory_ + "/" + name, directory_ + "/blobs/" + name);
    fs::create_symlink(std::string("../../blobs/") + name, snapshot + "/" + name);
  }
  EXPECT_TRUE(LoadLanguageModel(snapshot, {}).ok());
}

TEST_F(LoadTest, AFaultInPyTorchsFileIsNamedWithIt) {
  ASSERT_TRUE(WriteFileAtomic(directory_ + "/pytorch_model.bin", "\x80\x02}.").ok());
  EXPECT_THAT(Message(LoadLanguageModel(directory_, {}).status()),
              AllOf(HasSubstr("pytorch_model.bin"), HasSubstr("has to be converted")));
}

TEST_F(LoadTest, DigestDependsOnWeightsAndConfiguration) {
  ASSERT_TRUE(Load().ok());
  const std::string before = LoadLanguageModel(directory_, {}).value()->digest();
  Codet5pConfig other = config_;
  other.end_token = 3;
  ASSERT_TRUE(SaveCodet5p(directory_, other, weights_, DataType::kFloat32).ok());
  const std::string configured = LoadLanguageModel(directory_, {}).value()->digest();
  weights_["encoder.ln_f.bias"][3] = 0.5;
  ASSERT_TRUE(SaveCodet5p(directory_, other, weights_, DataType::kFloat32).ok());
  const std::string weighted = LoadLanguageModel(directory_, {}).value()->digest();
  EXPECT_NE(before, configured);
  EXPECT_NE(configured, weighted);
}

TEST_F(LoadTest, Float16IsForAGpu) {
  EXPECT_THAT(Message(LoadLanguageModel(directory_, {.dtype = ModelDtype::kFloat16}).status()),
              HasSubstr("dtype: float16 needs a GPU"));
}

TEST_F(LoadTest, SmallModelsAreFloat32ByDefault) {
  ASSERT_TRUE(Load().ok());
  const auto model = LoadLanguageModel(directory_, {.dtype = ModelDtype::kAuto});
  EXPECT_EQ((*model)->geometry().dtype, ModelDtype::kFloat32);
}

TEST_F(LoadTest, ModelsThatFillTheMemoryAreBfloat16ByDefault) {
  Codet5pConfig large = config_;
  large.vocabulary_size = 1 << 20;
  large.encoder.width = large.decoder.width = 1 << 16;
  ASSERT_TRUE(WriteFileAtomic(directory_ + "/config.json", Codet5pConfigJson(large)).ok());
  nlohmann::json header;
  uint64_t offset = 0;
  for (const auto& [name, shape] : Codet5pTensorShapes(large)) {
    const uint64_t end = offset + 2 * *ElementCount(shape, uint64_t{1} << 40);
    header[name] = {{"dtype", "F16"}, {"shape", shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  // A sparse file: 400 GB of zeros that take no room.
  const std::string text = header.dump();
  uint64_t length = text.size();
  const std::string path = directory_ + "/model.safetensors";
  ASSERT_TRUE(
      WriteFileAtomic(path, std::string(reinterpret_cast<char*>(&length), sizeof(length)) + text)
          .ok());
  fs::resize_file(path, sizeof(length) + length + offset);
  const auto inspection = InspectModel(directory_, {.dtype = ModelDtype::kAuto});
  ASSERT_TRUE(inspection.ok()) << inspection.status();
  EXPECT_EQ(inspection->geometry.dtype, ModelDtype::kBFloat16);
  EXPECT_EQ(inspection->stored_bytes, offset);
  fs::remove(path);
}

TEST_F(LoadTest, HabitsAreThoseThatAreAskedFor) {
  ASSERT_TRUE(Load().ok());
  const auto model = LoadLanguageModel(directory_, {.habits = "codet5p-humaneval"});
  EXPECT_EQ((*model)->geometry().habits.name, "codet5p-humaneval");
}

TEST_F(LoadTest, HabitsOfAnInstructCheckpointComeWithItsDirectory) {
  const std::string snapshot = directory_ + "/models--x--instructcodet5p-16b/snapshots/0123";
  fs::create_directories(snapshot);
  ASSERT_TRUE(Load().ok());
  for (const char* file : {"/config.json", "/model.safetensors"}) {
    fs::copy(directory_ + file, snapshot + file);
  }
  EXPECT_EQ(LoadLanguageModel(snapshot, {}).value()->geometry().habits.name, "instructcodet5p");
}

TEST_F(LoadTest, ProgressEndsWithAllBytes) {
  ASSERT_TRUE(Load().ok());
  uint64_t last = 0, sum = 0, calls = 0;
  LoadOptions options;
  options.on_progress = [&](uint64_t done, uint64_t total) {
    EXPECT_GT(done, last);
    last = done;
    sum = total;
    ++calls;
  };
  ASSERT_TRUE(LoadLanguageModel(directory_, options).ok());
  EXPECT_EQ(last, InspectModel(directory_, {})->stored_bytes);
  EXPECT_EQ(last, sum);
  EXPECT_EQ(calls, weights_.size());
}

// Large enough for several of the pieces that weights are read in.
struct LargeTensor {
  static constexpr int64_t kRows = 500, kWidth = 1500;
  const TensorShapes shapes = {{"large.weight", {kRows, kWidth}}};
  const at::Tensor weight = at::randn({kRows, kWidth});

  StateDict ReadAs(ModelDtype dtype, const std::string& directory) const {
    EXPECT_TRUE(WriteWeights(directory, {{"large.weight", weight}}, DataType::kFloat32).ok());
    const auto nothing = [](std::string_view) { return false; };
    return ReadWeights(directory, shapes, nothing, {.dtype = dtype}, "")->tensors;
  }
};

TEST_F(LoadTest, LargeTensorsComeWhole) {
  const LargeTensor large;
  EXPECT_TRUE(
      at::equal(large.ReadAs(ModelDtype::kFloat32, directory_).at("large.weight"), large.weight));
  EXPECT_TRUE(at::equal(large.ReadAs(ModelDtype::kBFloat16, directory_).at("large.weight"),
                        large.weight.to(at::kBFloat16)));
}

TEST_F(LoadTest, LargeTensorsInInt8AreAtMostHalfAStepOff) {
  const LargeTensor large;
  const StateDict read = large.ReadAs(ModelDtype::kInt8, directory_);
  const at::Tensor scale = read.at("large.weight_scale").to(at::kFloat).unsqueeze(1);
  const at::Tensor steps = (read.at("large.weight").to(at::kFloat) * scale - large.weight) / scale;
  EXPECT_LE(steps.abs().max().item<double>(), 0.5 + 1e-4);
  EXPECT_GE(read.at("large.weight").abs().amax().item<int64_t>(), 125);
}

TEST_F(LoadTest, ValueThatIsNotFiniteIsFoundInEveryPiece) {
  LargeTensor large;
  large.weight[LargeTensor::kRows - 1][7] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_TRUE(WriteWeights(directory_, {{"large.weight", large.weight}}, DataType::kFloat32).ok());
  const auto nothing = [](std::string_view) { return false; };
  for (const ModelDtype dtype : {ModelDtype::kFloat32, ModelDtype::kInt8}) {
    EXPECT_THAT(
        Message(ReadWeights(directory_, large.shapes, nothing, {.dtype = dtype}, "").status()),
        HasSubstr("large.weight: has values that are not finite"));
  }
}

TEST_F(LoadTest, DigestNeedsNoModel) {
  ASSERT_TRUE(Load().ok());
  EXPECT_EQ(*DigestModel(directory_), LoadLanguageModel(directory_, {}).value()->digest());
}

TEST_F(LoadTest, DeviceThatIsNoneIsRefused) {
  EXPECT_THAT(Message(LoadLanguageModel(directory_, {.device = "tpu"}).status()),
              HasSubstr("device: \"tpu\" is not cpu or cuda:N"));
  EXPECT_THAT(Message(LoadLanguageModel(directory_, {.device = "cuda:9999"}).status()),
              HasSubstr("device: cuda:9999 is not one of"));
}

TEST(LoadGoldenTest, ShardsOfPyTorchGiveTheSameModel) {
  EXPECT_EQ(Golden::Load("codet5p_equal_bin").model->digest(),
            Golden::Load("codet5p_equal").model->digest());
}

TEST(LoadGoldenTest, GeometryIsThatOfTheConfiguration) {
  const ModelGeometry geometry = Golden::Load("codet5p_wide").model->geometry();
  EXPECT_EQ(geometry.family, "codet5p-parallel");
  EXPECT_EQ(geometry.encoder.width, 32);
  EXPECT_EQ(geometry.decoder.layers, 3);
  EXPECT_EQ(geometry.device, TestDevice());
  EXPECT_TRUE(geometry.habits.instruction_in_decoder);
}

}  // namespace
}  // namespace ddpt
