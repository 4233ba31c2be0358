#include "server/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status.h"

namespace ddpt {
namespace {

using testing::HasSubstr;

v1::SampleRequest Request() {
  v1::SampleRequest request;
  request.set_task("sql");
  return request;
}

void ExpectRefused(const absl::Status& status, const std::string& field, const std::string& words) {
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(FieldOf(status), field);
  EXPECT_THAT(std::string(status.message()), HasSubstr(words));
}

TEST(ValidateTest, PlainRequestIsFine) { EXPECT_TRUE(ValidateSample(Request(), {}).ok()); }

TEST(ValidateTest, TaskNameOutOfForm) {
  for (const char* name : {"", "SQL", "-a", "a_b", "a b"}) {
    auto request = Request();
    request.set_task(name);
    ExpectRefused(ValidateSample(request, {}), "task", "[a-z0-9]");
  }
}

TEST(ValidateTest, CountOutsideItsRange) {
  for (const uint32_t count : {0u, 9u}) {
    auto request = Request();
    request.set_count(count);
    ExpectRefused(ValidateSample(request, {.max_count = 8}), "count", "1..8");
  }
}

TEST(ValidateTest, UnknownEnumerations) {
  auto request = Request();
  request.mutable_sampling()->set_sampler(static_cast<v1::Sampler>(77));
  ExpectRefused(ValidateSample(request, {}), "sampling.sampler", "77");
  request = Request();
  request.set_embedding_dtype(static_cast<v1::DataType>(78));
  ExpectRefused(ValidateSample(request, {}), "embedding_dtype", "78");
  request = Request();
  request.mutable_initial_noise()->set_dtype(static_cast<v1::DataType>(79));
  ExpectRefused(ValidateSample(request, {}), "initial_noise.dtype", "79");
}

TEST(ValidateTest, AnytimeIsNotForTheReferenceLoop) {
  auto request = Request();
  request.mutable_sampling()->set_anytime(true);
  EXPECT_TRUE(ValidateSample(request, {}).ok());
  request.mutable_sampling()->set_full_space_noise(true);
  ExpectRefused(ValidateSample(request, {}), "sampling.anytime", "full_space_noise");
}

TEST(ValidateTest, BestOfIsBounded) {
  auto request = Request();
  request.mutable_sampling()->set_best_of(65);
  ExpectRefused(ValidateSample(request, {}), "sampling.best_of", "1..64");
}

TEST(ValidateTest, LongInstruction) {
  auto request = Request();
  request.set_instruction(std::string(65'537, 'a'));
  ExpectRefused(ValidateSample(request, {}), "instruction", "65536");
}

TEST(ValidateTest, ResponseSizeNamesLargestCount) {
  const DenoiserSpec spec;  // 10 x 1024: 40,960 bytes a prompt
  const RequestLimits limits{.max_message_bytes = 1 << 20};
  EXPECT_TRUE(ValidateResponseSize(24, false, v1::DATA_TYPE_FLOAT32, spec, limits).ok());
  ExpectRefused(ValidateResponseSize(25, false, v1::DATA_TYPE_FLOAT32, spec, limits), "count",
                "largest count is 24");
  EXPECT_TRUE(ValidateResponseSize(25, false, v1::DATA_TYPE_FLOAT16, spec, limits).ok());
  EXPECT_TRUE(ValidateResponseSize(25, true, v1::DATA_TYPE_FLOAT32, spec, limits).ok());
}

TEST(ValidateTest, ImportHeader) {
  v1::ImportTaskRequest::Header header;
  header.set_task("sql");
  EXPECT_TRUE(ValidateImportHeader(header).ok());
  header.set_sha256("12");
  ExpectRefused(ValidateImportHeader(header), "header.sha256", "64 hexadecimal");
  header.clear_sha256();
  header.set_promote(v1::PROMOTE_POLICY_IF_BETTER);
  ExpectRefused(ValidateImportHeader(header), "header.promote", "IF_BETTER");
}

}  // namespace
}  // namespace ddpt
