#include "client/batching_load.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/status.h"
#include "tests/client/fake_server.h"

namespace ddpt {
namespace {

constexpr size_t kBatch = 2, kRequests = 12;

// Answers each request with two messages of a token, but no request of a static run before its
// batch is complete. Such runs are the third, the fifth and so on.
class PairedCode : public v1::CodeService::Service {
 public:
  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                        grpc::ServerWriter<v1::GenerateResponse>* writer) override {
    {
      std::unique_lock lock(mutex_);
      const size_t call = calls_++, run = call / kRequests;
      if (run > 0 && run % 2 == 0) {
        most_at_once = std::max(most_at_once, ++inside_);
        complete_.notify_all();
        complete_.wait_until(lock, context->deadline(),
                             [&] { return calls_ / kBatch > call / kBatch; });
        --inside_;
      }
      if (call == failing_call) return {grpc::StatusCode::INTERNAL, "broken"};
      longest = std::max(longest, request->decoding().max_new_tokens());
    }
    v1::GenerateResponse message;
    message.mutable_token_ids()->add_ids(7);
    writer->Write(message);
    writer->Write(message);
    return grpc::Status::OK;
  }

  size_t failing_call = SIZE_MAX;
  size_t most_at_once = 0;
  uint32_t longest = 0;

 private:
  std::mutex mutex_;
  std::condition_variable complete_;
  size_t calls_ = 0;
  size_t inside_ = 0;
};

class BatchingLoadTest : public testing::Test {
 protected:
  BatchingLoadTest() {
    options_.connection = server_.options();
    options_.clients = kRequests;
    options_.batch = kBatch;
    options_.requests = kRequests;
    options_.output_tokens = 9;
    options_.runs = 2;
  }

  absl::StatusOr<BatchingResult> Load() {
    return RunBatchingLoad(options_, [](size_t) {});
  }

  PairedCode code_;
  FakeServer server_{{&code_}};
  BatchingLoadOptions options_;
};

TEST_F(BatchingLoadTest, BothKindsSendAllRequestsOfEachRun) {
  const auto result = Load();
  ASSERT_TRUE(result.ok()) << result.status();
  for (const BatchingFigures& figures : {result->continuous, result->fixed}) {
    EXPECT_EQ(figures.first_tokens.size(), 2 * kRequests);
    EXPECT_EQ(figures.answers.size(), 2 * kRequests);
    EXPECT_EQ(figures.tokens, 4 * kRequests);
    EXPECT_GT(figures.first_tokens.front(), 0);
    EXPECT_GE(figures.answers.back(), figures.first_tokens.back());
  }
  EXPECT_GT(code_.longest, 1u);
  EXPECT_LE(code_.longest, 9u);
}

TEST_F(BatchingLoadTest, StaticSendsABatchAtATime) {
  ASSERT_TRUE(Load().ok());
  EXPECT_EQ(code_.most_at_once, kBatch);
}

TEST_F(BatchingLoadTest, EndsWithTheFirstError) {
  code_.failing_call = 3;
  EXPECT_EQ(Load().status().code(), absl::StatusCode::kInternal);
}

TEST_F(BatchingLoadTest, BadOptionsAreNamed) {
  options_.batch = 0;
  EXPECT_EQ(FieldOf(Load().status()), "batch");
  options_.batch = kBatch;
  options_.output_tokens = 5000;
  EXPECT_EQ(FieldOf(Load().status()), "output-tokens");
}

}  // namespace
}  // namespace ddpt
