#include "tests/integration/model_fixture.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <vector>

#include "core/base/file.h"
#include "core/model/codet5p_model.h"
#include "core/model/random_weights.h"
#include "core/text/bpe_trainer.h"
#include "core/text/tokenizer.h"
#include "tests/core/registry/temporary_folder.h"

namespace ddpt {
namespace {

constexpr float kScale = 0.4f;
constexpr float kEndBias = -20;

// Gives the size of the vocabulary.
int64_t WriteTokenizer(const std::string& directory) {
  const std::vector<std::string> corpus = {
      "def add(a, b):\n    return a + b\n", "def größe(x):\n    return len(x)\n",
      "for i in range(10):\n    print(i)\n", "名前 = \"世界\"\nprint(名前)\n"};
  const std::vector<std::string> special = {"<|endoftext|>"};
  const auto files = TrainByteLevelBpe(corpus, 300, special).value();
  EXPECT_TRUE(WriteFileAtomic(directory + "/vocab.json", files.vocab_json).ok());
  EXPECT_TRUE(WriteFileAtomic(directory + "/merges.txt", files.merges_txt).ok());
  EXPECT_TRUE(
      WriteFileAtomic(directory + "/tokenizer_config.json", files.tokenizer_config_json).ok());
  return Tokenizer::Load(directory).value()->vocab_size();
}

}  // namespace

void WriteModel(const std::string& directory, uint64_t seed, bool deaf) {
  Codet5pConfig config;
  config.encoder = {.width = 16, .layers = 2, .heads = 4, .rotary_dim = 4, .inner = 32};
  config.decoder = {.width = 32, .layers = 2, .heads = 4, .rotary_dim = 4, .inner = 64};
  config.vocabulary_size = WriteTokenizer(directory);
  config.max_positions = 2048;
  StateDict weights = RandomCodet5pWeights(config, seed, kScale);
  weights.at("decoder.lm_head.bias")[config.end_token] = kEndBias;
  if (deaf) weights.at("decoder.transformer.h.1.crossattention.out_proj.weight").zero_();
  const absl::Status status = SaveCodet5p(directory, config, weights, DataType::kFloat32);
  EXPECT_TRUE(status.ok()) << status;
}

const std::string& RandomModel() {
  static const TemporaryFolder folder;
  static const bool written = [] {
    WriteModel(folder.path(), /*seed=*/1);
    return true;
  }();
  static_cast<void>(written);
  return folder.path();
}

}  // namespace ddpt
