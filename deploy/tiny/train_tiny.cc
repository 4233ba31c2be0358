// ddpt-tiny: trains the embedded base model from scratch on the generated corpus and writes it as a
// Hugging Face directory.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numbers>
#include <utility>

#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/batch.h"
#include "core/model/codet5p_config.h"
#include "core/model/codet5p_model.h"
#include "core/model/decoder_trunk.h"
#include "core/model/random_weights.h"
#include "core/text/bpe_trainer.h"
#include "core/text/tokenizer.h"
#include "core/tuning/adamw.h"
#include "deploy/tiny/corpus.h"

namespace ddpt::tiny {
namespace {

struct Flags {
  std::string corpus = "deploy/tiny";
  std::string output = "deploy/models/codet5p-tiny";
  uint64_t seed = 1;
  int64_t steps = 3000;
  int64_t batch = 64;
  double learning_rate = 2e-3;
  uint32_t vocabulary = 768;
};

struct TokenisedExample {
  std::vector<uint32_t> encoder, prefix, code;
  size_t length() const { return std::max(encoder.size(), prefix.size() + code.size()); }
};

// Fixed, since sums over threads round differently with each number of them.
constexpr int kThreads = 2;
// Batches are cut from this many examples sorted by length, so that little is padded.
constexpr int64_t kBatchesSortedTogether = 8;
constexpr uint64_t kVocabularyTexts = 6000;

absl::Status WriteTokenizer(const Corpus& corpus, const Flags& flags) {
  std::vector<std::string> texts;
  for (uint64_t i = 0; i < kVocabularyTexts; ++i) {
    const CorpusExample example = corpus.Example(flags.seed + 1, Split::kTrain, i);
    texts.push_back(example.encoder_text);
    texts.push_back(example.code);
  }
  const std::vector<std::string> special = {"<|endoftext|>"};
  DDPT_ASSIGN_OR_RETURN(const TokenizerFiles files,
                        TrainByteLevelBpe(texts, flags.vocabulary, special));
  DDPT_RETURN_IF_ERROR(WriteFileAtomic(flags.output + "/vocab.json", files.vocab_json));
  DDPT_RETURN_IF_ERROR(WriteFileAtomic(flags.output + "/merges.txt", files.merges_txt));
  return WriteFileAtomic(flags.output + "/tokenizer_config.json", files.tokenizer_config_json);
}

Codet5pConfig Geometry(uint32_t vocabulary) {
  Codet5pConfig config;
  config.encoder = {.width = 128, .layers = 3, .heads = 4, .rotary_dim = 16, .inner = 512};
  config.decoder = {.width = 192, .layers = 4, .heads = 4, .rotary_dim = 16, .inner = 768};
  config.vocabulary_size = vocabulary;
  config.max_positions = 1024;
  config.start_token = config.end_token = 0;
  return config;
}

absl::StatusOr<std::vector<TokenisedExample>> DrawSorted(const Corpus& corpus,
                                                         const Tokenizer& tokenizer,
                                                         const Flags& flags, uint64_t group) {
  std::vector<TokenisedExample> examples;
  const uint64_t count = flags.batch * kBatchesSortedTogether;
  for (uint64_t i = 0; i < count; ++i) {
    const CorpusExample text = corpus.Example(flags.seed, Split::kTrain, group * count + i);
    TokenisedExample& example = examples.emplace_back();
    DDPT_ASSIGN_OR_RETURN(example.encoder, tokenizer.Encode(text.encoder_text));
    DDPT_ASSIGN_OR_RETURN(example.prefix, tokenizer.Encode(text.decoder_text));
    DDPT_ASSIGN_OR_RETURN(example.code, tokenizer.Encode(text.code));
    example.prefix.insert(example.prefix.begin(), 0);
    example.code.push_back(0);
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

// Linear warm-up over 5 %, then a cosine to 2 %.
double LearningRate(const Flags& flags, int64_t step) {
  const double warmup = 0.05 * flags.steps;
  if (step < warmup) return flags.learning_rate * (step + 1) / warmup;
  const double progress = (step - warmup) / (flags.steps - warmup);
  return flags.learning_rate * (0.02 + 0.49 * (1 + std::cos(std::numbers::pi * progress)));
}

absl::Status Train(const Corpus& corpus, const Flags& flags) {
  std::filesystem::create_directories(flags.output);
  DDPT_RETURN_IF_ERROR(WriteTokenizer(corpus, flags));
  DDPT_ASSIGN_OR_RETURN(const auto tokenizer,
                        Tokenizer::Load(flags.output, {.spaces_as_tabs = true}));
  const Codet5pConfig config = Geometry(tokenizer->vocab_size());
  StateDict weights = RandomCodet5pWeights(config, flags.seed, 0.04f);
  for (auto& [name, weight] : weights) weight.set_requires_grad(true);
  DDPT_ASSIGN_OR_RETURN(const auto model, CreateCodet5pModel(config, weights));
  std::printf("%ld parameters, vocabulary %u\n", long(model->geometry().parameters),
              tokenizer->vocab_size());

  AdamW optimizer(weights, {.weight_decay = 0.01, .clip_norm = 1});
  const auto start = std::chrono::steady_clock::now();
  std::vector<TokenisedExample> examples;
  for (int64_t step = 0; step < flags.steps; ++step) {
    const int64_t index = step % kBatchesSortedTogether;
    if (index == 0) {
      DDPT_ASSIGN_OR_RETURN(examples,
                            DrawSorted(corpus, *tokenizer, flags, step / kBatchesSortedTogether));
    }
    const at::Tensor loss =
        Loss(*model, std::span(examples).subspan(index * flags.batch, flags.batch));
    loss.backward();
    optimizer.Step(LearningRate(flags, step));
    if (step % 50 == 0 || step + 1 == flags.steps) {
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      std::printf("step %5ld  loss %.4f nats/token  %6.0f s\n", long(step), loss.item<double>(),
                  seconds.count());
      std::fflush(stdout);
    }
  }
  return SaveCodet5p(flags.output, config, weights, DataType::kFloat32);
}

absl::Status Run(const Flags& flags) {
  at::set_num_threads(kThreads);
  DDPT_ASSIGN_OR_RETURN(const auto corpus, Corpus::Load(flags.corpus));
  return Train(*corpus, flags);
}

}  // namespace
}  // namespace ddpt::tiny

int main(int argc, char** argv) {
  ddpt::tiny::Flags flags;
  CLI::App app("Trains the embedded base model from scratch on the generated corpus");
  app.add_option("--corpus", flags.corpus, "folder of corpus.json")->capture_default_str();
  app.add_option("--output", flags.output, "Hugging Face directory to write")
      ->capture_default_str();
  app.add_option("--seed", flags.seed, "of weights and corpus")->capture_default_str();
  app.add_option("--steps", flags.steps, "optimizer steps")->capture_default_str();
  app.add_option("--batch", flags.batch, "examples a step")->capture_default_str();
  app.add_option("--learning-rate", flags.learning_rate, "peak")->capture_default_str();
  app.add_option("--vocabulary", flags.vocabulary, "tokens at most")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = ddpt::tiny::Run(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "ddpt-tiny: %s\n", status.ToString().c_str());
  return 1;
}
