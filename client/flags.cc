#include "client/flags.h"

#include <google/protobuf/descriptor.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <iostream>
#include <iterator>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/bench_model.h"
#include "client/output.h"
#include "client/prompt_file.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/tuning/dataset.h"

namespace ddpt {

constexpr uint64_t kMaxTextBytes = 4 << 20;

CLI::Option* AddEnumFlag(CLI::App& command, const std::string& flag,
                         const google::protobuf::EnumDescriptor& type, const std::string& prefix,
                         std::function<void(int)> set, const std::string& help) {
  std::vector<std::string> words;
  for (int i = 1; i < type.value_count(); ++i) {
    words.push_back(EnumWord(type, type.value(i)->number(), prefix));
  }
  const auto parse = [&type, prefix, set = std::move(set)](const std::string& word) {
    const std::string name = absl::StrReplaceAll(absl::AsciiStrToUpper(word), {{"-", "_"}});
    set(type.FindValueByName(prefix + name)->number());
  };
  return command.add_option_function<std::string>(flag, parse, help)
      ->transform(CLI::IsMember(words, CLI::ignore_case, [](const std::string& word) {
        return absl::StrReplaceAll(word, {{"-", "_"}});
      }));
}

namespace {

void ReadExamples(const std::string& path, v1::Examples& examples) {
  const auto bytes = ReadFile(path, kMaxTextBytes);
  if (!bytes.ok()) throw CLI::ValidationError(std::string(bytes.status().message()));
  const auto dataset = ParseDataset(*bytes, {.kind = DatasetFormat::Kind::kJsonLines});
  if (!dataset.ok()) {
    throw CLI::ValidationError(path + ": " + std::string(dataset.status().message()));
  }
  for (const TrainingExample& read : dataset->examples) {
    v1::Example& example = *examples.add_examples();
    example.set_instruction(read.instruction);
    example.set_code(read.code);
    *example.mutable_attributes() = {read.attributes.begin(), read.attributes.end()};
  }
}

}  // namespace

void AddAttributeFlag(CLI::App& command,
                      google::protobuf::Map<std::string, std::string>& attributes) {
  command.add_option_function<std::vector<std::string>>(
      "--attribute",
      [&](const std::vector<std::string>& pairs) {
        for (const std::string& pair : pairs) {
          const size_t equals = pair.find('=');
          if (equals == std::string::npos) {
            throw CLI::ValidationError("--attribute", pair + " is not NAME=VALUE");
          }
          attributes[pair.substr(0, equals)] = pair.substr(equals + 1);
        }
      },
      "NAME=VALUE for conditional tasks that were trained with it; may be given again");
}

void AddSamplingFlags(CLI::App& command, v1::SamplingOptions& sampling) {
  AddEnumFlag(
      command, "--sampler", *v1::Sampler_descriptor(), "SAMPLER_",
      [&](int value) { sampling.set_sampler(static_cast<v1::Sampler>(value)); },
      "Default: ddim, or residual for a denoiser of that reading");
  command.add_option_function<uint32_t>(
      "--steps", [&](uint32_t value) { sampling.set_steps(value); }, "Reverse steps; default 2000");
  command.add_option_function<double>(
      "--eta", [&](double value) { sampling.set_eta(value); },
      "Stochasticity of ddim, 0 to 1; default 0");
  command.add_option_function<uint64_t>(
      "--seed", [&](uint64_t value) { sampling.set_seed(value); }, "Default: drawn by the server");
  command.add_option_function<double>(
      "--guidance", [&](double value) { sampling.set_guidance_scale(value); },
      "Classifier-free guidance weight, 0 to 20; default 1");
  command.add_option_function<uint32_t>(
      "--best-of", [&](uint32_t value) { sampling.set_best_of(value); },
      "Candidates per prompt; the best on the task's validation set is kept; default 1");
  command.add_option_function<std::string>(
      "--best-of-examples",
      [&](const std::string& path) { ReadExamples(path, *sampling.mutable_best_of_examples()); },
      "With --best-of: choose by the examples of this JSON Lines file instead");
  command.add_flag_callback(
      "--anytime", [&] { sampling.set_anytime(true); },
      "Take as many steps as the timeout has room for, --steps at most");
  command.add_flag_callback(
      "--full-space-noise", [&] { sampling.set_full_space_noise(true); },
      "Draw step noise in the full space, by the reference loop");
}

void AddDecodingFlags(CLI::App& command, v1::DecodingOptions& decoding) {
  const auto number = [&](const char* flag, void (v1::DecodingOptions::*set)(uint32_t),
                          const char* help) {
    command.add_option_function<uint32_t>(
        flag, [&decoding, set](uint32_t value) { (decoding.*set)(value); }, help);
  };
  const auto real = [&](const char* flag, void (v1::DecodingOptions::*set)(double),
                        const char* help) {
    command.add_option_function<double>(
        flag, [&decoding, set](double value) { (decoding.*set)(value); }, help);
  };
  number("--max-new-tokens", &v1::DecodingOptions::set_max_new_tokens, "Default 256");
  real("--temperature", &v1::DecodingOptions::set_temperature, "0 (default): greedy");
  real("--top-p", &v1::DecodingOptions::set_top_p, "Nucleus mass; default 1");
  number("--top-k", &v1::DecodingOptions::set_top_k, "0 (default): all tokens");
  number("--beams", &v1::DecodingOptions::set_num_beams, "Beams; default 1");
  real("--length-penalty", &v1::DecodingOptions::set_length_penalty, "Of beam search; default 1");
  real("--repetition-penalty", &v1::DecodingOptions::set_repetition_penalty, "Default 1");
  number("--candidates", &v1::DecodingOptions::set_best_of,
         "Answers drawn, of which the likeliest are kept; needs --temperature; default: each is");
  command.add_option_function<uint64_t>(
      "--decoding-seed", [&](uint64_t value) { decoding.set_seed(value); },
      "Of drawn tokens; default: drawn by the server");
  command.add_option_function<std::vector<std::string>>(
      "--stop",
      [&](const std::vector<std::string>& stops) {
        decoding.mutable_stop()->Assign(stops.begin(), stops.end());
      },
      "Ends the answer before this text; may be given again");
}

void AddDecoderPrefixFlag(CLI::App& command, std::function<void(v1::DecoderPrefix)> set) {
  AddEnumFlag(
      command, "--decoder-prefix", *v1::DecoderPrefix_descriptor(), "DECODER_PREFIX_",
      [set = std::move(set)](int value) { set(static_cast<v1::DecoderPrefix>(value)); },
      "What precedes the answer in the decoder; default: the model's habit");
}

void PromptFlags::Add(CLI::App& command) {
  CLI::App* group = command.add_option_group("Prompt", "none: the instruction alone");
  group->require_option(0, 1);
  group->add_option_function<std::string>(
      "--task", [this](const std::string& value) { source_.set_task(value); },
      "The server samples a prompt of this task");
  group->add_option_function<std::string>(
      "--prompt-id", [this](const std::string& value) { source_.set_prompt_id(value); },
      "A prompt that was sampled before");
  group->add_option_function<std::string>(
      "--prompt-text", [this](const std::string& value) { source_.set_text(value); },
      "A manual prompt in words");
  group->add_option("--prompt-file", file_, "A file that `ddpt sample --out` wrote");
  command.add_option("--prompt-index", index_, "Which prompt of that file; default 0");
  AddAttributeFlag(command, *source_.mutable_attributes());
  command.add_flag_callback(
      "--manual-in-decoder", [this] { source_.set_manual_in_decoder(true); },
      "Puts the manual prompt before the instruction in the decoder too");
}

absl::StatusOr<v1::PromptSource> PromptFlags::Resolve() const {
  v1::PromptSource source = source_;
  if (!file_.empty()) {
    DDPT_ASSIGN_OR_RETURN(*source.mutable_embedding(), ReadPrompt(file_, index_));
  }
  return source;
}

void AddBenchModelFlags(CLI::App& command, BenchModelOptions& options, std::string& dtype) {
  command.add_option("--model", options.model, "Hugging Face directory; default: random weights");
  command.add_option("--dtype", dtype, "auto, float32, bfloat16, float16 (GPU), int8")
      ->capture_default_str();
  command.add_option("--device", options.device, "cpu, or cuda:N")->capture_default_str();
  command.add_option("--threads", options.threads, "Threads of a run")->capture_default_str();
}

absl::StatusOr<std::string> TextOrFile(const std::string& text, const std::string& path) {
  if (path.empty()) return text;
  if (path != "-") return ReadFile(path, kMaxTextBytes);
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

}  // namespace ddpt
