#include "server/watch_call.h"

#include <utility>
#include <vector>

#include "core/base/status.h"
#include "server/status.h"
#include "server/training_job.h"

namespace ddpt {
namespace {

constexpr uint32_t kPage = 64;

}  // namespace

WatchCall::WatchCall(Calls& calls, const Metrics::Method& method,
                     grpc::CallbackServerContext& context, const JobStore& store, JobRunner& runner,
                     const v1::WatchJobRequest& request)
    : call_(calls, method, context),
      store_(store),
      runner_(runner),
      job_id_(request.job_id()),
      last_event_(request.after_event()) {}

WatchCall* WatchCall::Start(Calls& calls, const Metrics::Method& method,
                            grpc::CallbackServerContext& context, const JobStore& store,
                            JobRunner& runner, const v1::WatchJobRequest& request) {
  auto call = std::make_shared<WatchCall>(calls, method, context, store, runner, request);
  call->reacting_ = call;
  const absl::Status status = call->Begin();
  if (!status.ok()) call->End(status);
  return call.get();
}

absl::Status WatchCall::Begin() {
  DDPT_RETURN_IF_ERROR(call_.Begin(""));
  if (job_id_.empty()) return FieldError("job_id", "is empty");
  DDPT_ASSIGN_OR_RETURN(ticket_, call_.Admit(Calls::Door::kWatch));
  ticket_.Start();
  call_.Started();
  listener_ = runner_.Listen(job_id_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Notified();
  });
  Advance();
  return absl::OkStatus();
}

void WatchCall::Notified() {
  {
    std::lock_guard lock(mutex_);
    news_ = true;
  }
  Advance();
}

void WatchCall::Load() {
  const auto self = shared_from_this();
  const absl::Status status = call_.calls().control().Submit(
      {.key = "watch",
       .stop = call_.stop(),
       .run =
           [self](Stream&) {
             const absl::Status loaded = self->LoadPage();
             if (!loaded.ok()) {
               self->End(loaded);
             } else {
               self->Advance();
             }
             return Progress::kDone;
           },
       .on_error = [self](const absl::Status& error) { self->End(error); }});
  if (!status.ok()) End(status);
}

absl::Status WatchCall::LoadPage() {
  if (runner_.stopping()) {
    return WithReason(absl::UnavailableError("draining: the job goes on after the restart"),
                      kReasonDraining);
  }
  uint64_t after = 0;
  {
    std::lock_guard lock(mutex_);
    after = last_event_;
  }
  DDPT_ASSIGN_OR_RETURN(const Job job, store_.GetJob(job_id_));
  DDPT_ASSIGN_OR_RETURN(const std::vector<JobEvent> events,
                        store_.ListEvents(job_id_, after, kPage));
  std::vector<v1::JobEvent> messages(events.size());
  for (size_t i = 0; i < events.size(); ++i) {
    DDPT_RETURN_IF_ERROR(ToProto(events[i], job.request, &messages[i]));
  }
  std::lock_guard lock(mutex_);
  loading_ = false;
  for (v1::JobEvent& message : messages) {
    last_event_ = message.event();
    waiting_.push_back(std::move(message));
  }
  if (events.size() == kPage) {
    news_ = true;
  } else if (IsFinished(job.state)) {
    ended_ = absl::OkStatus();
  }
  return absl::OkStatus();
}

void WatchCall::End(absl::Status status) {
  {
    std::lock_guard lock(mutex_);
    if (!ended_) ended_ = std::move(status);
    if (!ended_->ok()) waiting_.clear();
  }
  Advance();
}

void WatchCall::OnWriteDone(bool ok) {
  call_.CallerActed();
  {
    std::lock_guard lock(mutex_);
    writing_ = false;
  }
  if (!ok) return OnCancel();
  Advance();
}

void WatchCall::OnCancel() {
  call_.Cancel();
  End(call_.stop().status());
}

void WatchCall::OnDone() {
  call_.Leave();
  runner_.Unlisten(listener_);
  reacting_.reset();
}

// Does what is to be done next, if anything: write, finish or load. gRPC and the pool are called
// without the lock; only one thread gets past it with the same thing to do.
void WatchCall::Advance() {
  bool load = false;
  std::optional<absl::Status> finish;
  {
    std::lock_guard lock(mutex_);
    if (writing_ || finished_) return;
    if (!waiting_.empty()) {
      sending_ = std::move(waiting_.front());
      waiting_.pop_front();
      writing_ = true;
    } else if (ended_) {
      finished_ = true;
      finish = *ended_;
    } else if (news_ && !loading_) {
      news_ = false;
      load = loading_ = true;
    } else {
      return;
    }
  }
  if (load) return Load();
  if (!finish) {
    call_.AwaitCaller();
    return StartWrite(&sending_);
  }
  ticket_ = Admission::Ticket();
  Finish(call_.End(*std::move(finish)));
}

}  // namespace ddpt
