#include "core/text/stream_decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "core/text/unicode.h"
#include "tests/core/text/text_testing.h"

namespace ddpt {
namespace {

class StreamDecoderTest : public testing::Test {
 protected:
  inline static const std::unique_ptr<const Tokenizer> tokenizer_ =
      LoadTokenizer("tokenizer_trained");
};

std::vector<uint32_t> ByteIds(const Tokenizer& tokenizer, std::string_view bytes) {
  std::vector<uint32_t> by_byte(256);
  for (uint32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string_view token = tokenizer.TokenBytes(id);
    if (token.size() == 1) by_byte[static_cast<uint8_t>(token[0])] = id;
  }
  std::vector<uint32_t> ids;
  for (const char byte : bytes) ids.push_back(by_byte[static_cast<uint8_t>(byte)]);
  return ids;
}

TEST_F(StreamDecoderTest, NeverSplitsACharacterAtAnyByte) {
  const std::string text = "aé€😀ß한\U0010FFFFz";
  StreamDecoder decoder(tokenizer_.get());
  std::string shown;
  for (const uint32_t id : ByteIds(*tokenizer_, text)) {
    const std::string piece = decoder.Push(id);
    EXPECT_EQ(ReplaceInvalidUtf8(piece), piece);
    EXPECT_TRUE(text.starts_with(shown += piece));
  }
  EXPECT_EQ(shown, text);
  EXPECT_EQ(decoder.Flush(), "");
}

TEST_F(StreamDecoderTest, FlushReplacesATailCutAtAnyByte) {
  const std::string text = "aé€😀";
  for (size_t length = 0; length <= text.size(); ++length) {
    StreamDecoder decoder(tokenizer_.get());
    std::string shown;
    for (const uint32_t id : ByteIds(*tokenizer_, text.substr(0, length))) {
      shown += decoder.Push(id);
    }
    EXPECT_EQ(shown + decoder.Flush(), ReplaceInvalidUtf8(text.substr(0, length)));
    EXPECT_EQ(decoder.Flush(), "");
  }
}

TEST_F(StreamDecoderTest, GivesInvalidBytesUpAtOnce) {
  StreamDecoder decoder(tokenizer_.get());
  const std::vector<uint32_t> ids = ByteIds(*tokenizer_, "\xE2\x82 \x80");
  EXPECT_EQ(decoder.Push(ids[0]), "");
  EXPECT_EQ(decoder.Push(ids[1]), "");
  EXPECT_EQ(decoder.Push(ids[2]), "\uFFFD ");
  EXPECT_EQ(decoder.Push(ids[3]), "\uFFFD");
}

TEST_F(StreamDecoderTest, JoinsToDecodeForRandomIds) {
  std::mt19937 random(1);
  for (int round = 0; round < 500; ++round) {
    std::vector<uint32_t> ids(random() % 30);
    for (uint32_t& id : ids) id = random() % (tokenizer_->vocab_size() + 5);
    StreamDecoder decoder(tokenizer_.get());
    std::string text;
    for (const uint32_t id : ids) {
      const std::string piece = decoder.Push(id);
      ASSERT_EQ(ReplaceInvalidUtf8(piece), piece);
      text += piece;
    }
    ASSERT_EQ(text + decoder.Flush(), tokenizer_->Decode(ids));
  }
}

TEST_F(StreamDecoderTest, ShowsSpecialTokensWhereAsked) {
  const uint32_t end = *tokenizer_->eos_id();
  EXPECT_EQ(StreamDecoder(tokenizer_.get()).Push(end), "");
  EXPECT_EQ(StreamDecoder(tokenizer_.get(), /*skip_special=*/false).Push(end), "<|endoftext|>");
}

TEST_F(StreamDecoderTest, TurnsTabsIntoSpacesWhereTheTokenizerDoes) {
  const auto tabbed = LoadTokenizer("tokenizer_trained", {.spaces_as_tabs = true});
  StreamDecoder decoder(tabbed.get());
  EXPECT_EQ(decoder.Push(ByteIds(*tabbed, "\t")[0]), "    ");
}

}  // namespace
}  // namespace ddpt
