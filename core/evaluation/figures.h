#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/evaluation/bleu.h"
#include "core/evaluation/chrf.h"
#include "core/evaluation/code_bleu.h"
#include "core/evaluation/wordnet.h"

namespace ddpt {

// All figures of predictions against one reference each, 0 to 1, by name and in this order: BLEU-4
// in the variants of bleu.h, chrF, ROUGE-L, METEOR, the share of predictions that are the reference
// byte for byte; then, where the language is known, CodeBLEU as the package codebleu has it, the
// strict one, and their components.
inline constexpr std::array<std::string_view, 15> kFigureNames = {"bleu4",
                                                                  "bleu4_conala",
                                                                  "bleu4_codexglue",
                                                                  "bleu4_huggingface",
                                                                  "bleu4_sacrebleu",
                                                                  "chrf",
                                                                  "rouge_l",
                                                                  "meteor",
                                                                  "exact_match",
                                                                  "code_bleu",
                                                                  "code_bleu_strict",
                                                                  "code_bleu_ngram",
                                                                  "code_bleu_weighted_ngram",
                                                                  "code_bleu_syntax",
                                                                  "code_bleu_data_flow"};
inline constexpr size_t kTextFigures = 9;  // those that need no language come first

using Figures = std::array<double, kFigureNames.size()>;

// What the figures need to know of one example, or of many: then each number is the sum.
struct ExampleCounts {
  std::array<BleuCounts, 5> bleu;
  ChrfCounts chrf;
  double rouge_l = 0;
  double meteor = 0;
  uint64_t exact = 0;
  uint64_t examples = 0;
  CodeBleuCounts code_bleu = {};  // zeros without a language

  ExampleCounts& operator+=(const ExampleCounts& other);
};

struct FigureOptions {
  std::optional<CodeLanguage> language = std::nullopt;  // of all codes; none: no CodeBLEU
  WordNet* wordnet = nullptr;                           // for METEOR's synonyms; null: none
  size_t threads = 1;                                   // no figure depends on it
  StopToken stop = {};                                  // looked at before each example
};

// Of each prediction and the reference in the same place; there are as many of both. A code that
// comes again is parsed once. Errors only with a language: those of ParseCode for the first example
// that has one, which tell the example, from 1 on, and the side; and that of `stop`. Blocks.
absl::StatusOr<std::vector<ExampleCounts>> CountExamples(std::span<const std::string> predictions,
                                                         std::span<const std::string> references,
                                                         const FigureOptions& options = {});

// Of summed counts; at least one example. Those of CodeBLEU say nothing without a language.
Figures FiguresOf(const ExampleCounts& sum);

ExampleCounts Sum(std::span<const ExampleCounts> examples);

}  // namespace ddpt
