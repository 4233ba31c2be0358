#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ddpt::tiny {

// What a base model is trained on: `decoder_text` is the decoder's prefix and carries no loss.
struct Text {
  std::string encoder_text;
  std::string decoder_text;
  std::string code;
};

// An endless stream of texts, a function of where they come from and a seed. Not thread-safe.
class Texts {
 public:
  virtual ~Texts() = default;

  // Texts number `group` * `count` and on, `count` of them, where `count` is the same in all calls.
  virtual std::vector<Text> Draw(uint64_t group, uint64_t count) = 0;
  // What a vocabulary is made from.
  virtual std::vector<std::string> ForVocabulary() const = 0;
};

// The generated corpus of `folder` (Corpus::Load, whose errors these are).
absl::StatusOr<std::unique_ptr<Texts>> GeneratedTexts(const std::string& folder, uint64_t seed);

// A JSON Lines file, epoch after epoch, each in a new order. A line is an object of strings:
// `instruction` (the decoder's prefix), `code`, and `encoder_text` where the encoder reads
// something else than the instruction. Errors: those of ReadFile (256 MiB at most);
// INVALID_ARGUMENT names the line, or says that there is none.
absl::StatusOr<std::unique_ptr<Texts>> TextsOfFile(const std::string& path, uint64_t seed);

}  // namespace ddpt::tiny
