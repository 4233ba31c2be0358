#include "core/base/trace_context.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"

namespace ddpt {
namespace {

constexpr size_t kLength = 55;  // of version 00
constexpr uint8_t kSampledFlag = 1;

std::string Hex(uint64_t value) { return absl::StrCat(absl::Hex(value, absl::kZeroPad16)); }

std::string Bytes(uint64_t value) {
  std::string bytes(sizeof value, '\0');
  for (size_t i = bytes.size(); i-- > 0; value >>= 8) bytes[i] = static_cast<char>(value);
  return bytes;
}

// At most 16 digits, small letters only.
std::optional<uint64_t> ParseHex(std::string_view digits) {
  uint64_t value = 0;
  for (const char c : digits) {
    const bool decimal = c >= '0' && c <= '9';
    if (!decimal && (c < 'a' || c > 'f')) return std::nullopt;
    value = value << 4 | static_cast<uint64_t>(decimal ? c - '0' : c - 'a' + 10);
  }
  return value;
}

uint64_t RandomId() {
  thread_local std::mt19937_64 random{std::random_device{}() +
                                      (uint64_t{std::random_device{}()} << 32)};
  return std::max<uint64_t>(random(), 1);
}

}  // namespace

std::string TraceContext::TraceId() const { return Hex(trace_high) + Hex(trace_low); }
std::string TraceContext::TraceBytes() const { return Bytes(trace_high) + Bytes(trace_low); }
std::string TraceContext::SpanBytes() const { return Bytes(span); }

std::optional<TraceContext> ParseTraceparent(std::string_view header) {
  if (header.size() < kLength || header[2] != '-' || header[35] != '-' || header[52] != '-') {
    return std::nullopt;
  }
  const auto version = ParseHex(header.substr(0, 2));
  const auto high = ParseHex(header.substr(3, 16)), low = ParseHex(header.substr(19, 16));
  const auto span = ParseHex(header.substr(36, 16)), flags = ParseHex(header.substr(53, 2));
  if (!version || !high || !low || !span || !flags || *version == 0xff) return std::nullopt;
  if (header.size() > kLength && (*version == 0 || header[kLength] != '-')) return std::nullopt;
  if ((*high == 0 && *low == 0) || *span == 0) return std::nullopt;
  return TraceContext{*high, *low, *span, (*flags & kSampledFlag) != 0};
}

std::string Traceparent(const TraceContext& context) {
  return absl::StrCat("00-", context.TraceId(), "-", Hex(context.span),
                      context.sampled ? "-01" : "-00");
}

TraceContext NewTrace() { return {RandomId(), RandomId(), RandomId(), true}; }

TraceContext NewSpan(const TraceContext& parent) {
  TraceContext context = parent;
  context.span = RandomId();
  return context;
}

}  // namespace ddpt
