#include "deploy/tiny/base_trainer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/batch.h"
#include "core/model/codet5p_model.h"
#include "core/model/decoder_trunk.h"
#include "core/model/random_weights.h"
#include "core/text/bpe_trainer.h"
#include "core/text/tokenizer.h"
#include "core/tuning/adamw.h"

namespace ddpt::tiny {
namespace {

struct TokenisedExample {
  std::vector<uint32_t> encoder, prefix, code;
  size_t length() const { return std::max(encoder.size(), prefix.size() + code.size()); }
};

// Fixed, since sums over threads round differently with each number of them.
constexpr int kThreads = 2;
// Batches are cut from this many examples sorted by length, so that little is padded.
constexpr int64_t kBatchesSortedTogether = 8;

absl::Status WriteTokenizer(const Texts& texts, const BaseOptions& options) {
  const std::vector<std::string> special = {"<|endoftext|>"};
  DDPT_ASSIGN_OR_RETURN(const TokenizerFiles files,
                        TrainByteLevelBpe(texts.ForVocabulary(), options.vocabulary, special));
  DDPT_RETURN_IF_ERROR(WriteFileAtomic(options.output + "/vocab.json", files.vocab_json));
  DDPT_RETURN_IF_ERROR(WriteFileAtomic(options.output + "/merges.txt", files.merges_txt));
  return WriteFileAtomic(options.output + "/tokenizer_config.json", files.tokenizer_config_json);
}

void Cut(size_t size, std::vector<uint32_t>& tokens) {
  if (tokens.size() > size) tokens.resize(size);
}

absl::StatusOr<std::vector<TokenisedExample>> DrawSorted(Texts& texts, const Tokenizer& tokenizer,
                                                         const BaseOptions& options,
                                                         uint64_t group) {
  std::vector<TokenisedExample> examples;
  for (const Text& text : texts.Draw(group, options.batch * kBatchesSortedTogether)) {
    TokenisedExample& example = examples.emplace_back();
    DDPT_ASSIGN_OR_RETURN(example.encoder, tokenizer.Encode(text.encoder_text));
    DDPT_ASSIGN_OR_RETURN(example.prefix, tokenizer.Encode(text.decoder_text));
    DDPT_ASSIGN_OR_RETURN(example.code, tokenizer.Encode(text.code));
    example.prefix.insert(example.prefix.begin(), 0);
    example.code.push_back(0);
    Cut(options.max_tokens, example.encoder);
    Cut(options.max_tokens / 2, example.prefix);
    Cut(options.max_tokens - example.prefix.size(), example.code);
  }
  std::stable_sort(examples.begin(), examples.end(),
                   [](const auto& a, const auto& b) { return a.length() < b.length(); });
  return examples;
}

at::Tensor Loss(const LanguageModel& model, std::span<const TokenisedExample> batch) {
  std::vector<std::vector<uint32_t>> encoder, prefixes, codes;
  for (const TokenisedExample& example : batch) {
    encoder.push_back(example.encoder);
    prefixes.push_back(example.prefix);
    codes.push_back(example.code);
  }
  const EncoderBatch input = WithoutPrompt(model, PadIds(encoder, "cpu"));
  const at::Tensor states = model.Encode(input.embeddings, input.mask);
  const TargetBatch targets = BuildTargets(prefixes, codes, "cpu");
  const DecoderTrunk trunk = model.Trunk(targets.decoder_ids, targets.positions);
  const at::Tensor logits = model.Head(trunk, states, input.mask);
  return MeanNll(TargetLogProbs(logits, targets.targets), targets.mask);
}

double LearningRate(const BaseOptions& options, int64_t step) {
  const double warmup = 0.05 * options.steps;
  if (step < warmup) return options.learning_rate * (step + 1) / warmup;
  const double progress = (step - warmup) / (options.steps - warmup);
  return options.learning_rate * (0.02 + 0.49 * (1 + std::cos(std::numbers::pi * progress)));
}

absl::Status Fit(Texts& texts, const Tokenizer& tokenizer, const LanguageModel& model,
                 const StateDict& weights, const BaseOptions& options) {
  AdamW optimizer(weights, {.weight_decay = 0.01, .clip_norm = 1});
  const auto start = std::chrono::steady_clock::now();
  std::vector<TokenisedExample> examples;
  for (int64_t step = 0; step < options.steps; ++step) {
    const int64_t index = step % kBatchesSortedTogether;
    if (index == 0) {
      DDPT_ASSIGN_OR_RETURN(examples,
                            DrawSorted(texts, tokenizer, options, step / kBatchesSortedTogether));
    }
    const at::Tensor loss =
        Loss(model, std::span(examples).subspan(index * options.batch, options.batch));
    loss.backward();
    optimizer.Step(LearningRate(options, step));
    if (step % 50 == 0 || step + 1 == options.steps) {
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      std::printf("step %5ld  loss %.4f nats/token  %6.0f s\n", long(step), loss.item<double>(),
                  seconds.count());
      std::fflush(stdout);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status TrainBase(Texts& texts, const BaseOptions& options) {
  at::set_num_threads(kThreads);
  std::filesystem::create_directories(options.output);
  DDPT_RETURN_IF_ERROR(WriteTokenizer(texts, options));
  DDPT_ASSIGN_OR_RETURN(const auto tokenizer,
                        Tokenizer::Load(options.output, {.spaces_as_tabs = true}));
  Codet5pConfig config = options.geometry;
  config.vocabulary_size = tokenizer->vocab_size();
  config.max_positions = 1024;
  config.start_token = config.end_token = 0;
  DDPT_RETURN_IF_ERROR(ValidateCodet5pConfig(config));
  StateDict weights = RandomCodet5pWeights(config, options.seed, 0.04f);
  for (auto& [name, weight] : weights) weight.set_requires_grad(true);
  DDPT_ASSIGN_OR_RETURN(const auto model, CreateCodet5pModel(config, weights));
  std::printf("%ld parameters, vocabulary %u\n", long(model->geometry().parameters),
              tokenizer->vocab_size());
  DDPT_RETURN_IF_ERROR(Fit(texts, *tokenizer, *model, weights, options));
  return SaveCodet5p(options.output, config, weights, DataType::kFloat32);
}

}  // namespace ddpt::tiny
