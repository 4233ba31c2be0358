#include "server/watched_files.h"

#include <utility>

#include "core/base/file.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using std::chrono::steady_clock;

constexpr uint64_t kFileLimit = 1 << 20;
constexpr std::chrono::seconds kInterval{1};

}  // namespace

absl::StatusOr<std::optional<std::vector<std::string>>> WatchedFiles::Poll() {
  std::lock_guard lock(mutex_);
  const auto now = steady_clock::now();
  if (read_ && now - *read_ < kInterval) return std::nullopt;
  read_ = now;
  auto texts = Read();
  const absl::Status before = std::exchange(status_, texts.status());
  if (!texts.ok()) {
    if (texts.status() == before) return std::nullopt;
    return texts.status();
  }
  if (*texts == texts_) return std::nullopt;
  texts_ = *std::move(texts);
  return texts_;
}

absl::StatusOr<std::vector<std::string>> WatchedFiles::Read() const {
  std::vector<std::string> texts;
  for (const std::string& path : paths_) {
    DDPT_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kFileLimit));
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace ddpt
