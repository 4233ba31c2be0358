#include "deploy/tiny/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "core/base/digest.h"
#include "core/base/file.h"

namespace ddpt::tiny {
namespace {

using testing::HasSubstr;

constexpr int kExamples = 5000;

class CorpusTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { corpus_ = Corpus::Load(DDPT_TINY_DIR).value(); }

  static std::set<std::string> Words(const std::string& text) {
    std::istringstream stream(text);
    return {std::istream_iterator<std::string>(stream), {}};
  }

  static inline std::shared_ptr<const Corpus> corpus_;
};

TEST_F(CorpusTest, HasSixtyIntentsWithSixPhrasingsEach) {
  const auto& intents = corpus_->definition().intents;
  EXPECT_GE(intents.size(), 60u);
  for (const Intent& intent : intents) {
    size_t phrasings = 0;
    for (const auto& split : intent.phrasings) phrasings += split.size();
    EXPECT_GE(phrasings, 6u) << intent.name;
  }
}

TEST_F(CorpusTest, NoPhrasingOccursTwice) {
  std::set<std::string> seen;
  for (const Intent& intent : corpus_->definition().intents) {
    for (const auto& split : intent.phrasings) {
      for (const std::string& phrasing : split) {
        EXPECT_TRUE(seen.insert(phrasing).second) << phrasing;
      }
    }
  }
}

TEST_F(CorpusTest, HeldOutPhrasingsUseWordsOfTheTrainingPhrasings) {
  std::set<std::string> known;
  for (const Intent& intent : corpus_->definition().intents) {
    for (const std::string& phrasing : intent.phrasings[0]) known.merge(Words(phrasing));
  }
  for (const Intent& intent : corpus_->definition().intents) {
    for (const size_t split : {1, 2}) {
      for (const std::string& word : Words(intent.phrasings[split].front())) {
        EXPECT_TRUE(known.contains(word)) << word << " in " << intent.phrasings[split].front();
      }
    }
  }
}

TEST_F(CorpusTest, NoSlotValueIsInTwoSplits) {
  for (const auto& [name, kind] : corpus_->definition().kinds) {
    std::set<std::pair<std::string, std::string>> seen;
    for (const auto& split : kind.values) {
      EXPECT_GE(split.size(), 5u) << name;
      for (const SlotValue& value : split) {
        EXPECT_TRUE(seen.insert({value.first, value.second}).second) << name;
      }
    }
  }
}

TEST_F(CorpusTest, TheStreamIsAFunctionOfSeedSplitAndIndex) {
  const CorpusExample example = corpus_->Example(1, Split::kTrain, 77);
  corpus_->Example(1, Split::kTrain, 78);
  EXPECT_EQ(corpus_->Example(1, Split::kTrain, 77).encoder_text, example.encoder_text);
  EXPECT_EQ(corpus_->Example(1, Split::kTrain, 77).code, example.code);
  EXPECT_NE(corpus_->Example(2, Split::kTrain, 77).code, example.code);
  EXPECT_NE(corpus_->Example(1, Split::kTest, 77).code, example.code);
}

TEST_F(CorpusTest, SharesAreThoseOfTheDefinition) {
  int silent = 0, both = 0, shown = 0;
  for (int i = 0; i < kExamples; ++i) {
    const CorpusExample example = corpus_->Example(3, Split::kTrain, i);
    silent += example.telling == Telling::kSilent;
    both += example.telling == Telling::kBoth;
    shown += example.shown;
  }
  EXPECT_NEAR(silent, 0.60 * kExamples, 0.03 * kExamples);
  EXPECT_NEAR(both, 0.17 * kExamples, 0.03 * kExamples);
  EXPECT_NEAR(shown, 0.28 * kExamples, 0.03 * kExamples);
}

TEST_F(CorpusTest, TheDecoderLearnsTheStyleFromWordsOnly) {
  for (int i = 0; i < kExamples; ++i) {
    const CorpusExample example = corpus_->Example(4, Split::kTrain, i);
    if (example.telling == Telling::kSilent) {
      ASSERT_EQ(example.encoder_text, example.decoder_text);
      ASSERT_FALSE(example.shown);
    }
    if (example.telling == Telling::kEncoder) {
      ASSERT_NE(example.encoder_text, example.decoder_text);
    }
    ASSERT_EQ(example.decoder_text.find('\n'), std::string::npos);
  }
}

TEST_F(CorpusTest, NothingIsLeftUnexpanded) {
  for (int i = 0; i < kExamples; ++i) {
    const CorpusExample example = corpus_->Example(5, Split::kTrain, i);
    ASSERT_EQ((example.encoder_text + example.decoder_text + example.code).find('@'),
              std::string::npos)
        << example.code;
    ASSERT_FALSE(example.code.empty());
  }
}

TEST_F(CorpusTest, EveryStyleWritesEveryIntentUnderEveryConvention) {
  const Definition& definition = corpus_->definition();
  for (const auto& [name, style] : definition.styles) {
    for (const Intent& intent : definition.intents) {
      for (size_t frame = 0; frame < style.frames.size(); ++frame) {
        Draws draws({.seed = 6});
        const Request request = corpus_->DrawRequest(intent, Split::kTest, draws);
        const std::string code = corpus_->Code(request, style, {.frame = frame});
        EXPECT_LE(code.size(), 220u) << name << ": " << code;
        EXPECT_EQ(code.find('@'), std::string::npos) << code;
      }
    }
  }
}

TEST_F(CorpusTest, ConventionsChangeTheCodeAsTheySay) {
  const Definition& definition = corpus_->definition();
  const Style& js = definition.styles.at("js");
  const auto intent = std::ranges::find(definition.intents, "value of key", &Intent::name);
  ASSERT_NE(intent, definition.intents.end());
  const Request request{
      .intent = &*intent,
      .values = {{"map", {"member", "votes"}}, {"word", {"ba", "den"}}},
      .instruction = "",
  };
  EXPECT_EQ(corpus_->Code(request, js, {.frame = 0, .quote = 0, .naming = 0, .end = 0}),
            "const value_of_key = (member_votes) => member_votes['baden']");
  EXPECT_EQ(corpus_->Code(request, js, {.frame = 1, .quote = 1, .naming = 1, .end = 1}),
            "function valueOfKey(memberVotes) { return memberVotes[\"baden\"]; }");
}

TEST_F(CorpusTest, WritesTheDictionaryExampleInPython) {
  const Definition& definition = corpus_->definition();
  const auto intent = std::ranges::find(definition.intents, "sort by value", &Intent::name);
  ASSERT_NE(intent, definition.intents.end());
  const Request request{
      .intent = &*intent, .values = {{"map", {"city", "counts"}}}, .instruction = ""};
  EXPECT_EQ(corpus_->Code(request, definition.styles.at("pydef"), {}),
            "def sort_by_value(city_counts: dict) -> dict:\n"
            "    \"\"\"Sort by value.\"\"\"\n"
            "    return dict(sorted(city_counts.items(), key=lambda kv: kv[1]))");
}

TEST_F(CorpusTest, NoWordOfTheCorpusDescribesAConvention) {
  for (int i = 0; i < kExamples; ++i) {
    const std::string text = corpus_->Example(7, Split::kTrain, i).decoder_text;
    for (const std::string& word : Words(text)) {
      for (const char* hint : {"quote", "semicolon", "snake", "camel", "underscore", "arrow"}) {
        ASSERT_EQ(word.find(hint), std::string::npos) << text;
      }
    }
  }
}

TEST_F(CorpusTest, PythonParses) {
  if (std::system("python3 -c 'import ast' >/dev/null 2>&1") != 0) GTEST_SKIP() << "no python3";
  const auto folder = std::filesystem::path(testing::TempDir());
  const std::string file = folder / "ddpt_corpus_python.txt";
  std::ofstream out(file);
  for (int i = 0; i < kExamples; ++i) {
    const CorpusExample example = corpus_->Example(8, Split::kTrain, i);
    if (example.style == "pyline" || example.style == "pydef") out << example.code << '\0';
  }
  out.close();
  const std::string script =
      "import ast,sys; [ast.parse(s) for s in open(sys.argv[1]).read().split(chr(0))]";
  EXPECT_EQ(std::system(("python3 -c '" + script + "' " + file).c_str()), 0);
  std::filesystem::remove(file);
}

class BadDefinitionTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) / "ddpt_bad_definition";
    std::filesystem::copy(DDPT_TINY_DIR, folder_, std::filesystem::copy_options::recursive);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string LoadAfter(const std::string& file, const std::string& from, const std::string& to) {
    std::string text = ReadFile(folder_ / file, 1 << 20).value();
    text.replace(text.find(from), from.size(), to);
    std::ofstream(folder_ / file) << text;
    const auto corpus = Corpus::Load(folder_);
    EXPECT_EQ(corpus.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(corpus.status().message());
  }

  std::filesystem::path folder_;
};

TEST_F(BadDefinitionTest, UnknownSlotsAreNamed) {
  EXPECT_THAT(LoadAfter("intents/math.json", "factorial of @number", "factorial of @nomber"),
              HasSubstr("unknown slot @nomber"));
}

TEST_F(BadDefinitionTest, BrokenJsonIsAnErrorThatNamesTheFolder) {
  EXPECT_THAT(LoadAfter("corpus.json", "{", "["), HasSubstr("ddpt_bad_definition"));
}

}  // namespace
}  // namespace ddpt::tiny
