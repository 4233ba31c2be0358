#include "core/evaluation/wordnet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "core/base/file.h"

namespace ddpt {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A database of three nouns and an adjective in WordNet's format.
class WordNetTest : public testing::Test {
 protected:
  WordNetTest() {
    std::filesystem::create_directories(folder_);
    const std::string first = "00000000 06 n 03 car 0 motor_car 0 Auto 0 000 | gloss\n";
    Write("data.noun", first + "00000055 06 n 01 person 0 000 | gloss\n");
    Write("index.noun",
          "  1 a line of the licence\n"
          "auto n 1 1 @ 1 0 00000000  \n"
          "car n 1 2 @ ~ 1 1 00000000  \n" +
              ("person n 1 0 1 0 " + Number(first.size())) + "  \n");
    Write("noun.exc", "people person\n");
    Write("data.adj", "00000000 00 s 02 big(p) 0 large 0 000 | gloss\n");
    Write("index.adj", "big a 1 0 1 0 00000000  \n");
    for (const char* name :
         {"adj.exc", "data.adv", "index.adv", "adv.exc", "data.verb", "index.verb", "verb.exc"}) {
      Write(name, "");
    }
  }

  static std::string Number(size_t number) {
    const std::string digits = std::to_string(number);
    return std::string(8 - digits.size(), '0') + digits;
  }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomic(folder_ + "/" + name, text).ok());
  }

  std::string folder_ = testing::TempDir() + "wordnet";
};

TEST_F(WordNetTest, SynonymsAreTheSingleWordsOfAllSynsets) {
  WordNet wordnet = WordNet::Load(folder_).value();
  EXPECT_THAT(wordnet.Synonyms("car"), ElementsAre("Auto", "car"));
  EXPECT_THAT(wordnet.Synonyms("auto"), ElementsAre("Auto", "car"));
  EXPECT_THAT(wordnet.Synonyms("ca"), IsEmpty());
  EXPECT_THAT(wordnet.Synonyms("zoo"), IsEmpty());
  EXPECT_THAT(wordnet.Synonyms(""), IsEmpty());
}

TEST_F(WordNetTest, EndingsAndExceptionsLeadToBaseForms) {
  WordNet wordnet = WordNet::Load(folder_).value();
  EXPECT_THAT(wordnet.Synonyms("cars"), ElementsAre("Auto", "car"));
  EXPECT_THAT(wordnet.Synonyms("people"), ElementsAre("person"));
  EXPECT_THAT(wordnet.Synonyms("s"), IsEmpty());
}

TEST_F(WordNetTest, MarkersOfAdjectivesAreNoPartOfTheWord) {
  EXPECT_THAT(WordNet::Load(folder_)->Synonyms("big"), ElementsAre("big", "large"));
}

TEST_F(WordNetTest, AFileThatLacksIsNamed) {
  std::filesystem::remove(folder_ + "/verb.exc");
  const absl::Status status = WordNet::Load(folder_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("verb.exc"));
}

}  // namespace
}  // namespace ddpt
