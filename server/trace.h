#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/base/trace_context.h"

namespace opentelemetry::proto::collector::trace::v1 {
class Span;
}

namespace ddpt {

class SpanExporter;

// A part of a request that is timed, from Trace::Begin to End, its destruction, or another span's
// assignment; then it goes to the exporter. Where nothing is recorded it is a null pointer. For one
// thread at a time.
class Span {
 public:
  using Message = opentelemetry::proto::collector::trace::v1::Span;

  Span();
  Span(Span&& other) noexcept;
  Span& operator=(Span&& other) noexcept;
  ~Span();

  // Whether what is set is recorded.
  bool recording() const { return message_ != nullptr; }
  // Attributes; of text the first 256 bytes, where it is UTF-8 (gRPC sends no other).
  void Set(std::string_view key, int64_t value);
  void Set(std::string_view key, std::string_view value);
  // What it did went wrong.
  void Fail(std::string_view message);
  void End();

 private:
  friend class Trace;
  Span(SpanExporter* exporter, std::unique_ptr<Message> message);

  SpanExporter* exporter_ = nullptr;
  std::unique_ptr<Message> message_;
  std::chrono::steady_clock::time_point begun_;
};

// A place in a trace where spans begin. Copies are cheap. Thread-safe.
class Trace {
 public:
  // Records nothing.
  Trace() = default;
  // Records where there is an exporter and the trace is sampled. The exporter outlives all spans.
  Trace(SpanExporter* exporter, const TraceContext& place)
      : exporter_(place.sampled ? exporter : nullptr), place_(place) {}

  const TraceContext& place() const { return place_; }
  // The span of this place itself, which a server does for the span `parent`, 0: for none.
  Span Serve(std::string_view name, uint64_t parent) const;
  // A span below it.
  Span Begin(std::string_view name) const;

 private:
  SpanExporter* exporter_ = nullptr;
  TraceContext place_;
};

}  // namespace ddpt
