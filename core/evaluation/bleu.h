#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/evaluation/bleu_tokens.h"
#include "core/evaluation/words.h"

namespace ddpt {

// BLEU-4 of code against one reference each (Papineni et al. 2002), 0 to 1. Figures that go by this
// name differ by tens of points on short code. Common to all here: n-gram counts and lengths are
// summed over the examples, then divided: the geometric mean of the clipped precisions of orders 1
// to 4, times exp(1 - r / c) where the predictions have c tokens, fewer than the references' r. 0
// where either side has no token at all. What differs is the tokens and how counts of 0 are met:
enum class BleuSmoothing {
  kNone,          // an order without a match makes the figure 0
  kAddOne,        // 1 is added to both counts of every order (after Lin and Och 2004)
  kAddOneAbove1,  // 1 is added to both counts of orders 2 to 4; 0 without a common token
  kExponential,   // the k-th order without a match counts as 1 / 2^k of one; 0 without a common
                  // token (NIST's mteval)
};

struct BleuFormula {
  BleuSmoothing smoothing;
  bool effective_order = false;  // orders longer than every prediction are left out of the mean;
                                 // else one makes the figure 0, unless 1 is added
};

struct BleuVariant {
  std::vector<std::string> (*tokens)(std::string_view code);
  BleuFormula corpus;
  BleuFormula sentence;  // of one example; means of it are not the corpus's figure
};

// Ours, made for short code: identical texts score 1 however short they are. sacrebleu's corpus
// score with smoothing "none" and its sentence score with "add-k" (k = 1), both with effective
// order, of CodeTokens joined by spaces (tokenizer "none").
inline constexpr BleuVariant kCodeTokenBleu = {
    CodeTokens, {BleuSmoothing::kNone, true}, {BleuSmoothing::kAddOneAbove1, true}};
// The CoNaLa challenge's own (conala-baseline, eval/conala_eval.py).
inline constexpr BleuVariant kConalaBleu = {
    ConalaTokens, {BleuSmoothing::kNone}, {BleuSmoothing::kNone}};
// `_bleu` of CodeXGLUE and CodeT5 (evaluator/bleu.py), of each code written on one line.
inline constexpr BleuVariant kCodeXglueBleu = {
    SplitWords, {BleuSmoothing::kAddOne}, {BleuSmoothing::kAddOne}};
// Hugging Face evaluate's `bleu` with smooth=True.
inline constexpr BleuVariant kHuggingFaceBleu = {
    Tokens13a, {BleuSmoothing::kAddOne}, {BleuSmoothing::kAddOne}};
// sacrebleu's default, and its sentence_bleu.
inline constexpr BleuVariant kSacreBleu = {
    TrimmedTokens13a, {BleuSmoothing::kExponential}, {BleuSmoothing::kExponential, true}};

// What BLEU needs to know of one example, or of many: then each number is the sum.
struct BleuCounts {
  std::array<uint64_t, 4> matches{};  // n-grams of the prediction that the reference has too, each
                                      // at most as often as it does; by order
  std::array<uint64_t, 4> totals{};   // n-grams of the prediction
  uint64_t prediction_tokens = 0;
  uint64_t reference_tokens = 0;

  BleuCounts& operator+=(const BleuCounts& other);
};

BleuCounts CountBleu(std::string_view prediction, std::string_view reference,
                     const BleuVariant& variant);

double Bleu(const BleuCounts& counts, const BleuFormula& formula);

}  // namespace ddpt
