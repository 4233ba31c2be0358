#include "core/evaluation/figures.h"

#include "absl/strings/str_cat.h"
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

absl::StatusOr<ExampleCounts> CountExample(std::string_view prediction, std::string_view reference,
                                           const FigureOptions& options) {
  ExampleCounts counts{.bleu = CountBleus(prediction, reference),
                       .chrf = CountChrf(prediction, reference),
                       .rouge_l = RougeL(prediction, reference),
                       .meteor = Meteor(prediction, reference, options.wordnet),
                       .exact = prediction == reference ? uint64_t{1} : 0,
                       .examples = 1};
  if (options.language) {
    DDPT_ASSIGN_OR_RETURN(counts.code_bleu,
                          CountCodeBleu(prediction, reference, *options.language));
  }
  return counts;
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
  std::vector<ExampleCounts> examples;
  examples.reserve(predictions.size());
  for (size_t i = 0; i < predictions.size(); ++i) {
    absl::StatusOr<ExampleCounts> counts = CountExample(predictions[i], references[i], options);
    if (!counts.ok()) {
      return absl::Status(counts.status().code(),
                          absl::StrCat("example ", i + 1, ", ", counts.status().message()));
    }
    examples.push_back(*counts);
  }
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
