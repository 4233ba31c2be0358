#include "core/evaluation/figures.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/parallel.h"
#include "core/base/status.h"
#include "core/evaluation/meteor.h"
#include "core/evaluation/rouge.h"
#include "core/evaluation/words.h"

namespace ddpt {
namespace {

constexpr std::array<BleuVariant, 5> kVariants = {kCodeTokenBleu, kConalaBleu, kCodeXglueBleu,
                                                  kHuggingFaceBleu, kSacreBleu};
constexpr size_t kHuggingFace = 3, kSacre = 4;  // of them

bool EndsInSpace(std::string_view text) { return WithoutTrailingSpace(text) != text; }

std::array<BleuCounts, 5> CountBleus(std::string_view prediction, std::string_view reference) {
  std::array<BleuCounts, 5> counts;
  for (size_t i = 0; i < counts.size(); ++i) {
    // Both take the same tokens but for white space at the end.
    const bool known = i == kSacre && !EndsInSpace(prediction) && !EndsInSpace(reference);
    counts[i] = known ? counts[kHuggingFace] : CountBleu(prediction, reference, kVariants[i]);
  }
  return counts;
}

// By their text.
using ParsedCodes = absl::flat_hash_map<std::string_view, ParsedCode>;

absl::StatusOr<ParsedCodes> ParseAll(std::span<const std::string> predictions,
                                     std::span<const std::string> references, CodeLanguage language,
                                     const FigureOptions& options) {
  struct Code {
    std::string_view text;
    size_t example;
    const char* side;
  };
  absl::flat_hash_set<std::string_view> met;
  std::vector<Code> codes;
  for (size_t i = 0; i < predictions.size(); ++i) {
    if (met.insert(predictions[i]).second) codes.push_back({predictions[i], i, "prediction"});
    if (met.insert(references[i]).second) codes.push_back({references[i], i, "reference"});
  }
  std::vector<absl::StatusOr<ParsedCode>> parsed(codes.size());
  ForEachInParallel(codes.size(), options.threads, [&](size_t i) {
    if (!options.stop.stopped()) parsed[i] = ParseCode(codes[i].text, language);
  });
  DDPT_RETURN_IF_ERROR(options.stop.status());
  ParsedCodes all;
  all.reserve(codes.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    if (!parsed[i].ok()) {
      return absl::Status(parsed[i].status().code(),
                          absl::StrCat("example ", codes[i].example + 1, ", ", codes[i].side, ": ",
                                       parsed[i].status().message()));
    }
    all.emplace(codes[i].text, *std::move(parsed[i]));
  }
  return all;
}

ExampleCounts CountTexts(std::string_view prediction, std::string_view reference,
                         WordNet* wordnet) {
  return {.bleu = CountBleus(prediction, reference),
          .chrf = CountChrf(prediction, reference),
          .rouge_l = RougeL(prediction, reference),
          .meteor = Meteor(prediction, reference, wordnet),
          .exact = prediction == reference ? uint64_t{1} : 0,
          .examples = 1};
}

}  // namespace

ExampleCounts& ExampleCounts::operator+=(const ExampleCounts& other) {
  for (size_t i = 0; i < bleu.size(); ++i) bleu[i] += other.bleu[i];
  chrf += other.chrf;
  rouge_l += other.rouge_l;
  meteor += other.meteor;
  exact += other.exact;
  examples += other.examples;
  if (other.code_bleu.examples > 0) code_bleu += other.code_bleu;
  return *this;
}

absl::StatusOr<std::vector<ExampleCounts>> CountExamples(std::span<const std::string> predictions,
                                                         std::span<const std::string> references,
                                                         const FigureOptions& options) {
  ParsedCodes parsed;
  if (options.language) {
    DDPT_ASSIGN_OR_RETURN(parsed, ParseAll(predictions, references, *options.language, options));
  }
  std::vector<ExampleCounts> examples(predictions.size());
  ForEachInParallel(examples.size(), options.threads, [&](size_t i) {
    if (options.stop.stopped()) return;
    examples[i] = CountTexts(predictions[i], references[i], options.wordnet);
    if (!options.language) return;
    examples[i].code_bleu =
        CountCodeBleu(parsed.at(predictions[i]), parsed.at(references[i]), *options.language);
  });
  DDPT_RETURN_IF_ERROR(options.stop.status());
  return examples;
}

Figures FiguresOf(const ExampleCounts& sum) {
  const auto examples = static_cast<double>(sum.examples);
  Figures figures;
  for (size_t i = 0; i < kVariants.size(); ++i) {
    figures[i] = Bleu(sum.bleu[i], kVariants[i].corpus);
  }
  figures[5] = Chrf(sum.chrf);
  figures[6] = sum.rouge_l / examples;
  figures[7] = sum.meteor / examples;
  figures[8] = static_cast<double>(sum.exact) / examples;
  const CodeBleu code = ScoreCodeBleu(sum.code_bleu);
  figures[9] = code.compat;
  figures[10] = code.strict;
  figures[11] = code.ngram;
  figures[12] = code.weighted_ngram;
  figures[13] = code.syntax;
  figures[14] = code.data_flow;
  return figures;
}

ExampleCounts Sum(std::span<const ExampleCounts> examples) {
  ExampleCounts sum;
  for (const ExampleCounts& example : examples) sum += example;
  return sum;
}

}  // namespace ddpt
