#include "core/decoding/stop_matcher.h"

#include <algorithm>

namespace ddpt {

std::string StopMatcher::Push(std::string_view piece) {
  if (stopped_) return "";
  held_ += piece;
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, held_.find(stop));
  stopped_ = first != std::string::npos;
  const size_t length = stopped_ ? first : SafeLength();
  std::string released = held_.substr(0, length);
  held_.erase(0, stopped_ ? std::string::npos : length);
  return released;
}

std::string StopMatcher::Flush() {
  std::string rest;
  rest.swap(held_);
  return rest;
}

size_t StopMatcher::SafeLength() const {
  size_t held = 0;
  for (const std::string& stop : stops_) {
    for (size_t length = std::min(stop.size() - 1, held_.size()); length > held; --length) {
      if (held_.ends_with(std::string_view(stop).substr(0, length))) held = length;
    }
  }
  return held_.size() - held;
}

}  // namespace ddpt
