#include "core/tuning/prepared_examples.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/safetensors.h"
#include "core/decoding/request.h"
#include "core/model/language_model.h"
#include "core/model/load.h"
#include "core/text/tokenizer.h"
#include "core/tuning/trunk_file.h"
#include "tests/core/model/golden.h"
#include "tests/core/registry/temporary_folder.h"

namespace ddpt {
namespace {

TEST(PreparedExamplesTest, InstructionsAreEncodedAsTheModelsHabitsHaveThem) {
  const std::string directory = std::string(DDPT_TEST_DATA) + "/codet5p_wide";
  const auto tokenizer = Tokenizer::Load(directory).value();
  const auto model = LoadLanguageModel(directory, {.habits = "instructcodet5p"}).value();
  const Dataset dataset = MakeDataset({{"add", "x = 1"}}).value();
  const auto encoded = EncodeExamples(*model, *tokenizer, dataset, 3);
  ASSERT_TRUE(encoded.ok()) << encoded.status();
  EXPECT_EQ(encoded->front().instruction_ids,
            EncodeInstruction(*tokenizer, model->geometry().habits, "add").value());
  EXPECT_NE(encoded->front().instruction_ids, tokenizer->Encode("add").value());
}

TEST(PreparedExamplesTest, AttributesAddTheirOwnMeanToTheCondition) {
  const Golden golden = Golden::Load("codet5p_wide");
  const std::vector<uint32_t>&instruction = golden.instructions[0], &other = golden.instructions[1];
  const auto pooled = [&](const std::vector<uint32_t>& ids) {
    return PooledCondition(*golden.model, ids, {});
  };
  const at::Tensor both = PooledCondition(*golden.model, instruction, other);
  EXPECT_TRUE(both.equal(pooled(instruction) + pooled(other)));
  PreparedExamples examples(golden.model, {{instruction, golden.answers[0], other}},
                            /*conditional=*/true, {});
  EXPECT_TRUE(examples.Conditions({0})[0].equal(both));
}

TEST(PreparedExamplesTest, AttributesAreEncodedAsLines) {
  const std::string directory = std::string(DDPT_TEST_DATA) + "/codet5p_wide";
  const auto tokenizer = Tokenizer::Load(directory).value();
  const auto model = LoadLanguageModel(directory, {}).value();
  const Dataset dataset = MakeDataset({{"add", "x = 1", {{"b", "2"}, {"a", "1"}}}}).value();
  EXPECT_EQ(EncodeExamples(*model, *tokenizer, dataset, 3)->front().attribute_ids,
            tokenizer->Encode("a: 1\nb: 2\n").value());
}

// The golden checkpoint's examples under its prompt, kept as `storage` says.
class StoredTrunksTest : public testing::TestWithParam<const char*> {
 protected:
  PreparedExamples Prepare(TrunkStorage storage) const {
    std::vector<EncodedExample> examples;
    for (size_t i = 0; i < golden_.answers.size(); ++i) {
      examples.push_back({golden_.instructions[i], golden_.answers[i]});
    }
    return PreparedExamples(golden_.model, examples, /*conditional=*/true, storage);
  }
  at::Tensor LogProbs(PreparedExamples& examples) const {
    return examples.Score(all_, golden_.prompt.expand({5, -1, -1})).log_probs;
  }
  std::unique_ptr<TrunkFile> OpenFile() const {
    return TrunkFile::Open(folder_.path(), TrunkIdentity(*golden_.model), 1 << 30).value();
  }

  const Golden golden_ = Golden::Load(GetParam());
  const std::vector<uint64_t> all_ = {0, 1, 2, 3, 4};
  const TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Families, StoredTrunksTest, testing::Values("codet5p_wide", "t5_tied"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(StoredTrunksTest, FromAFileTheyAreThoseOfMemory) {
  PreparedExamples in_memory = Prepare({});
  const auto file = OpenFile();
  PreparedExamples writing = Prepare({.memory_bytes = 0, .file = file.get()});
  PreparedExamples reading = Prepare({.memory_bytes = 0, .file = file.get()});
  const at::Tensor expected = LogProbs(in_memory);
  EXPECT_TRUE(LogProbs(writing).equal(expected));
  EXPECT_EQ(file->entries(), 5u);
  EXPECT_TRUE(LogProbs(reading).equal(expected));
  EXPECT_TRUE(reading.Conditions(all_).equal(in_memory.Conditions(all_)));
}

TEST_P(StoredTrunksTest, TheFileTakesWhatMemoryHasNoRoomFor) {
  const auto file = OpenFile();
  PreparedExamples all = Prepare({});
  LogProbs(all);
  PreparedExamples half = Prepare({.memory_bytes = all.kept_bytes() / 2, .file = file.get()});
  LogProbs(half);
  EXPECT_GT(half.kept_bytes(), 0u);
  EXPECT_GT(file->entries(), 0u);
  EXPECT_LT(file->entries(), 5u);
}

// The decoder sees a prefix, so there is no trunk to keep.
TEST_P(StoredTrunksTest, UnderAPrefixTheDecoderRunsInFull) {
  const auto file =
      SafetensorsFile::Open(Golden::Directory(GetParam()) + "/prefix.safetensors").value();
  PreparedExamples examples = Prepare({});
  for (const std::string place : {"all", "decoder"}) {
    const auto tensor = [&](const std::string& key) {
      return ToTorch(file->tensors().at(place + key).ToTensor(), TestDevice());
    };
    const auto found = examples.Score({0, 1}, tensor(".prefix").unsqueeze(0));
    for (const int64_t row : {0, 1}) {
      const at::Tensor expected = tensor(".logprobs." + std::to_string(row));
      const at::Tensor log_probs = found.log_probs[row].narrow(0, 0, expected.size(0));
      EXPECT_LT(Difference(log_probs, expected), 1e-4);
    }
  }
  EXPECT_EQ(examples.kept_bytes(), 0u);
}

}  // namespace
}  // namespace ddpt
