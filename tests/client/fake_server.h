#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/client.h"
#include "ddpt/v1/code.grpc.pb.h"
#include "ddpt/v1/prompt.grpc.pb.h"
#include "ddpt/v1/task.grpc.pb.h"
#include "ddpt/v1/training.grpc.pb.h"
#include "google/rpc/error_details.pb.h"

namespace ddpt {

// A gRPC status with one standard detail.
template <typename Detail>
grpc::Status StatusWith(grpc::StatusCode code, const std::string& message, const Detail& detail) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  status.add_details()->PackFrom(detail);
  return {code, message, status.SerializeAsString()};
}

inline grpc::Status Unavailable() { return {grpc::StatusCode::UNAVAILABLE, "not now"}; }

// Answers Sample with one prompt of id "p-<seed>", [1, 2], after failing as often as it is told to.
class FakePrompts : public v1::PromptService::Service {
 public:
  grpc::Status Sample(grpc::ServerContext* context, const v1::SampleRequest* request,
                      v1::SampleResponse* response) override {
    ++calls;
    deadline = context->deadline();
    const auto token = context->client_metadata().find("authorization");
    if (token != context->client_metadata().end()) {
      authorization.assign(token->second.data(), token->second.size());
    }
    for (auto [at, end] = context->client_metadata().equal_range("traceparent"); at != end; ++at) {
      traceparents.emplace_back(at->second.data(), at->second.size());
    }
    if (hang) WaitForRelease();
    if (failures > 0) {
      --failures;
      return failure;
    }
    v1::Prompt& prompt = *response->add_prompts();
    prompt.set_prompt_id("p-" + std::to_string(request->sampling().seed()));
    if (!request->omit_embedding()) *prompt.mutable_embedding() = embedding;
    response->mutable_receipt()->set_task(request->task());
    return grpc::Status::OK;
  }

  void Release() {
    std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

  std::atomic<int> calls{0};
  std::atomic<int> failures{0};
  grpc::Status failure = Unavailable();
  bool hang = false;  // Sample blocks until Release()
  v1::Tensor embedding;
  std::chrono::system_clock::time_point deadline;
  std::string authorization;
  std::vector<std::string> traceparents;  // of all calls

 private:
  void WaitForRelease() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return released_; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool released_ = false;
};

// A real gRPC server on a port of its own with the given services.
class FakeServer {
 public:
  explicit FakeServer(const std::vector<grpc::Service*>& services) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    for (grpc::Service* service : services) builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    address = "127.0.0.1:" + std::to_string(port);
  }

  // Quick retries; everything else as by default.
  Client::Options options() const {
    Client::Options options;
    options.target = address;
    options.retry.initial_backoff = std::chrono::milliseconds(1);
    options.retry.max_backoff = std::chrono::milliseconds(4);
    return options;
  }
  std::unique_ptr<Client> Connect() const { return *Client::Create(options()); }

  std::string address;

 private:
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace ddpt
