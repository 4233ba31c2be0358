#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_set>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/runtime/admission.h"
#include "core/runtime/stream_pool.h"
#include "nlohmann/json.hpp"
#include "server/access.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/trace.h"

namespace ddpt {

class Call;

// What all calls of a server share: who may call, the doors that bound how many are inside, how
// long a caller may keep one waiting, the pool for short blocking work (registry, files), metrics,
// the log. Thread-safe.
class Calls {
 public:
  // Requests of one kind share a door.
  enum class Door { kSample, kGenerate, kControl, kWatch };

  struct Options {
    size_t sample_limit = 1024;
    size_t sample_limit_per_task = 512;
    size_t generate_limit = 256;
    size_t control_limit = 256;
    size_t watch_limit = 256;
    size_t max_requests_per_client = 0;  // behind each door; 0: no limit
    size_t max_message_bytes = size_t{4} << 20;
    // What a caller may take to send the next message, or to take one; above 0.
    std::chrono::milliseconds caller_timeout{60'000};
    SpanExporter* spans = nullptr;  // null: none are recorded
  };

  // The others must outlive the Calls, and the Calls all calls.
  Calls(Options options, const Access& access, Metrics& metrics, const Log& log,
        StreamPool& control);
  ~Calls();

  Metrics& metrics() { return metrics_; }
  size_t max_message_bytes() const { return options_.max_message_bytes; }
  const Log& log() const { return log_; }
  // Runs blocking work of a few milliseconds, never a model.
  StreamPool& control() { return control_; }

  // New calls are told `why`, an error, from now on, and callers are waited for no longer than a
  // few seconds.
  void Close(absl::Status why);
  // Blocks until all admitted calls' answers have been taken (true) or `deadline` passes.
  bool WaitIdle(TimePoint deadline) const;
  // Stops every call; they end with UNAVAILABLE as soon as their work notices.
  void StopAll();
  // Counts and limits of the doors, calls by method, and the `most` oldest calls.
  nlohmann::json State(size_t most) const;

 private:
  friend class Call;

  Admission& At(Door door);
  // Until the end: looks for callers who are waited for too long.
  void WatchCallers();
  std::chrono::milliseconds CallerTimeout() const;  // under the mutex
  void CutOffLateCallers();

  const Options options_;
  const Access& access_;
  Metrics& metrics_;
  const Log& log_;
  StreamPool& control_;
  Admission sample_;
  Admission generate_;
  Admission control_door_;
  Admission watch_;
  Admission inside_;  // all of these, and calls whose answers have not been taken
  std::atomic<bool> stopped_{false};
  mutable std::mutex mutex_;
  std::condition_variable changed_;  // ending_, closed_
  // Guarded by mutex_:
  absl::Status closed_;  // what new calls are told; OK: they may come
  std::unordered_set<Call*> live_;
  bool ending_ = false;

  std::thread watcher_;  // WatchCallers()
};

// The bookkeeping of one call, whatever its kind: counts, times, stop token, log line. It lives in
// the reactor of the call. Thread-safe as far as said; the rest is for one thread at a time.
class Call {
 public:
  // Counts the start. `context` lives until the reactor's OnDone.
  Call(Calls& calls, const Metrics::Method& method, grpc::CallbackServerContext& context);
  // Writes the log line: after the answer, which it shall not delay.
  ~Call();

  Calls& calls() { return calls_; }
  // Stops when the caller cancels, when the deadline passes and when the server stops.
  const StopToken& stop() const { return token_; }
  // Where the spans of the call's parts begin.
  const Trace& trace() const { return trace_; }
  std::chrono::nanoseconds age() const { return std::chrono::steady_clock::now() - arrived_; }
  // Fields for the log line, of the caller's choosing.
  nlohmann::json& fields() { return fields_; }

