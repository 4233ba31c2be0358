#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ddpt {

// What one prompt made of one example.
struct EvaluationOutcome {
  std::string code;     // generated, valid UTF-8
  double nll = 0;       // of the reference, nats in all
  uint64_t tokens = 0;  // of the reference
};

// The outcomes of one evaluation as they come, in <directory>/<key>.jsonl, so that one that was
// interrupted goes on where it stopped. Every call blocks on storage. Not thread-safe.
class EvaluationLog {
 public:
  // Of a contender and an example.
  using Place = std::pair<uint32_t, uint64_t>;

  // Reads what is there; a half-written last line is cut off. `key` is a SHA-256 in hexadecimal.
  // The directory is made where it is missing; of other evaluations it keeps the 63 that were
  // written last, none of them older than seven days. RESOURCE_EXHAUSTED for a full disk.
  static absl::StatusOr<std::unique_ptr<EvaluationLog>> Open(const std::string& directory,
                                                             std::string_view key);

  const std::map<Place, EvaluationOutcome>& outcomes() const { return outcomes_; }
  // Survives the end of the process; a crash of the machine may take the last ones.
  absl::Status Add(const std::map<Place, EvaluationOutcome>& outcomes);

 private:
  explicit EvaluationLog(std::string path) : path_(std::move(path)) {}
  absl::Status Read();

  const std::string path_;
  std::ofstream file_;
  std::map<Place, EvaluationOutcome> outcomes_;
};

}  // namespace ddpt
