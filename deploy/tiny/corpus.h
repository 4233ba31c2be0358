#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "deploy/tiny/definition.h"
#include "deploy/tiny/draws.h"

namespace ddpt::tiny {

// One choice of each convention of a style, as indices into its lists.
struct Convention {
  size_t frame = 0;
  size_t quote = 0;
  size_t naming = 0;
  size_t end = 0;
};

// An intent with its slots filled: what is asked for, before a style is chosen.
struct Request {
  const Intent* intent = nullptr;  // owned by the corpus
  std::map<std::string, SlotValue> values;
  std::string instruction;
};

// Who is told the style.
enum class Telling { kSilent, kEncoder, kBoth };
// "silent", "encoder", "both".
std::string_view TellingName(Telling telling);

// One example of the base model's training: `encoder_text` goes into the encoder, `decoder_text` is
// the decoder's prefix and carries no loss, `code` follows it directly. The three are tokenised
// apart, so that no token spans a border.
struct CorpusExample {
  std::string encoder_text;
  std::string decoder_text;
  std::string code;
  std::string intent;
  std::string style;
  Convention convention;
  Telling telling = Telling::kSilent;
  bool shown = false;  // the encoder's text begins with another request's code in the same style
};

// The synthetic corpus of the tiny model. Most instructions leave the style open; the style may be
// told in words, or shown by a line of code in front of the instruction. Only such a line tells the
// conventions inside a style: this is what makes a base model attend to its encoder for them, and
// what a soft prompt can put in the place of. Immutable and thread-safe; nothing blocks but Load.
class Corpus {
 public:
  // From the JSON files of `folder`; errors as Definition::Load.
  static absl::StatusOr<std::shared_ptr<const Corpus>> Load(const std::string& folder);

  const Definition& definition() const { return definition_; }

  // Example `index` of an endless stream: a function of its three arguments alone.
  CorpusExample Example(uint64_t seed, Split split, uint64_t index) const;

  // A phrasing and distinct values of `split` for `intent`.
  Request DrawRequest(const Intent& intent, Split split, Draws& draws) const;
  Convention DrawConvention(const Style& style, Draws& draws) const;
  // `request` as code; `style` is a name of definition().styles.
  std::string Code(const Request& request, const Style& style, const Convention& convention) const;

 private:
  explicit Corpus(Definition definition);

  std::string Tell(const Style& style, const std::string& instruction, Draws& draws) const;

  Definition definition_;
  std::vector<std::string> weighted_styles_;  // each name as often as its weight says
};

}  // namespace ddpt::tiny
