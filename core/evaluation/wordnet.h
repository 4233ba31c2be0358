#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/status/statusor.h"

namespace ddpt {

// Synonyms from the database files of Princeton's WordNet 3 (wndb(5WN): index, data and exception
// files), as nltk's reader finds them. Thread-safe.
class WordNet {
 public:
  // Where Debian's package wordnet-base puts the files.
  static constexpr char kFolder[] = "/usr/share/wordnet";

  // Blocks to read 28 MB. Errors: NotFound, a file lacks; others of ReadFile.
  static absl::StatusOr<WordNet> Load(const std::string& folder);

  // The single words of all synsets of a word in small letters, of its base forms too, as they are
  // written there: "Paris" with its capital, no word twice. Valid as long as this object.
  const std::vector<std::string>& Synonyms(std::string_view word);

 private:
  // The files of nouns, verbs, adjectives or adverbs.
  struct PartOfSpeech {
    std::string index, data;
    absl::flat_hash_map<std::string, std::vector<std::string>> exceptions;
  };

  std::array<PartOfSpeech, 4> parts_;
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();
  absl::node_hash_map<std::string, std::vector<std::string>> known_;  // guarded by mutex_
};

}  // namespace ddpt
