#include "server/trace.h"

#include <algorithm>
#include <string>
#include <utility>

#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "server/span_exporter.h"

namespace ddpt {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr size_t kTextLimit = 256;

// Cut between characters.
std::string Cut(std::string_view text) {
  size_t size = std::min(text.size(), kTextLimit);
  while (size < text.size() && size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80)
    --size;
  return std::string(text.substr(0, size));
}

uint64_t UnixNanoseconds() {
  return std::chrono::duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
}

auto* NewValue(Span::Message& span, std::string_view key) {
  auto& attribute = *span.add_attributes();
  attribute.set_key(std::string(key));
  return attribute.mutable_value();
}

std::unique_ptr<Span::Message> NewMessage(const TraceContext& place, uint64_t parent,
                                          std::string_view name) {
  auto message = std::make_unique<Span::Message>();
  message->set_trace_id(place.TraceBytes());
  message->set_span_id(place.SpanBytes());
  if (parent != 0) message->set_parent_span_id(TraceContext{.span = parent}.SpanBytes());
  message->set_name(std::string(name));
  message->set_kind(Span::Message::KIND_INTERNAL);
  message->set_start_time_unix_nano(UnixNanoseconds());
  return message;
}

}  // namespace

Span::Span() = default;

Span::Span(SpanExporter* exporter, std::unique_ptr<Message> message)
    : exporter_(exporter), message_(std::move(message)), begun_(steady_clock::now()) {}

Span::Span(Span&& other) noexcept = default;

Span& Span::operator=(Span&& other) noexcept {
  if (this == &other) return *this;
  End();
  exporter_ = other.exporter_;
  message_ = std::move(other.message_);
  begun_ = other.begun_;
  return *this;
}

Span::~Span() { End(); }

void Span::Set(std::string_view key, int64_t value) {
  if (message_) NewValue(*message_, key)->set_int_value(value);
}

void Span::Set(std::string_view key, std::string_view value) {
  if (message_) NewValue(*message_, key)->set_string_value(Cut(value));
}

void Span::Fail(std::string_view message) {
  if (!message_) return;
  auto& status = *message_->mutable_status();
  status.set_code(opentelemetry::proto::collector::trace::v1::SpanStatus::CODE_ERROR);
  status.set_message(Cut(message));
}

void Span::End() {
  if (!message_) return;
  const nanoseconds time = steady_clock::now() - begun_;
  message_->set_end_time_unix_nano(message_->start_time_unix_nano() + time.count());
  exporter_->Add(std::move(message_));
}

Span Trace::Serve(std::string_view name, uint64_t parent) const {
  if (exporter_ == nullptr) return {};
  auto message = NewMessage(place_, parent, name);
  message->set_kind(Span::Message::KIND_SERVER);
  return Span(exporter_, std::move(message));
}

Span Trace::Begin(std::string_view name) const {
  if (exporter_ == nullptr) return {};
  return Span(exporter_, NewMessage(NewSpan(place_), place_.span, name));
}

}  // namespace ddpt
