#include "client/progress.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"

namespace ddpt {

constexpr int kBarWidth = 30;

ProgressBar::ProgressBar(std::ostream& stream, bool terminal, std::string label)
    : stream_(stream), terminal_(terminal), label_(std::move(label)) {}

ProgressBar::~ProgressBar() {
  if (open_) stream_ << "\n";
}

void ProgressBar::Update(uint64_t done, uint64_t total, std::string_view note) {
  const double share =
      total == 0 ? 0 : static_cast<double>(std::min(done, total)) / static_cast<double>(total);
  if (terminal_) {
    const int filled = static_cast<int>(share * kBarWidth);
    stream_ << "\r" << label_ << " [" << std::string(filled, '#')
            << std::string(kBarWidth - filled, ' ') << "] "
            << absl::StrFormat("%3.0f%%", share * 100) << " " << note << "\x1b[K" << std::flush;
    open_ = true;
    return;
  }
  const int tenth = static_cast<int>(share * 10);
  if (tenth == last_tenth_) return;
  last_tenth_ = tenth;
  stream_ << label_ << " " << done << "/" << total << " " << note << "\n" << std::flush;
}

}  // namespace ddpt
