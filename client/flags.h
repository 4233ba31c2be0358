#pragma once

#include <google/protobuf/map.h>

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "ddpt/v1/code.pb.h"
#include "ddpt/v1/prompt.pb.h"
#include "ddpt/v1/tensor.pb.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace google::protobuf {
class EnumDescriptor;
}

namespace ddpt {

struct BenchModelOptions;

// Flags that several commands share. They write into messages, which must outlive the parsing.

// `flag` WORD, where WORD is an enumerator's name without `prefix`, in any case, with - or _
// between its parts: `--sampler ddim` for SAMPLER_DDIM. The unspecified one cannot be named.
CLI::Option* AddEnumFlag(CLI::App& command, const std::string& flag,
                         const google::protobuf::EnumDescriptor& type, const std::string& prefix,
                         std::function<void(int)> set, const std::string& help);

// --sampler --steps --eta --seed --guidance --best-of --best-of-examples
// --anytime --full-space-noise
void AddSamplingFlags(CLI::App& command, v1::SamplingOptions& sampling);

// --attribute
void AddAttributeFlag(CLI::App& command,
                      google::protobuf::Map<std::string, std::string>& attributes);

// --max-new-tokens --temperature --top-p --top-k --beams --length-penalty --repetition-penalty
// --decoding-seed --stop
void AddDecodingFlags(CLI::App& command, v1::DecodingOptions& decoding);

// --decoder-prefix
void AddDecoderPrefixFlag(CLI::App& command, std::function<void(v1::DecoderPrefix)> set);

// The prompt that a command works under: at most one of --task, --prompt-id (both with
// --attribute), --prompt-text and --prompt-file (with --prompt-index).
class PromptFlags {
 public:
  void Add(CLI::App& command);
  // After parsing. Reads the file, if that is what was named.
  absl::StatusOr<v1::PromptSource> Resolve() const;

 private:
  v1::PromptSource source_;
  std::string file_;
  uint64_t index_ = 0;
};

// --model --dtype --device --threads of a benchmark that needs no server. `dtype` is a word for
// ParseModelDtype.
void AddBenchModelFlags(CLI::App& command, BenchModelOptions& options, std::string& dtype);

// The text after reading the file at `path` (standard input for "-"), or `text` where `path` is "".
absl::StatusOr<std::string> TextOrFile(const std::string& text, const std::string& path);

}  // namespace ddpt