  // To be called first: UNAUTHENTICATED or PERMISSION_DENIED for a caller who may not (access.h),
  // DEADLINE_EXCEEDED where the time is already over. `task` stands in metrics and log; may be "".
  absl::Status Begin(std::string task);
  // A place behind `door`, or RESOURCE_EXHAUSTED, or UNAVAILABLE. To be held until the call's work
  // is over, also by work that outlives the call.
  absl::StatusOr<Admission::Ticket> Admit(Calls::Door door);
  // The work begins: waiting turns to running. Later calls change nothing. Thread-safe.
  void Started();
  // The caller has gone. Thread-safe.
  void Cancel();
  // The work shall stop; the call goes on. Thread-safe.
  void Stop() { source_.Cancel(); }
  // It is the caller's turn to send a message or to take one. Who lets `caller_timeout` pass is cut
  // off: the work stops, and the call ends with DEADLINE_EXCEEDED. Thread-safe, as the next two.
  void AwaitCaller() { awaited_ns_ = age().count(); }
  // It is no longer.
  void CallerActed() { awaited_ns_ = kNobody; }
  // RESOURCE_EXHAUSTED for an answer that is too long to be sent.
  absl::Status CheckSize(const google::protobuf::MessageLite& answer) const;
  // Accounts for the end, once, and gives what the caller is told and has to take.
  grpc::Status End(absl::Status status);
  // gRPC has done with the call, and `context` ends. Nothing happens the second time.
  void Leave();

 private:
  friend class Calls;

  static constexpr int64_t kNobody = -1;

  nlohmann::json State() const;  // under the mutex of calls_
  bool IsLate(std::chrono::nanoseconds timeout) const;
  // For a late caller: the call for gRPC to end, with a reference of its own.
  grpc_call* CutOff();
  absl::Status Enter();
  absl::Status Resolve(absl::Status status) const;
  void LogEnd() const;
  void EndSpan();

  Admission::Ticket inside_;  // returned last
  Calls& calls_;
  const Metrics::Method& method_;
  grpc::CallbackServerContext& context_;
  const std::string name_;  // "ddpt.v1.PromptService/Sample"
  const std::string peer_;
  const TimePoint arrived_;
  StopSource source_;
  const StopToken token_;
  std::string request_id_;
  const std::optional<TraceContext> parent_;  // where the caller stands in its trace
  const Trace trace_;
  Span span_;           // of the call
  std::string task_;    // written under the mutex of calls_
  std::string client_;  // who calls; "" before Begin, and where that refused
  nlohmann::json fields_ = nlohmann::json::object();
  bool admitted_ = false;                     // has had a ticket
  std::atomic<int64_t> started_ns_{-1};       // age at Started(); -1: not yet
  std::atomic<int64_t> cancelled_ns_{-1};     // age at Cancel(); -1: not so
  std::atomic<int64_t> awaited_ns_{kNobody};  // age since which the caller is waited for
  std::atomic<bool> cut_off_{false};
  absl::Status status_;                   // set at End()
  std::chrono::nanoseconds duration_{0};  // age at End()
};

// A call with one request and one answer. Owns itself: made by a service's method, which returns it
// to gRPC, and destroyed after Finish.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(Calls& calls, const Metrics::Method& method, grpc::CallbackServerContext& context,
            const google::protobuf::MessageLite& answer)
      : call_(calls, method, context), answer_(answer) {}

  Call& call() { return call_; }
  Call* operator->() { return &call_; }

  // Ends the call; the answer must be complete. Exactly once, on any thread; the last use.
  void Finish(const absl::Status& status) {
    ServerUnaryReactor::Finish(call_.End(status.ok() ? call_.CheckSize(answer_) : status));
  }

  // The usual beginning: Begin(task), then `start`, which validates, admits and hands the work to
  // someone who will call Finish. An error ends the call at once. Returns the reactor.
  grpc::ServerUnaryReactor* Run(const std::string& task,
                                const std::function<absl::Status(UnaryCall&)>& start);
  // Run for blocking work: `work` happens on `pool`, by default the control pool, and its result
  // ends the call. The pool outlives the call.
  grpc::ServerUnaryReactor* RunBlocking(const std::string& task, std::function<absl::Status()> work,
                                        StreamPool* pool = nullptr);

  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

 private:
  Call call_;
  const google::protobuf::MessageLite& answer_;
};

}  // namespace ddpt
