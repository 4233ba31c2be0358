#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/tuning/attributes.h"

namespace ddpt {

// One instruction and its reference code, valid UTF-8 all.
struct TrainingExample {
  std::string instruction;
  std::string code;
  Attributes attributes = {};  // of conditional tasks
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
    kJsonLines,   // one object a line; fields named below, and "attributes", an object of strings,
                  // where there are such
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

// What is trained on and what is validated on: indices of examples. Texts that differ in
// surrounding white space and line ends only are the same; of examples that are, attributes
// included, the first one counts.
struct DataSplit {
  std::vector<uint64_t> train;
  std::vector<uint64_t> validation;
  uint64_t duplicates = 0;           // in neither: they repeat another example of their data set
  uint64_t shared_instructions = 0;  // validation examples whose instruction is trained on too
};

// Changes whenever the same data would be divided another way.
inline constexpr int kSplitVersion = 1;

// Divides the examples of one data set by a hash of the instruction alone: `share` (0..1) of the
// instructions, in expectation, are for validation. So all codes of an instruction are on one side,
// and examples that are added later leave the others where they are. No seed salts the hash: a
// version that is trained with another seed or on more data is validated, and compared with the
// active one, on examples that neither was trained on (at the same share). Where a side would have
// nothing, the instruction whose hash is nearest to it is on that side, until others come. Both
// sides are in the order of the hash. FieldError "data" where all instructions are the same.
absl::StatusOr<DataSplit> SplitDataset(const Dataset& dataset, double share);

// With validation data of the caller's own; both sides are in the order of their data set.
// FieldError "validation_data" where training examples are among them, with their count and the
// number of the first: dropping them would change what the caller meant to measure. The same
// instruction with other code, as where a question has several answers, is only counted.
absl::StatusOr<DataSplit> SplitDataset(const Dataset& train, const Dataset& validation);

// JSON Lines with the fields "instruction", "code" and, of examples that have some, "attributes";
// ParseDataset reads it back to the same
// digest.
std::string SerializeDataset(const Dataset& dataset);

}  // namespace ddpt
