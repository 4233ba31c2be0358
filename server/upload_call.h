#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/call.h"
#include "server/upload.h"

namespace ddpt {

// A call that brings a file: a header, then chunks, then the answer. `Request` has a header and
// chunks of at most 1 MiB. Each message is handled on a pool before the next is read, so a caller
// is never ahead of the disk. Owns itself.
template <typename Request>
class UploadCall final : public grpc::ServerReadReactor<Request> {
 public:
  using Header = typename Request::Header;
  struct Options {
    std::string directory;  // where the file lies until it has been stored
    uint64_t limit_bytes = 0;
    std::function<absl::Status(const Header&)> check;
    // Stores what has arrived in full; fills the response.
    std::function<absl::Status(const Header&, Upload&)> store;
    StreamPool* pool = nullptr;  // where all this happens, and outlives the call; null: control
  };

  // The reactor of a call, to be returned to gRPC.
  static UploadCall* Start(Calls& calls, const Metrics::Method& method,
                           grpc::CallbackServerContext& context, Options options) {
    auto* call = new UploadCall(calls, method, context, std::move(options));
    const absl::Status status = call->Begin();
    if (!status.ok()) call->End(status);
    return call;
  }

  void OnReadDone(bool ok) override {
    call_.CallerActed();
    if (!ok && context_.IsCancelled()) call_.Cancel();  // what came is not the whole
    if (!call_.stop().status().ok()) return End(call_.stop().status());
    RunBlocking(/*last=*/!ok);
  }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

 private:
  static constexpr size_t kChunkLimit = size_t{1} << 20;

  UploadCall(Calls& calls, const Metrics::Method& method, grpc::CallbackServerContext& context,
             Options options)
      : context_(context), call_(calls, method, context), options_(std::move(options)) {}

  absl::Status Begin() {
    DDPT_RETURN_IF_ERROR(call_.Begin(""));
    DDPT_ASSIGN_OR_RETURN(ticket_, call_.Admit(Calls::Door::kControl));
    ticket_.Start();
    call_.Started();
    ReadNext();
    return absl::OkStatus();
  }

  void ReadNext() {
    call_.AwaitCaller();
    this->StartRead(&message_);
  }

  void RunBlocking(bool last) {
    StreamPool& pool = options_.pool != nullptr ? *options_.pool : call_.calls().control();
    const absl::Status status =
        pool.Submit({.key = "upload",
                     .stop = call_.stop(),
                     .run =
                         [this, last](Stream&) {
                           const absl::Status result = Handle(last);
                           if (!result.ok() || last) {
                             End(result);
                           } else {
                             ReadNext();
                           }
                           return Progress::kDone;
                         },
                     .on_error = [this](const absl::Status& error) { End(error); }});
    if (!status.ok()) End(status);
  }

  // gRPC brings one message after the other; the lock shows it to tools that do not see into gRPC.
  absl::Status Handle(bool last) {
    std::lock_guard lock(mutex_);
    return last ? Store() : Take();
  }

  absl::Status Take() {
    if (message_.has_header()) return TakeHeader();
    if (!upload_) return FieldError("header", "is missing; the first message must have it");
    if (message_.chunk().size() > kChunkLimit) {
      return FieldError("chunk", absl::StrCat(message_.chunk().size(),
                                              " bytes are above the limit of ", kChunkLimit));
    }
    return upload_->Append(message_.chunk());
  }

  absl::Status TakeHeader() {
    if (upload_) return FieldError("header", "has come before; chunks must follow");
    DDPT_RETURN_IF_ERROR(options_.check(message_.header()));
    header_ = message_.header();
    DDPT_ASSIGN_OR_RETURN(upload_, Upload::Create(options_.directory, options_.limit_bytes));
    return absl::OkStatus();
  }

  absl::Status Store() {
    if (!upload_) return FieldError("header", "is missing; the call had no message");
    return options_.store(header_, *upload_);
  }

  void End(const absl::Status& status) {
    ticket_ = Admission::Ticket();
    this->Finish(call_.End(status));
  }

  grpc::CallbackServerContext& context_;
  Call call_;
  const Options options_;
  Admission::Ticket ticket_;
  Request message_;
  std::mutex mutex_;
  // Guarded by mutex_:
  Header header_;
  std::unique_ptr<Upload> upload_;  // null until the header has come
};

}  // namespace ddpt
