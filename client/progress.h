#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

namespace ddpt {

// How far something long is, on a stream: a bar that redraws itself on a terminal, elsewhere a line
// whenever another tenth is done. Not thread-safe.
class ProgressBar {
 public:
  // `stream` must outlive the object.
  ProgressBar(std::ostream& stream, bool terminal, std::string label);
  // Ends the bar's line.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // `done` of `total` (0: not known yet), and a remark.
  void Update(uint64_t done, uint64_t total, std::string_view note);

 private:
  std::ostream& stream_;
  const bool terminal_;
  const std::string label_;
  int last_tenth_ = -1;
  bool open_ = false;
};

}  // namespace ddpt
