#include "deploy/tiny/texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/base/file.h"
#include "deploy/tiny/corpus.h"

namespace ddpt::tiny {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

absl::StatusOr<std::unique_ptr<Texts>> FromLines(const std::string& lines, uint64_t seed = 1) {
  const std::string path = testing::TempDir() + "texts.jsonl";
  EXPECT_TRUE(WriteFileAtomic(path, lines).ok());
  return TextsOfFile(path, seed);
}

std::vector<std::string> Codes(Texts& texts, uint64_t group, uint64_t count) {
  std::vector<std::string> codes;
  for (const Text& text : texts.Draw(group, count)) codes.push_back(text.code);
  return codes;
}

TEST(TextsTest, TheCorpusIsDrawnInItsOwnOrder) {
  const auto texts = *GeneratedTexts(DDPT_TINY_DIR, 3);
  const auto corpus = *Corpus::Load(DDPT_TINY_DIR);
  const std::vector<Text> drawn = texts->Draw(2, 4);
  ASSERT_EQ(drawn.size(), 4u);
  for (uint64_t i = 0; i < drawn.size(); ++i) {
    const CorpusExample example = corpus->Example(3, Split::kTrain, 8 + i);
    EXPECT_EQ(drawn[i].encoder_text, example.encoder_text);
    EXPECT_EQ(drawn[i].decoder_text, example.decoder_text);
    EXPECT_EQ(drawn[i].code, example.code);
  }
}

TEST(TextsTest, TheEncoderReadsTheInstructionUnlessAnotherTextIsGiven) {
  const auto texts = *FromLines(
      "{\"instruction\": \"add\", \"code\": \"a + b\"}\n\n"
      "{\"instruction\": \"add\", \"code\": \"a+b\", \"encoder_text\": \"tersely add\"}\n");
  for (const Text& text : texts->Draw(0, 2)) {
    EXPECT_EQ(text.decoder_text, "add");
    EXPECT_EQ(text.encoder_text, text.code == "a+b" ? "tersely add" : "add");
  }
}

TEST(TextsTest, EachEpochHasEveryExampleOnce) {
  std::string lines;
  for (const char* code : {"a", "b", "c", "d"}) {
    lines += std::string("{\"instruction\": \"i\", \"code\": \"") + code + "\"}\n";
  }
  const auto texts = *FromLines(lines), other = *FromLines(lines, 2);
  std::set<std::vector<std::string>> orders;
  for (uint64_t epoch = 0; epoch < 8; ++epoch) {
    const auto codes = Codes(*texts, epoch, 4);
    EXPECT_THAT(codes, UnorderedElementsAre("a", "b", "c", "d"));
    EXPECT_EQ(codes, Codes(*texts, epoch, 4));
    orders.insert(codes);
    orders.insert(Codes(*other, epoch, 4));
  }
  EXPECT_GT(orders.size(), 4u);
}

TEST(TextsTest, AFaultIsNamedWithItsLine) {
  const std::string good = "{\"instruction\": \"i\", \"code\": \"c\"}\n";
  EXPECT_THAT(std::string(FromLines(good + "7\n").status().message()), HasSubstr("line 2"));
  EXPECT_THAT(std::string(FromLines("{\"code\": \"c\"}\n").status().message()),
              HasSubstr("\"instruction\""));
  EXPECT_THAT(std::string(FromLines("{\"instruction\": \"i\", \"code\": \"c\", "
                                    "\"encoder_text\": 1}\n")
                              .status()
                              .message()),
              HasSubstr("\"encoder_text\""));
  EXPECT_THAT(std::string(FromLines("\n").status().message()), HasSubstr("no example"));
}

}  // namespace
}  // namespace ddpt::tiny
