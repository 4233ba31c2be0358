#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace ddpt {

// One instruction and its reference code, both valid UTF-8.
struct TrainingExample {
  std::string instruction;
  std::string code;
};

struct Dataset {
  std::vector<TrainingExample> examples;
  // SHA-256 over the examples alone, hexadecimal: the same whatever file format they came in.
  std::string digest;
};

struct DatasetFormat {
  enum class Kind {
    kDetect,  // from the first bytes: '[' is CoNaLa or CodeAlpaca by the first element's keys, else
              // JSON Lines
    kJsonLines,   // one object a line; fields named below
    kConala,      // JSON array: rewritten_intent (or intent where that is null), snippet
    kCodeAlpaca,  // JSON array: instruction, input (appended after a newline where not empty),
                  // output
  };
  Kind kind = Kind::kDetect;
  std::string instruction_field = "instruction";
  std::string code_field = "code";
};

// Limits of a data set; errors name them.
inline constexpr uint64_t kMaxDatasetBytes = 256u << 20;
inline constexpr uint64_t kMaxDatasetExamples = 1'000'000;
inline constexpr uint64_t kMaxExampleBytes = 65'536;  // of each of the two texts

// Reads a data set. INVALID_ARGUMENT names line (of the file, from 1), field and reason, and is
// given for the first fault: what is not read whole is not read at all.
absl::StatusOr<Dataset> ParseDataset(std::string_view bytes, const DatasetFormat& format);

// The same checks for examples that came one by one; the "line" of an error is the example's
// number.
absl::StatusOr<Dataset> MakeDataset(std::vector<TrainingExample> examples);

// Splits a data set of at least two examples in training and validation, at least one each, by a
// random order that is a function of `seed` alone. `share` (0..1) of the examples, rounded, are for
// validation.
std::pair<std::vector<TrainingExample>, std::vector<TrainingExample>> SplitDataset(
    const Dataset& dataset, double share, uint64_t seed);

// JSON Lines with the fields "instruction" and "code"; ParseDataset reads it back to the same
// digest.
std::string SerializeDataset(const Dataset& dataset);

}  // namespace ddpt
