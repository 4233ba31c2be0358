#include "core/model/nearest_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/model/golden.h"

namespace ddpt {
namespace {

class NearestTokensTest : public testing::Test {
 protected:
  std::vector<uint32_t> Ids(
      const Tensor& vectors, size_t count,
      const std::function<bool(uint32_t)>& is_token = [](uint32_t) { return true; }) const {
    std::vector<uint32_t> ids;
    for (const auto& row : NearestTokens(model_, vectors, is_token, count)) {
      for (const NearToken& near : row) ids.push_back(near.id);
    }
    return ids;
  }

  const Golden golden_ = Golden::Load("t5_tied");
  const LanguageModel& model_ = *golden_.model;
};

TEST_F(NearestTokensTest, ATokensOwnVectorIsNearestToIt) {
  std::vector<uint32_t> ids;
  for (uint32_t id = 0; id < 40; ++id) ids.push_back(7 * id + 3);
  EXPECT_EQ(Ids(TokenVectors(model_, ids), 1), ids);
}

TEST_F(NearestTokensTest, LengthDoesNotMatterButDirectionDoes) {
  Tensor vector = TokenVectors(model_, std::vector<uint32_t>{9});
  for (float& value : vector.data) value *= 100;
  const auto near = NearestTokens(
                        model_, vector, [](uint32_t) { return true; }, 300)
                        .front();
  EXPECT_NEAR(near.front().cosine, 1, 1e-6);
  for (float& value : vector.data) value = -value;
  EXPECT_EQ(Ids(vector, 300).back(), 9u);
}

TEST_F(NearestTokensTest, WhatIsNoTokenIsLeftOut) {
  const Tensor vector = TokenVectors(model_, std::vector<uint32_t>{9});
  EXPECT_THAT(Ids(vector, 300, [](uint32_t id) { return id == 4 || id == 5; }),
              testing::UnorderedElementsAre(4, 5));
}

TEST_F(NearestTokensTest, EqualOnesComeById) {
  const Tensor zeros{{1, 24}, std::vector<float>(24)};
  EXPECT_THAT(Ids(zeros, 3), testing::ElementsAre(0, 1, 2));
}

}  // namespace
}  // namespace ddpt
