#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "deploy/tiny/render.h"

namespace ddpt::tiny {

// Phrasings and slot values of one split occur in no other.
enum class Split { kTrain, kValidation, kTest };
inline constexpr std::array kSplits = {Split::kTrain, Split::kValidation, Split::kTest};
// "train", "validation", "test".
std::string_view SplitName(Split split);

// Two pieces that make one value: "member" and "ages". The pieces are shared by all splits, their
// combinations are not, so that a held-out value is new and can still be copied token by token.
struct SlotValue {
  std::string first;
  std::string second;
};

// What may stand for "@list", "@number" and so on.
struct SlotKind {
  // Literals are joined by this in instruction and code alike ("ba" + "den"). Without it the value
  // is an identifier: "member ages" in the instruction, member_ages or memberAges in the code.
  std::optional<std::string> join;
  // Python type of the parameter that carries the value; empty: no parameter.
  std::string type;
  std::array<std::vector<SlotValue>, 3> values;  // by split
};

// One thing to be programmed.
struct Intent {
  std::string name;  // words; the name of the function and, capitalised, its docstring
  std::string theme;
  std::string returns;                                // Python type
  std::array<std::vector<std::string>, 3> phrasings;  // by split, with placeholders
  // Templates by frame placeholder: "py", "body", "js", "sql", "sh".
  std::map<std::string, std::string> code;
  std::vector<std::string> kinds;   // slot kinds in use
  std::vector<std::string> params;  // those with a type, in the order of the Python code
};

// A way to write code. Where a list has several entries the corpus draws one for each example:
// these are the conventions inside the style, which no word of the corpus names.
struct Style {
  uint32_t weight = 1;  // share of the corpus, relative
  double shown = 0;     // share of its told examples that show a piece of code in the encoder
  std::vector<std::string> frames;
  std::vector<std::string> quotes;  // of string literals; templates are written with '
  std::vector<Naming> namings;
  std::vector<std::string> ends;  // what "@end" stands for
  // Wordings that name the style, in front of the instruction or after it. A style without any is
  // never named.
  std::vector<std::string> before;
  std::vector<std::string> after;
};

// Shares of the corpus. The remainder of silent + encoder tells the style in both places.
struct Shares {
  double silent = 0;       // nothing in the text tells the style
  double encoder = 0;      // the encoder's text alone tells it
  double shown_alone = 0;  // of encoder-only examples that show code: no words beside it
};

// The corpus as its JSON files have it. Immutable after Load.
struct Definition {
  std::map<std::string, SlotKind> kinds;
  std::map<std::string, Style> styles;
  std::vector<Intent> intents;
  Shares shares;

  // Reads `folder`/corpus.json and `folder`/intents/<theme>.json; blocks. INVALID_ARGUMENT names
  // the file and what is wrong: bad JSON, an unknown placeholder, a split without phrasings or
  // values.
  static absl::StatusOr<Definition> Load(const std::string& folder);
};

}  // namespace ddpt::tiny
