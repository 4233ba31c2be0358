// What `ddpt evaluate` takes for each figure:
//
//   time-metrics LANGUAGE PREDICTIONS.jsonl REFERENCES.jsonl
//
// Prints one JSON object: processor seconds of one thread by figure, over all pairs.
#include <ctime>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/base/status.h"
#include "core/evaluation/bleu.h"
#include "core/evaluation/chrf.h"
#include "core/evaluation/code_bleu.h"
#include "core/evaluation/meteor.h"
#include "core/evaluation/rouge.h"

namespace ddpt {
namespace {

using Count = std::function<void(const std::string& prediction, const std::string& reference)>;

constexpr size_t kMaxBytes = size_t{1} << 30;

std::vector<std::string> ReadCodes(const char* path) {
  std::vector<std::string> codes;
  const std::string lines = ReadFile(path, kMaxBytes).value();
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = lines.find('\n', begin);
    codes.push_back(nlohmann::json::parse(lines.substr(begin, end - begin)).get<std::string>());
    begin = end + 1;
  }
  return codes;
}

Count CountVariant(const BleuVariant& variant) {
  return [variant](const std::string& prediction, const std::string& reference) {
    CountBleu(prediction, reference, variant);
  };
}

void Main(const char* language_name, const char* predictions_path, const char* references_path) {
  const CodeLanguage language = CodeLanguageOf(language_name).value();
  const auto predictions = ReadCodes(predictions_path), references = ReadCodes(references_path);
  const std::vector<std::pair<const char*, Count>> counts = {
      {"conala", CountVariant(kConalaBleu)},
      {"codexglue", CountVariant(kCodeXglueBleu)},
      {"huggingface", CountVariant(kHuggingFaceBleu)},
      {"sacrebleu", CountVariant(kSacreBleu)},
      {"chrf", CountChrf},
      {"rouge_l", RougeL},
      {"meteor", [](const auto& one, const auto& other) { Meteor(one, other); }},
      {"code_bleu", [&](const auto& one, const auto& other) {
         CountCodeBleu(ParseCode(one, language).value(), ParseCode(other, language).value(),
                       language);
       }}};
  nlohmann::json seconds;
  for (const auto& [name, count] : counts) {
    const std::clock_t start = std::clock();
    for (size_t i = 0; i < predictions.size(); ++i) count(predictions[i], references[i]);
    seconds[name] = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  }
  std::cout << seconds << "\n";
}

}  // namespace
}  // namespace ddpt

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  ddpt::Main(argv[1], argv[2], argv[3]);
}
