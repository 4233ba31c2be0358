#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/evaluation/bleu.h"
#include "core/evaluation/chrf.h"

namespace ddpt {

// All figures of predictions against one reference each, 0 to 1, by name and in this order: BLEU-4
// in the variants of bleu.h, chrF, ROUGE-L, METEOR, and the share of predictions that are the
// reference byte for byte.
inline constexpr std::array<std::string_view, 9> kFigureNames = {
    "bleu4", "bleu4_conala", "bleu4_codexglue", "bleu4_huggingface", "bleu4_sacrebleu",
    "chrf",  "rouge_l",      "meteor",          "exact_match"};

using Figures = std::array<double, kFigureNames.size()>;

// What the figures need to know of one example, or of many: then each number is the sum.
struct ExampleCounts {
  std::array<BleuCounts, 5> bleu;
  ChrfCounts chrf;
  double rouge_l = 0;
  double meteor = 0;
  uint64_t exact = 0;
  uint64_t examples = 0;

  ExampleCounts& operator+=(const ExampleCounts& other);
};

// Of each prediction and the reference in the same place; there are as many of both.
std::vector<ExampleCounts> CountExamples(std::span<const std::string> predictions,
                                         std::span<const std::string> references);

// Of summed counts; at least one example.
Figures FiguresOf(const ExampleCounts& sum);

ExampleCounts Sum(std::span<const ExampleCounts> examples);

}  // namespace ddpt
