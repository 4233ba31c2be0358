#include <gmock/gmock.h>

#include <cmath>

#include "client/status.h"
#include "server/convert.h"
#include "tests/integration/code_fixture.h"

namespace ddpt {
namespace {

using testing::HasSubstr;

class DescribeTest : public CodeTest {
 protected:
  absl::StatusOr<v1::DescribeResponse> Describe(const v1::DescribeRequest& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + TestServer::kTimeout);
    v1::DescribeResponse response;
    const grpc::Status status = server_->prompts().Describe(&context, request, &response);
    if (status.ok()) return response;
    return FromGrpcStatus(status);
  }

  static v1::DescribeRequest OfTask() {
    v1::DescribeRequest request;
    request.mutable_prompt()->set_task("small");
    request.mutable_sampling()->set_steps(5);
    request.mutable_sampling()->set_seed(3);
    return request;
  }
};

TEST_F(DescribeTest, AWordIsNearestToItself) {
  v1::DescribeRequest request;
  request.mutable_prompt()->set_text("return x");
  request.set_neighbours(1);
  const auto response = Describe(request);
  ASSERT_TRUE(response.ok()) << response.status();
  std::vector<uint32_t> nearest;
  for (const auto& vector : response->vectors()) {
    EXPECT_NEAR(vector.neighbours(0).cosine(), 1, 1e-5);
    EXPECT_GT(vector.norm(), 0);
    nearest.push_back(vector.neighbours(0).token_id());
  }
  EXPECT_EQ(nearest, Encode("return x"));
  EXPECT_FALSE(response->has_distance_to_task());
}

TEST_F(DescribeTest, APromptOfATaskLiesInItsCloud) {
  const auto response = Describe(OfTask());
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->vectors(0).neighbours_size(), 5);
  EXPECT_GT(response->distance_to_task(), 0);
  EXPECT_LT(response->distance_to_task(), 3 * response->task_spread());
}

TEST_F(DescribeTest, ItsIdDescribesTheSamePrompt) {
  const auto drawn = Describe(OfTask());
  ASSERT_TRUE(drawn.ok()) << drawn.status();
  v1::DescribeRequest request;
  request.mutable_prompt()->set_prompt_id(drawn->prompt_id());
  const auto again = Describe(request);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->SerializeAsString(), drawn->SerializeAsString());
}

TEST_F(DescribeTest, NormIsThatOfTheVector) {
  v1::DescribeRequest request;
  ToProto(Tensor{{1, 16}, std::vector<float>(16, 0.5f)}, DataType::kFloat32,
          request.mutable_prompt()->mutable_embedding());
  const auto response = Describe(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_FLOAT_EQ(response->vectors(0).norm(), 2);
}

TEST_F(DescribeTest, NothingToDescribeIsRefused) {
  ExpectRefused(Describe({}).status(), "prompt", "is missing");
  v1::DescribeRequest empty;
  empty.mutable_prompt()->set_text("");
  ExpectRefused(Describe(empty).status(), "prompt.text", "0 tokens are outside 1..256");
}

TEST_F(DescribeTest, TooManyNeighboursAreRefused) {
  v1::DescribeRequest request = OfTask();
  request.set_neighbours(101);
  ExpectRefused(Describe(request).status(), "neighbours", "101 is outside 1..100");
}

TEST_F(DescribeTest, UnknownTaskIsNotFound) {
  v1::DescribeRequest request;
  request.mutable_prompt()->set_task("none-such");
  EXPECT_EQ(Describe(request).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace ddpt
