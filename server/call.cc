#include "server/call.h"

#include <grpc/grpc.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/status.h"

namespace ddpt {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

// A caller whose deadline passes cancels too, and its clock started earlier than ours.
constexpr std::chrono::milliseconds kDeadlineSlack{20};
constexpr size_t kRequestIdLimit = 64;
constexpr size_t kShownTask = 64;  // bytes of a task's name, which may be anything
// How long callers are waited for when the server is about to stop.
constexpr std::chrono::milliseconds kLastTurn{5'000};
// Late callers are found within a part of the time that they have.
constexpr int kLooksInATurn = 8;

TimePoint MonotonicDeadline(const grpc::CallbackServerContext& context, TimePoint now) {
  const auto deadline = context.deadline();
  if (deadline == system_clock::time_point::max()) return TimePoint::max();
  const auto left = deadline - system_clock::now();
  if (left > std::chrono::hours(24 * 365)) return TimePoint::max();
  return now + std::chrono::duration_cast<steady_clock::duration>(left);
}

std::string RequestId(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find("x-request-id");
  const std::string given = found == context.client_metadata().end()
                                ? ""
                                : std::string(found->second.data(), found->second.size());
  // gRPC takes any bytes in, but ends the process where it is to send some of them back.
  const bool sendable = std::ranges::all_of(
      given, [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); });
  if (!given.empty() && given.size() <= kRequestIdLimit && sendable) return given;
  thread_local std::mt19937_64 random{std::random_device{}()};
  return absl::StrCat(absl::Hex(random(), absl::kZeroPad16));
}

// Where the caller stands; nullopt where it does not say, or says it badly, or twice.
std::optional<TraceContext> CallersPlace(const grpc::CallbackServerContext& context) {
  const auto [first, last] = context.client_metadata().equal_range("traceparent");
  if (first == last || std::next(first) != last) return std::nullopt;
  return ParseTraceparent({first->second.data(), first->second.size()});
}

// Of an RPC's server, by OpenTelemetry's conventions; all other errors are the client's.
bool IsServersFault(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

constexpr char kCutOff[] =
    "the caller neither sent nor took a message for longer than caller-timeout";

constexpr size_t kDoors = 4;  // of Calls::Door

size_t LimitOfAll(const Calls::Options& options) {
  return options.sample_limit + options.generate_limit + options.control_limit +
         options.watch_limit;
}

double Milliseconds(nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

Calls::Calls(Options options, const Access& access, Metrics& metrics, const Log& log,
             StreamPool& control)
    : options_(options),
      access_(access),
      metrics_(metrics),
      log_(log),
      control_(control),
      sample_({.name = "sampling requests",
               .limit = options_.sample_limit,
               .limit_per_key = options_.sample_limit_per_task,
               .limit_per_client = options_.max_requests_per_client}),
      generate_({.name = "generating requests",
                 .limit = options_.generate_limit,
                 .limit_per_key = options_.generate_limit,
                 .limit_per_client = options_.max_requests_per_client}),
      control_door_({.name = "requests",
                     .limit = options_.control_limit,
                     .limit_per_key = options_.control_limit,
                     .limit_per_client = options_.max_requests_per_client}),
      watch_({.name = "watchers of jobs",
              .limit = options_.watch_limit,
              .limit_per_key = options_.watch_limit,
              .limit_per_client = options_.max_requests_per_client}),
      inside_({.name = "requests, with those whose answers have not been taken",
               .limit = LimitOfAll(options_),
               .limit_per_key = LimitOfAll(options_),
               .limit_per_client = kDoors * options_.max_requests_per_client}),
      watcher_([this] { WatchCallers(); }) {}

Calls::~Calls() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  watcher_.join();
}

Admission& Calls::At(Door door) {
  switch (door) {
    case Door::kSample:
      return sample_;
    case Door::kGenerate:
      return generate_;
    case Door::kWatch:
      return watch_;
    case Door::kControl:
      break;
  }
  return control_door_;
}

void Calls::Close(absl::Status why) {
  {
    std::lock_guard lock(mutex_);
    closed_ = std::move(why);
  }
  changed_.notify_all();
}

bool Calls::WaitIdle(TimePoint deadline) const { return inside_.WaitIdle(deadline); }

std::chrono::milliseconds Calls::CallerTimeout() const {
  return closed_.ok() ? options_.caller_timeout : std::min(options_.caller_timeout, kLastTurn);
}

void Calls::WatchCallers() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    changed_.wait_for(lock, CallerTimeout() / kLooksInATurn);
    lock.unlock();
    CutOffLateCallers();
    lock.lock();
  }
}

// gRPC may end calls on the thread that cancels them, which takes the mutex.
void Calls::CutOffLateCallers() {
  std::vector<grpc_call*> late;
  {
    std::lock_guard lock(mutex_);
    const std::chrono::milliseconds timeout = CallerTimeout();
    for (Call* call : live_) {
      if (call->IsLate(timeout)) late.push_back(call->CutOff());
    }
  }
  for (grpc_call* call : late) {
    grpc_call_cancel_with_status(call, GRPC_STATUS_DEADLINE_EXCEEDED, kCutOff, nullptr);
    grpc_call_unref(call);
    metrics_.CallerCutOff();
  }
}

