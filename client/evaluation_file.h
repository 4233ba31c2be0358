#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "ddpt/v1/evaluation.pb.h"

namespace ddpt {

// An evaluation with all that came of it, as `ddpt evaluate --outcomes FILE` writes it and `ddpt
// report` reads it: a JSON object.
struct EvaluationFile {
  struct Contender {
    std::string name;
    std::string prompt;  // as --contender has it: "task:house@20"
  };
  struct Example {
    std::string instruction;
    std::string reference;
    std::map<std::string, std::string> codes;  // by contender
  };
  std::string model;           // name of the base model
  std::string dataset_digest;  // SHA-256, hexadecimal
  std::string language;        // of CodeBLEU; "": none
  uint32_t resamples = 0;      // of the intervals; 0: cells have none
  uint64_t seed = 0;
  std::vector<Contender> contenders = {};
  std::vector<v1::EvaluateResponse::Cell> table = {};
  std::vector<Example> examples = {};
};

// Block on the file system. Reading: at most 1 GiB; InvalidArgument tells what a file lacks that
// is no such file.
absl::Status WriteEvaluationFile(const std::string& path, const EvaluationFile& evaluation);
absl::StatusOr<EvaluationFile> ReadEvaluationFile(const std::string& path);

}  // namespace ddpt
