#include "server/span_exporter.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"

namespace ddpt {
namespace {

namespace otlp = opentelemetry::proto::collector::trace::v1;
using std::chrono::steady_clock;
using std::chrono::system_clock;

// A collector that restarts is waited for, one that is overloaded is asked again.
constexpr char kServiceConfig[] = R"({"methodConfig": [{
  "name": [{"service": "opentelemetry.proto.collector.trace.v1.TraceService"}],
  "waitForReady": true,
  "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.2s", "maxBackoff": "5s",
                  "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]})";

std::shared_ptr<grpc::Channel> NewChannel(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
  return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

otlp::Resource ThisServer() {
  otlp::Resource resource;
  const auto set = [&](const char* key, const std::string& value) {
    auto& attribute = *resource.add_attributes();
    attribute.set_key(key);
    attribute.mutable_value()->set_string_value(value);
  };
  const std::string host = HostName();
  set("service.name", "ddpt");
  set("service.version", DDPT_VERSION);
  set("service.instance.id", absl::StrCat(host, "-", getpid()));
  set("host.name", host);
  return resource;
}

}  // namespace

class SpanExporter::Connection {
 public:
  explicit Connection(const std::string& endpoint)
      : stub_(otlp::TraceService::NewStub(NewChannel(endpoint))), resource_(ThisServer()) {}

  grpc::Status Send(grpc::ClientContext& context, Batch batch,
                    otlp::ExportTraceServiceResponse* response) {
    otlp::ExportTraceServiceRequest request;
    otlp::ResourceSpans& sent = *request.add_resource_spans();
    *sent.mutable_resource() = resource_;
    otlp::ScopeSpans& spans = *sent.add_scope_spans();
    spans.mutable_scope()->set_name("ddpt-server");
    spans.mutable_scope()->set_version(DDPT_VERSION);
    for (auto& span : batch) spans.mutable_spans()->AddAllocated(span.release());
    return stub_->Export(&context, request, response);
  }

 private:
  const std::unique_ptr<otlp::TraceService::Stub> stub_;
  const otlp::Resource resource_;
};

SpanExporter::SpanExporter(Options options, Metrics& metrics, const Log& log)
    : options_(std::move(options)),
      metrics_(metrics),
      log_(log),
      connection_(std::make_unique<Connection>(options_.endpoint)),
      thread_([this] { Run(); }) {}

SpanExporter::~SpanExporter() { Stop(steady_clock::now()); }

void SpanExporter::Add(std::unique_ptr<Span::Message> span) {
  bool taken = false;
  {
    std::lock_guard lock(mutex_);
    taken = stop_by_ == TimePoint::max() && queue_.size() < options_.queue_limit;
    if (taken) queue_.push_back(std::move(span));
    if (queue_.size() == 1 || queue_.size() == options_.batch) changed_.notify_one();
  }
  if (!taken) metrics_.SpansDropped(1);
}

void SpanExporter::Stop(TimePoint deadline) {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    stop_by_ = deadline;
    changed_.notify_one();
    ended_changed_.wait_until(lock, deadline, [this] { return ended_; });
    if (exporting_ != nullptr) exporting_->TryCancel();
  }
  thread_.join();
}

void SpanExporter::Run() {
  while (true) {
    Batch batch = Take();
    if (batch.empty()) break;
    Export(std::move(batch));
  }
  std::lock_guard lock(mutex_);
  ended_ = true;
  ended_changed_.notify_all();
}

// Empty at the end.
SpanExporter::Batch SpanExporter::Take() {
  std::unique_lock lock(mutex_);
  const auto stopping = [this] { return stop_by_ != TimePoint::max(); };
  changed_.wait(lock, [&] { return stopping() || !queue_.empty(); });
  changed_.wait_for(lock, options_.interval,
                    [&] { return stopping() || queue_.size() >= options_.batch; });
  Batch batch;
  while (!queue_.empty() && batch.size() < options_.batch) {
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return batch;
}

TimePoint SpanExporter::DeadlineOfExport() const {
  return std::min(stop_by_, steady_clock::now() + options_.deadline);
}

void SpanExporter::Export(Batch batch) {
  const size_t count = batch.size();
  grpc::ClientContext context;
  {
    std::lock_guard lock(mutex_);
    const auto left = DeadlineOfExport() - steady_clock::now();
    if (left.count() <= 0) return metrics_.SpansDropped(count);
    context.set_deadline(system_clock::now() + left);
    exporting_ = &context;
  }
  otlp::ExportTraceServiceResponse response;
  const grpc::Status status = connection_->Send(context, std::move(batch), &response);
  {
    std::lock_guard lock(mutex_);
    exporting_ = nullptr;
  }
  const auto refused = static_cast<size_t>(
      std::clamp<int64_t>(response.partial_success().rejected_spans(), 0, int64_t(count)));
  const size_t dropped = status.ok() ? refused : count;
  metrics_.SpansDropped(dropped);
  metrics_.SpansExported(count - dropped);
  const bool failed = dropped > 0;
  if (failed != std::exchange(failed_, failed)) {
    const std::string& why =
        status.ok() ? response.partial_success().error_message() : status.error_message();
    failed ? log_.Warn("spans dropped", {{"endpoint", options_.endpoint}, {"message", why}})
           : log_.Info("spans exported again", {{"endpoint", options_.endpoint}});
  }
}

}  // namespace ddpt
