#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "server/call.h"

namespace ddpt {

// A call whose answer is a stream: writes one message after another, as the derived class has
// them, and finishes when there is none left and the work has ended. gRPC is called without a lock.
template <typename Message>
class StreamReactor : public grpc::ServerWriteReactor<Message> {
 public:
  StreamReactor(Calls& calls, const Metrics::Method& method, grpc::CallbackServerContext& context)
      : call_(calls, method, context) {}

  void OnWriteDone(bool ok) override {
    call_.CallerActed();
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      if (!ok) Drop();
    }
    if (!ok) call_.Cancel();
    WriteNext();
  }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override {
    call_.Leave();
    reacting_.reset();
  }

 protected:
  // The message to write next, and the loss of all that wait; called under the lock.
  virtual std::optional<Message> Pop() = 0;
  virtual void Drop() = 0;

  // Starts the next write, or finishes. To be called after each change of what waits or of
  // `ended_`, without the lock. Only one thread gets past the lock with something to do. After a
  // message that is too long none follows, and the work stops.
  void WriteNext() {
    std::optional<absl::Status> finish;
    {
      std::lock_guard lock(mutex_);
      if (writing_ || finished_) return;
      if (!unsent_.ok()) Drop();
      if (auto next = Pop()) {
        sending_ = *std::move(next);
        unsent_ = call_.CheckSize(sending_);
        writing_ = unsent_.ok();
      }
      if (!writing_ && !unsent_.ok()) {
        Drop();
        call_.Stop();
      }
      if (!writing_ && !ended_) return;
      finished_ = !writing_;
      if (finished_) finish = unsent_.ok() ? *ended_ : unsent_;
    }
    if (finish) return this->Finish(call_.End(*std::move(finish)));
    call_.AwaitCaller();
    this->StartWrite(&sending_);
  }

  std::shared_ptr<StreamReactor> reacting_;  // this, until OnDone
  Call call_;
  std::mutex mutex_;
  std::optional<absl::Status> ended_;  // guarded by mutex_

 private:
  bool writing_ = false;   // guarded by mutex_
  bool finished_ = false;  // likewise
  absl::Status unsent_;    // likewise; of a message that is too long
  Message sending_;        // untouched while writing_
};

}  // namespace ddpt
