#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"

namespace ddpt {

// A collector of spans on a port of its own, which keeps what it gets.
class SpanCollector final
    : public opentelemetry::proto::collector::trace::v1::TraceService::Service {
 public:
  using Request = opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
  using Response = opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
  using Resource = opentelemetry::proto::collector::trace::v1::Resource;
  using Span = opentelemetry::proto::collector::trace::v1::Span;

  SpanCollector() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address = "127.0.0.1:" + std::to_string(port);
  }
  ~SpanCollector() override {
    Release();
    server_->Shutdown();
  }

  grpc::Status Export(grpc::ServerContext*, const Request* request, Response* response) override {
    std::unique_lock lock(mutex_);
    ++exports_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !held_; });
    if (failures > 0) {
      --failures;
      return {grpc::StatusCode::UNAVAILABLE, "not now"};
    }
    for (const auto& resource : request->resource_spans()) {
      resource_ = resource.resource();
      for (const auto& scope : resource.scope_spans()) {
        spans_.insert(spans_.end(), scope.spans().begin(), scope.spans().end());
      }
    }
    response->mutable_partial_success()->set_rejected_spans(rejected);
    changed_.notify_all();
    return grpc::Status::OK;
  }

  // From now on exports wait, until Release.
  void Hold() {
    std::lock_guard lock(mutex_);
    held_ = true;
  }
  void Release() {
    std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  // Blocks until so many exports have come, or so many spans.
  void AwaitExports(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return exports_ >= count; });
  }
  void AwaitSpans(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return spans_.size() >= count; });
  }

  std::vector<Span> spans() const {
    std::lock_guard lock(mutex_);
    return spans_;
  }
  Resource resource() const {
    std::lock_guard lock(mutex_);
    return resource_;
  }

  std::string address;
  // To be set before there are exports:
  int failures = 0;  // exports that end with UNAVAILABLE
  int rejected = 0;  // spans of each export that it says not to have taken

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  bool held_ = false;
  size_t exports_ = 0;
  std::vector<Span> spans_;
  Resource resource_;

  std::unique_ptr<grpc::Server> server_;
};

// Text, or a number in digits, of each attribute.
template <typename Attributes>
std::map<std::string, std::string> AttributesOf(const Attributes& attributes) {
  std::map<std::string, std::string> found;
  for (const auto& attribute : attributes) {
    const auto& value = attribute.value();
    found[attribute.key()] =
        value.has_int_value() ? std::to_string(value.int_value()) : value.string_value();
  }
  return found;
}

}  // namespace ddpt
