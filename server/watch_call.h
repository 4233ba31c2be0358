#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "core/registry/job_store.h"
#include "core/runtime/job_runner.h"
#include "ddpt/v1/training.pb.h"
#include "server/call.h"

namespace ddpt {

// One WatchJob call: the events of a job in order, from the store a page at a time, until the one
// that ends it. Between events it holds no thread. Ends with UNAVAILABLE when the runner stops.
// Owned by gRPC until OnDone, and by what it waits for.
class WatchCall final : public grpc::ServerWriteReactor<v1::JobEvent>,
                        public std::enable_shared_from_this<WatchCall> {
 public:
  // The reactor of a call, to be returned to gRPC. Store and runner outlive the call.
  static WatchCall* Start(Calls& calls, const Metrics::Method& method,
                          grpc::CallbackServerContext& context, const JobStore& store,
                          JobRunner& runner, const v1::WatchJobRequest& request);

  WatchCall(Calls& calls, const Metrics::Method& method, grpc::CallbackServerContext& context,
            const JobStore& store, JobRunner& runner, const v1::WatchJobRequest& request);
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  absl::Status Begin();
  void Notified();
  void Load();
  absl::Status LoadPage();
  void End(absl::Status status);
  void Advance();

  std::shared_ptr<WatchCall> reacting_;  // this, until OnDone
  Call call_;
  const JobStore& store_;
  JobRunner& runner_;
  const std::string job_id_;
  Admission::Ticket ticket_;
  uint64_t listener_ = 0;

  std::mutex mutex_;
  // Guarded by mutex_:
  uint64_t last_event_;
  std::deque<v1::JobEvent> waiting_;
  bool news_ = true;  // since the last page was asked for
  bool loading_ = false;
  bool writing_ = false;
  bool finished_ = false;
  std::optional<absl::Status> ended_;
  v1::JobEvent sending_;  // untouched while writing_
};

}  // namespace ddpt