void Calls::StopAll() {
  stopped_ = true;
  std::lock_guard lock(mutex_);
  for (Call* call : live_) call->source_.Cancel();
}

nlohmann::json Calls::State(size_t most) const {
  nlohmann::json state = {{"doors", nlohmann::json::object()},
                          {"methods", nlohmann::json::object()},
                          {"oldest", nlohmann::json::array()}};
  const auto door = [&](const char* name, const Admission& admission, size_t limit) {
    state["doors"][name] = {
        {"waiting", admission.waiting()}, {"running", admission.running()}, {"limit", limit}};
  };
  door("sample", sample_, options_.sample_limit);
  door("generate", generate_, options_.generate_limit);
  door("control", control_door_, options_.control_limit);
  door("watch", watch_, options_.watch_limit);
  door("all", inside_, LimitOfAll(options_));
  std::lock_guard lock(mutex_);
  std::vector<const Call*> calls(live_.begin(), live_.end());
  for (const Call* call : calls) {
    nlohmann::json& count = state["methods"][call->method_.name];
    count = count.is_null() ? 1 : count.get<size_t>() + 1;
  }
  most = std::min(most, calls.size());
  std::partial_sort(calls.begin(), calls.begin() + static_cast<ptrdiff_t>(most), calls.end(),
                    [](const Call* a, const Call* b) { return a->arrived_ < b->arrived_; });
  for (size_t i = 0; i < most; ++i) state["oldest"].push_back(calls[i]->State());
  return state;
}

Call::Call(Calls& calls, const Metrics::Method& method, grpc::CallbackServerContext& context)
    : calls_(calls),
      method_(method),
      context_(context),
      name_(method.service + "/" + method.name),
      peer_(context.peer()),
      arrived_(steady_clock::now()),
      source_(MonotonicDeadline(context, arrived_)),
      token_(source_.token()),
      request_id_(RequestId(context)),
      parent_(CallersPlace(context)),
      trace_(calls_.options_.spans, parent_ ? NewSpan(*parent_) : NewTrace()),
      span_(trace_.Serve(name_, parent_ ? parent_->span : 0)) {
  method_.started->Increment();
  std::lock_guard lock(calls_.mutex_);
  calls_.live_.insert(this);
  if (calls_.stopped_) source_.Cancel();
}

Call::~Call() {
  LogEnd();
  Leave();
}

void Call::Leave() {
  std::lock_guard lock(calls_.mutex_);
  calls_.live_.erase(this);
}

bool Call::IsLate(nanoseconds timeout) const {
  const int64_t since = awaited_ns_;
  return !cut_off_ && since != kNobody && age() - nanoseconds(since) > timeout;
}

grpc_call* Call::CutOff() {
  CallerActed();
  cut_off_ = true;
  source_.Cancel();
  grpc_call_ref(context_.c_call());
  return context_.c_call();
}

absl::Status Call::CheckSize(const google::protobuf::MessageLite& answer) const {
  const size_t bytes = answer.ByteSizeLong(), limit = calls_.options_.max_message_bytes;
  if (bytes <= limit) return absl::OkStatus();
  return WithReason(
      absl::ResourceExhaustedError(absl::StrCat("the answer has ", bytes, " bytes, more than the ",
                                                limit, " of max-message-bytes; ask for less")),
      kReasonTooLarge);
}

absl::Status Call::Begin(std::string task) {
  {
    std::lock_guard lock(calls_.mutex_);
    task_ = std::move(task);
  }
  context_.AddInitialMetadata("x-request-id", request_id_);
  DDPT_ASSIGN_OR_RETURN(client_, calls_.access_.Check(name_, context_));
  const absl::Status status = token_.status();
  return status.ok() ? status : WithReason(status, kReasonExpired);
}

nlohmann::json Call::State() const {
  return {{"method", name_},
          {"request_id", request_id_},
          {"trace_id", trace_.place().TraceId()},
          {"task", task_.substr(0, kShownTask)},
          {"age_ms", Milliseconds(age())},
          {"state", cancelled_ns_ >= 0 ? "cancelled"
                    : started_ns_ >= 0 ? "running"
                                       : "waiting"}};
}

// The lock makes a call that came before Close() one that WaitIdle() waits for.
absl::Status Call::Enter() {
  std::lock_guard lock(calls_.mutex_);
  DDPT_RETURN_IF_ERROR(calls_.closed_);
  DDPT_ASSIGN_OR_RETURN(inside_, calls_.inside_.Admit("", client_));
  inside_.Start();
  return absl::OkStatus();
}

absl::StatusOr<Admission::Ticket> Call::Admit(Calls::Door door) {
  const absl::Status entered = Enter();
  if (absl::IsResourceExhausted(entered)) return WithReason(entered, kReasonQueueFull);
  DDPT_RETURN_IF_ERROR(entered);
  absl::StatusOr<Admission::Ticket> ticket = calls_.At(door).Admit(task_, client_);
  if (!ticket.ok()) return WithReason(ticket.status(), kReasonQueueFull);
  admitted_ = true;
  method_.waiting->Increment();
  return ticket;
}

