#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/stop_token.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/trace.h"

namespace grpc {
class ClientContext;
}

namespace ddpt {

// Sends spans to a collector by OTLP over gRPC, in batches, on a thread of its own. Nothing that it
// does holds up a request: what does not fit into the queue, or cannot be delivered in time, is
// dropped and counted. Thread-safe.
class SpanExporter {
 public:
  struct Options {
    std::string endpoint;                        // HOST:PORT, plain text
    size_t queue_limit = 8192;                   // spans that wait
    size_t batch = 512;                          // spans of one export, at most
    std::chrono::milliseconds interval{1000};    // for which a span waits for others
    std::chrono::milliseconds deadline{10'000};  // of an export with its attempts
  };

  // Does not wait for the collector. The references outlive the exporter.
  SpanExporter(Options options, Metrics& metrics, const Log& log);
  // Stop(now), if that has not been done.
  ~SpanExporter();

  // Takes a span that has ended. Does not block.
  void Add(std::unique_ptr<Span::Message> span);
  // Sends what waits, until `deadline` at most; blocks for it. What comes later is dropped.
  void Stop(TimePoint deadline);

 private:
  using Batch = std::vector<std::unique_ptr<Span::Message>>;
  class Connection;

  void Run();
  Batch Take();
  void Export(Batch batch);
  TimePoint DeadlineOfExport() const;

  const Options options_;
  Metrics& metrics_;
  const Log& log_;
  const std::unique_ptr<Connection> connection_;
  bool failed_ = false;  // the last export; for the thread

  mutable std::mutex mutex_;
  std::condition_variable changed_, ended_changed_;
  // Guarded by mutex_:
  std::deque<std::unique_ptr<Span::Message>> queue_;
  TimePoint stop_by_ = TimePoint::max();  // set: no more spans are taken
  bool ended_ = false;
  grpc::ClientContext* exporting_ = nullptr;

  std::thread thread_;
};

}  // namespace ddpt
