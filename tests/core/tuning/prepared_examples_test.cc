#include "core/tuning/prepared_examples.h"

#include <gtest/gtest.h>

#include "core/decoding/request.h"
#include "core/model/language_model.h"
#include "core/model/load.h"
#include "core/text/tokenizer.h"

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

}  // namespace
}  // namespace ddpt
