#include "deploy/tiny/texts.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/tuning/batch_order.h"
#include "deploy/tiny/corpus.h"

namespace ddpt::tiny {
namespace {

constexpr uint64_t kVocabularyTexts = 6000;
constexpr uint64_t kFileLimit = uint64_t{256} << 20;

class Generated : public Texts {
 public:
  Generated(std::shared_ptr<const Corpus> corpus, uint64_t seed)
      : corpus_(std::move(corpus)), seed_(seed) {}

  std::vector<Text> Draw(uint64_t group, uint64_t count) override {
    std::vector<Text> texts;
    for (uint64_t i = 0; i < count; ++i) {
      CorpusExample example = corpus_->Example(seed_, Split::kTrain, group * count + i);
      texts.push_back({std::move(example.encoder_text), std::move(example.decoder_text),
                       std::move(example.code)});
    }
    return texts;
  }

  std::vector<std::string> ForVocabulary() const override {
    std::vector<std::string> texts;
    for (uint64_t i = 0; i < kVocabularyTexts; ++i) {
      const CorpusExample example = corpus_->Example(seed_ + 1, Split::kTrain, i);
      texts.push_back(example.encoder_text);
      texts.push_back(example.code);
    }
    return texts;
  }

 private:
  const std::shared_ptr<const Corpus> corpus_;
  const uint64_t seed_;
};

class OfFile : public Texts {
 public:
  OfFile(std::vector<Text> texts, uint64_t seed)
      : texts_(std::move(texts)), order_(seed, texts_.size()) {}

  std::vector<Text> Draw(uint64_t group, uint64_t count) override {
    std::vector<Text> drawn;
    for (const uint64_t index : order_.Batch(group, count)) drawn.push_back(texts_[index]);
    return drawn;
  }

  std::vector<std::string> ForVocabulary() const override {
    std::vector<std::string> texts;
    for (const Text& text : texts_) {
      texts.push_back(text.encoder_text);
      texts.push_back(text.code);
    }
    return texts;
  }

 private:
  const std::vector<Text> texts_;
  BatchOrder order_;
};

absl::StatusOr<Text> ParseText(absl::string_view line) {
  const auto json = nlohmann::json::parse(line.begin(), line.end(), nullptr,
                                          /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("is no JSON object");
  for (const char* field : {"instruction", "code", "encoder_text"}) {
    const bool optional = std::string_view(field) == "encoder_text";
    if (json.contains(field) ? !json[field].is_string() : !optional) {
      return absl::InvalidArgumentError(absl::StrCat("has no string \"", field, "\""));
    }
  }
  const std::string instruction = json["instruction"];
  return Text{json.value("encoder_text", instruction), instruction, json["code"]};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Texts>> GeneratedTexts(const std::string& folder, uint64_t seed) {
  DDPT_ASSIGN_OR_RETURN(auto corpus, Corpus::Load(folder));
  return std::make_unique<Generated>(std::move(corpus), seed);
}

absl::StatusOr<std::unique_ptr<Texts>> TextsOfFile(const std::string& path, uint64_t seed) {
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kFileLimit));
  std::vector<Text> texts;
  size_t number = 0;
  for (const absl::string_view line : absl::StrSplit(bytes, '\n')) {
    ++number;
    if (line.empty()) continue;
    auto text = ParseText(line);
    if (!text.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " line ", number, ": ", text.status().message()));
    }
    texts.push_back(*std::move(text));
  }
  if (texts.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": holds no example"));
  return std::make_unique<OfFile>(std::move(texts), seed);
}

}  // namespace ddpt::tiny