void Call::Started() {
  int64_t unset = -1;
  const nanoseconds waited = age();
  if (!started_ns_.compare_exchange_strong(unset, waited.count())) return;
  method_.waiting->Decrement();
  method_.running->Increment();
  if (method_.queue_seconds != nullptr) {
    method_.queue_seconds->Observe(std::chrono::duration<double>(waited).count());
  }
}

void Call::Cancel() {
  cancelled_ns_ = age().count();
  source_.Cancel();
}

absl::Status Call::Resolve(absl::Status status) const {
  if (!absl::IsCancelled(status)) return status;
  if (cut_off_) return absl::DeadlineExceededError(kCutOff);
  if (calls_.stopped_) {
    return WithReason(absl::UnavailableError("the server stopped before the request was done"),
                      kReasonDraining);
  }
  const TimePoint now = steady_clock::now();
  const bool expired =
      token_.deadline() != TimePoint::max() && now + kDeadlineSlack >= token_.deadline();
  return expired ? absl::DeadlineExceededError("the deadline passed") : status;
}

grpc::Status Call::End(absl::Status status) {
  status = Resolve(std::move(status));
  const nanoseconds duration = duration_ = age();
  if (admitted_) (started_ns_ >= 0 ? method_.running : method_.waiting)->Decrement();
  if (absl::IsCancelled(status) && cancelled_ns_ >= 0) {
    calls_.metrics_.CancelLatency(duration - nanoseconds(cancelled_ns_));
  } else if (absl::IsDeadlineExceeded(status) && token_.deadline() != TimePoint::max() &&
             !cut_off_) {
    calls_.metrics_.CancelLatency(
        std::max<nanoseconds>(arrived_ + duration - token_.deadline(), nanoseconds(0)));
  }
  calls_.metrics_.Handled(method_, task_, status, duration);
  status_ = std::move(status);
  EndSpan();
  AwaitCaller();
  return ToGrpcStatus(status_);
}

void Call::LogEnd() const {
  const bool error = absl::IsInternal(status_);
  if (!error && !calls_.log_.WritesInfo()) return;
  nlohmann::json fields = {{"request_id", request_id_},
                           {"trace_id", trace_.place().TraceId()},
                           {"method", name_},
                           {"code", absl::StatusCodeToString(status_.code())},
                           {"duration_ms", Milliseconds(duration_)},
                           {"peer", peer_}};
  if (!task_.empty()) fields["task"] = task_;
  if (!client_.empty()) fields["client"] = client_;
  if (cut_off_) fields["cut_off"] = true;
  if (started_ns_ >= 0) fields["queue_ms"] = Milliseconds(nanoseconds(started_ns_));
  if (!status_.ok()) fields["message"] = std::string(status_.message());
  fields.update(fields_);
  if (error) {
    calls_.log_.Error("call", fields);
  } else {
    calls_.log_.Info("call", fields);
  }
}

// Attributes by OpenTelemetry's conventions for RPC, and what the log tells.
void Call::EndSpan() {
  if (!span_.recording()) return;
  span_.Set("rpc.system", "grpc");
  span_.Set("rpc.service", method_.service);
  span_.Set("rpc.method", method_.name);
  span_.Set("rpc.grpc.status_code", static_cast<int64_t>(status_.code()));
  span_.Set("ddpt.request_id", request_id_);
  if (!task_.empty()) span_.Set("ddpt.task", task_);
  for (const auto& [key, value] : fields_.items()) {
    if (value.is_number_integer()) span_.Set("ddpt." + key, value.get<int64_t>());
  }
  if (IsServersFault(status_)) span_.Fail(ToGrpcStatus(status_).error_message());
  span_.End();
}

grpc::ServerUnaryReactor* UnaryCall::Run(const std::string& task,
                                         const std::function<absl::Status(UnaryCall&)>& start) {
  absl::Status status = call_.Begin(task);
  if (status.ok()) status = start(*this);
  if (!status.ok()) Finish(status);
  return this;
}

grpc::ServerUnaryReactor* UnaryCall::RunBlocking(const std::string& task,
                                                 std::function<absl::Status()> work,
                                                 StreamPool* pool) {
  return Run(task, [work = std::move(work), pool](UnaryCall& call) -> absl::Status {
    DDPT_ASSIGN_OR_RETURN(Admission::Ticket admitted, call->Admit(Calls::Door::kControl));
    struct Waiting {
      Admission::Ticket ticket;
      Span queue;
    };
    auto waiting =
        std::make_shared<Waiting>(Waiting{std::move(admitted), call->trace().Begin("queue")});
    return (pool != nullptr ? *pool : call->calls().control())
        .Submit(
            {.key = "call",
             .stop = call->stop(),
             .run =
                 [&call, waiting, work](Stream&) {
                   waiting->queue.End();
                   waiting->ticket.Start();
                   call->Started();
                   call.Finish(work());
                   return Progress::kDone;
                 },
             .on_error = [&call, waiting](const absl::Status& status) { call.Finish(status); }});
  });
}

}  // namespace ddpt
