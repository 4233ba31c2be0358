#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/decoding/generator.h"
#include "ddpt/v1/code.grpc.pb.h"
#include "server/base_model.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {

// What came of a Generate call.
struct Generated {
  std::vector<v1::GenerateResponse> messages;
  absl::Status status;

  // The messages of a choice joined.
  v1::GenerateResponse Choice(uint32_t index = 0) const;
};

std::vector<uint32_t> IdsOf(const v1::TokenIds& ids);

// A server with the model of RandomModel() and the task "small", and the library beside it.
class CodeTest : public testing::Test {
 protected:
  CodeTest() {
    Start([](Config&) {});
  }

  // Another server, with other settings.
  void Start(const std::function<void(Config&)>& change);

  // Greedy, `tokens` new ones, of the instruction "add".
  static v1::GenerateRequest Request(uint32_t tokens);
  // One that takes seconds: 16 choices, as long as there are positions.
  static v1::GenerateRequest LongRequest();

  Generated Generate(const v1::GenerateRequest& request,
                     std::chrono::milliseconds timeout = TestServer::kTimeout);
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request);

  std::vector<uint32_t> Encode(const std::string& text) const;
  // What core/decoding makes of the instruction "add" with `prompt` before it.
  PromptedRequest Prompted(std::shared_ptr<const Tensor> prompt = nullptr) const;
  std::vector<Generation> Library(const PromptedRequest& request,
                                  const DecodingOptions& options) const;

  // INVALID_ARGUMENT on `field`, and the message has `words`.
  static void ExpectRefused(const absl::Status& status, const std::string& field,
                            const std::string& words);

  std::unique_ptr<TemporaryDirectory> directory_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<v1::CodeService::Stub> code_;
  std::shared_ptr<const BaseModel> base_;
};

// A Generate call under way: begun, and its first message read.
class OpenStream {
 public:
  OpenStream(v1::CodeService::Stub& code, const v1::GenerateRequest& request);

  grpc::ClientContext& context() { return context_; }
  // Reads what is left.
  Generated Finish();

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> reader_;
  Generated generated_;
};

}  // namespace ddpt
