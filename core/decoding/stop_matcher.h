#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ddpt {

// Finds stop strings in text that comes in pieces. What may still become a stop string is held
// back, so nothing of one is ever released; a stop string may span any number of pieces. Pieces and
// stop strings are whole characters of UTF-8, and so is what is released. Not thread-safe.
class StopMatcher {
 public:
  // None of the strings is empty.
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // The text that is now known to stand before any stop string.
  std::string Push(std::string_view piece);
  // At the end without a stop string: what is still held back.
  std::string Flush();
  // A stop string was found; all from the first one on is swallowed.
  bool stopped() const { return stopped_; }

 private:
  size_t SafeLength() const;

  const std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace ddpt
