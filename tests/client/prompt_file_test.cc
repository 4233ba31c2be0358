#include "client/prompt_file.h"

#include <gtest/gtest.h>

#include "core/base/status.h"
#include "core/base/tensor.h"

namespace ddpt {
namespace {

v1::SampleResponse TwoPrompts() {
  v1::SampleResponse response;
  for (const float first : {1.0f, 5.0f}) {
    v1::Tensor& tensor = *response.add_prompts()->mutable_embedding();
    tensor.add_shape(1);
    tensor.add_shape(2);
    const std::vector<float> values = {first, first + 1};
    tensor.set_data(EncodeElements(values, DataType::kFloat32));
  }
  return response;
}

TEST(PromptFileTest, KeepsEveryPrompt) {
  const std::string path = testing::TempDir() + "prompt_file_test.safetensors";
  const v1::SampleResponse response = TwoPrompts();
  ASSERT_TRUE(WritePrompts(path, response).ok());
  const auto second = ReadPrompt(path, 1);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->data(), response.prompts(1).embedding().data());
  EXPECT_EQ(second->shape(1), 2u);
}

TEST(PromptFileTest, RefusesAnIndexBeyondTheFile) {
  const std::string path = testing::TempDir() + "prompt_file_index.safetensors";
  ASSERT_TRUE(WritePrompts(path, TwoPrompts()).ok());
  EXPECT_EQ(FieldOf(ReadPrompt(path, 2).status()), "prompt-index");
}

TEST(PromptFileTest, DoesNotTrustTheServersShape) {
  v1::SampleResponse response = TwoPrompts();
  response.mutable_prompts(0)->mutable_embedding()->set_shape(1, 1u << 31);
  EXPECT_FALSE(WritePrompts(testing::TempDir() + "prompt_file_lie", response).ok());
}

}  // namespace
}  // namespace ddpt
