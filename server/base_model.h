#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/language_model.h"
#include "core/runtime/stream_pool.h"
#include "core/text/tokenizer.h"
#include "server/condition.h"
#include "server/config.h"

namespace ddpt {

// The frozen model that the server works with, and its tokenizer. Immutable, thread-safe.
struct BaseModel {
  std::string name;  // its directory's
  std::string directory;
  std::shared_ptr<const LanguageModel> model;
  std::shared_ptr<const Tokenizer> tokenizer;
};

// The directory that the settings mean: `--model`, or the embedded model's where it is installed
// with the program or stands in its source tree; "" where there is none or "none" is asked for.
std::string ModelDirectory(const Config& config);

// Loads the model that the settings mean and scores built-in snippets (core/decoding/self_test.h);
// a line to print, and whether the result is plausible. Blocks. Errors are LoadBaseModel's and
// SelfTest's, and NOT_FOUND where there is no model.
absl::StatusOr<std::pair<std::string, bool>> SelfTestModel(const Config& config);

// What --check tells of the model that the settings mean, without loading it: geometry, habits,
// digest, bytes as stored and as kept, and whether the device has room. "" where there is none.
// Blocks for reading all weights, for the digest. Errors are InspectModel's, DigestModel's and the
// tokenizer's.
absl::StatusOr<std::string> DescribeModel(const Config& config);

// Loads a Hugging Face directory. Blocks until every weight is read; `on_progress` is told bytes of
// weights on this thread, see LoadOptions. Errors name the file.
absl::StatusOr<std::shared_ptr<const BaseModel>> LoadBaseModel(
    const std::string& directory, const Config& config,
    const std::function<void(uint64_t done, uint64_t total)>& on_progress = {});

// Generates a token of a built-in instruction, so that the first caller does not wait for what a
// model does once, and a model that cannot answer (its numbers are not finite, the device is full)
// does not get ready. Blocks; throws what LibTorch throws.
absl::Status WarmUp(const BaseModel& base);

// The token ids of an instruction; FieldError for one that is empty, too long or not of this
// vocabulary.
absl::StatusOr<std::vector<uint32_t>> InstructionIds(const BaseModel& base,
                                                     const Instruction& instruction);

// Mean-pooled encoder states of the instruction, computed on `pool`. Both must outlive it.
ConditionEncoder MakeConditionEncoder(std::shared_ptr<const BaseModel> base, StreamPool& pool);

}  // namespace ddpt
