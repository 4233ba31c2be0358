#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ddpt {

// A place in a distributed trace, as W3C Trace Context (level 1) has it: the trace and the span
// that is under way. Ids are numbers of 128 and 64 bits, not 0, written big endian.
struct TraceContext {
  uint64_t trace_high = 0;
  uint64_t trace_low = 0;
  uint64_t span = 0;
  bool sampled = false;  // whether who began the trace records it

  // 32 hexadecimal digits.
  std::string TraceId() const;
  // 16 and 8 raw bytes.
  std::string TraceBytes() const;
  std::string SpanBytes() const;
};

// The header `traceparent`, "00-<trace>-<span>-<flags>". nullopt for what is none: wrong lengths,
// capital letters, zero ids, version ff; what a later version than 00 puts behind is passed over.
std::optional<TraceContext> ParseTraceparent(std::string_view header);
std::string Traceparent(const TraceContext& context);

// A new trace that is recorded, and another span of the same trace; with random ids. Thread-safe.
TraceContext NewTrace();
TraceContext NewSpan(const TraceContext& parent);

}  // namespace ddpt
