#include "tests/integration/code_fixture.h"

#include <gmock/gmock.h>

#include "client/status.h"
#include "core/base/status.h"
#include "tests/integration/model_fixture.h"

namespace ddpt {

std::vector<uint32_t> IdsOf(const v1::TokenIds& ids) {
  return {ids.ids().begin(), ids.ids().end()};
}

v1::GenerateResponse Generated::Choice(uint32_t index) const {
  v1::GenerateResponse joined;
  std::string text;
  for (const v1::GenerateResponse& message : messages) {
    if (message.choice_index() != index) continue;
    joined.MergeFrom(message);
    text += message.text();
  }
  joined.set_text(text);
  return joined;
}

void CodeTest::Start(const std::function<void(Config&)>& change) {
  server_.reset();
  directory_ = std::make_unique<TemporaryDirectory>();
  Config config = TestConfig(directory_->path());
  config.model = RandomModel();
  change(config);
  base_ = LoadBaseModel(config.model, config).value();
  server_ = std::make_unique<TestServer>(config);
  code_ = v1::CodeService::NewStub(server_->channel());
  ASSERT_TRUE(server_->Import("small", DenoiserFile(SmallSpec(), 1)).ok());
}

v1::GenerateRequest CodeTest::Request(uint32_t tokens) {
  v1::GenerateRequest request;
  request.set_instruction("add");
  request.mutable_decoding()->set_max_new_tokens(tokens);
  return request;
}

v1::GenerateRequest CodeTest::LongRequest() {
  v1::GenerateRequest request = Request(2000);
  request.mutable_decoding()->set_n(16);
  return request;
}

Generated CodeTest::Generate(const v1::GenerateRequest& request,
                             std::chrono::milliseconds timeout) {
  grpc::ClientContext context;
  SetTimeout(context, timeout);
  const auto reader = code_->Generate(&context, request);
  Generated generated;
  v1::GenerateResponse message;
  while (reader->Read(&message)) generated.messages.push_back(message);
  generated.status = FromGrpcStatus(reader->Finish());
  return generated;
}

absl::StatusOr<v1::ScoreResponse> CodeTest::Score(const v1::ScoreRequest& request) {
  grpc::ClientContext context;
  SetTimeout(context, TestServer::kTimeout);
  v1::ScoreResponse response;
  const absl::Status status = FromGrpcStatus(code_->Score(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

std::vector<uint32_t> CodeTest::Encode(const std::string& text) const {
  return base_->tokenizer->Encode(text).value();
}

PromptedRequest CodeTest::Prompted(std::shared_ptr<const Tensor> prompt) const {
  PromptedRequest request;
  request.instruction_ids = Encode("add");
  request.soft_prompt = std::move(prompt);
  return request;
}

std::vector<Generation> CodeTest::Library(const PromptedRequest& request,
                                          const DecodingOptions& options) const {
  return ddpt::Generate(base_->model, base_->tokenizer, request, options).value();
}

void CodeTest::ExpectRefused(const absl::Status& status, const std::string& field,
                             const std::string& words) {
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(FieldOf(status), field) << status;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr(words));
}

OpenStream::OpenStream(v1::CodeService::Stub& code, const v1::GenerateRequest& request)
    : reader_(code.Generate(&context_, request)) {
  EXPECT_TRUE(reader_->Read(&generated_.messages.emplace_back()));
}

Generated OpenStream::Finish() {
  v1::GenerateResponse message;
  while (reader_->Read(&message)) generated_.messages.push_back(message);
  generated_.status = FromGrpcStatus(reader_->Finish());
  return generated_;
}

}  // namespace ddpt
