#include "core/registry/evaluation_log.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/registry/digest_files.h"

namespace ddpt {
namespace {

namespace fs = std::filesystem;

constexpr size_t kOthersKept = 63;
constexpr std::chrono::hours kKept{7 * 24};
constexpr uint64_t kFileLimit = uint64_t{1} << 30;

// The oldest first to go. What another process removes meanwhile is as good as removed.
void RemoveOthers(const std::string& directory, const fs::path& kept) {
  std::vector<std::pair<fs::file_time_type, fs::path>> others;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path() != kept) others.emplace_back(entry.last_write_time(error), entry.path());
  }
  std::sort(others.rbegin(), others.rend());
  const auto oldest = fs::file_time_type::clock::now() - kKept;
  for (size_t i = 0; i < others.size(); ++i) {
    if (i >= kOthersKept || others[i].first < oldest) fs::remove(others[i].second, error);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<EvaluationLog>> EvaluationLog::Open(const std::string& directory,
                                                                   std::string_view key) {
  DDPT_RETURN_IF_ERROR(CreateFolder(directory));
  std::unique_ptr<EvaluationLog> log(
      new EvaluationLog(absl::StrCat(directory, "/", Piece(key), ".jsonl")));
  RemoveOthers(directory, log->path_);
  DDPT_RETURN_IF_ERROR(log->Read());
  log->file_.open(log->path_, std::ios::binary | std::ios::app);
  return log;
}

absl::Status EvaluationLog::Read() {
  if (!fs::exists(path_)) return absl::OkStatus();
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path_, kFileLimit));
  size_t begin = 0;
  for (size_t end; (end = bytes.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const auto line = nlohmann::json::parse(bytes.begin() + static_cast<ptrdiff_t>(begin),
                                            bytes.begin() + static_cast<ptrdiff_t>(end), nullptr,
                                            /*allow_exceptions=*/false);
    if (!line.is_object()) break;
    outcomes_[{line.value("contender", 0u), line.value("example", uint64_t{0})}] = {
        line.value("code", ""), line.value("nll", 0.0), line.value("tokens", uint64_t{0})};
  }
  std::error_code error;
  if (begin < bytes.size()) fs::resize_file(path_, begin, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(path_, ": ", error.message()));
}

absl::Status EvaluationLog::Add(const std::map<Place, EvaluationOutcome>& outcomes) {
  for (const auto& [place, outcome] : outcomes) {
    const nlohmann::ordered_json line = {{"contender", place.first},
                                         {"example", place.second},
                                         {"nll", outcome.nll},
                                         {"tokens", outcome.tokens},
                                         {"code", outcome.code}};
    file_ << line.dump() << "\n";
    outcomes_[place] = outcome;
  }
  file_.flush();
  if (file_) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(path_, ": cannot be written"));
}

}  // namespace ddpt
