#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/evaluation/code_comments.h"
#include "core/evaluation/words.h"

// Python's tokenize as far as it decides what is a comment, a string and the beginning of a
// statement.
namespace ddpt {
namespace {

constexpr size_t kNone = std::string_view::npos;
constexpr size_t kOpen = kNone - 1;

bool IsWordChar(char32_t code) {
  return code == '_' || (CharClasses(code) & (kLetter | kNumber)) != 0;
}

// What kind of token was last, as far as a string that follows depends on it.
enum class Last { kIndent, kNewline, kOther };

class Stripper {
 public:
  explicit Stripper(std::string_view code) : code_(code) {}

  // False where Python's tokenizer refuses the code.
  bool Strip() {
    while (begin_ < code_.size()) {
      const size_t end = code_.find('\n', begin_);
      line_ = code_.substr(begin_, end == kNone ? kNone : end + 1 - begin_);
      at_ = 0;
      single_ends_.clear();
      double_ends_.clear();
      if (!open_quote_.empty()) {
        ContinueString();
      } else if (nesting_ == 0 && !continued_) {
        if (!BeginStatement()) return false;
      } else {
        continued_ = false;
      }
      while (at_ < line_.size()) ReadToken();
      begin_ += line_.size();
    }
    return open_quote_.empty() && nesting_ == 0 && !continued_;
  }

  const std::string& kept() const { return kept_; }

 private:
  // The next token is [begin, end) of the line; what was passed over before it stays as spaces.
  void Keep(size_t begin, size_t end) {
    Space(begin);
    kept_ += line_.substr(begin, end - begin);
    at_ = written_ = end;
  }

  void Space(size_t begin) {
    if (written_line_ != begin_) written_ = 0;
    written_line_ = begin_;
    for (; written_ < begin; written_ += FirstChar(line_.substr(written_)).length) kept_ += ' ';
  }

  // Of a line that is no continuation: its indentation, or all of it where nothing else is there.
  bool BeginStatement() {
    size_t column = 0;
    for (; at_ < line_.size(); ++at_) {
      if (line_[at_] == ' ') {
        ++column;
      } else if (line_[at_] == '\t') {
        column = (column / 8 + 1) * 8;
      } else if (line_[at_] == '\f') {
        column = 0;
      } else {
        break;
      }
    }
    if (at_ == line_.size()) return true;
    if (line_[at_] == '#') {
      SkipComment(line_.find_last_not_of("\r\n") + 1);
      if (at_ == line_.size()) return true;
    }
    if (line_[at_] == '\r' || line_[at_] == '\n') {
      Keep(at_, line_.size());
      last_ = Last::kOther;
      return true;
    }
    if (column > indents_.back()) {
      indents_.push_back(column);
      Keep(0, at_);
      last_ = Last::kIndent;
    }
    while (column < indents_.back()) {
      if (std::find(indents_.begin(), indents_.end(), column) == indents_.end()) return false;
      indents_.pop_back();
      Space(at_);
      last_ = Last::kOther;
    }
    return true;
  }

  void SkipComment(size_t end) {
    Space(at_);
    at_ = written_ = end;
    last_ = Last::kOther;
  }

  void ReadToken() {
    while (at_ < line_.size() && (line_[at_] == ' ' || line_[at_] == '\t' || line_[at_] == '\f')) {
      ++at_;
    }
    if (at_ == line_.size()) return;
    const std::string_view rest = line_.substr(at_);
    if (rest == "\\\n" || rest == "\\\r\n") {
      continued_ = true;
      at_ = line_.size();
    } else if (rest[0] == '#') {
      SkipComment(std::min(line_.find_first_of("\r\n", at_), line_.size()));
    } else if (rest == "\n" || rest == "\r\n") {
      Keep(at_, line_.size());
      last_ = nesting_ > 0 ? Last::kOther : Last::kNewline;
    } else if (!ReadString(rest)) {
      ReadOther(rest);
    }
  }

  // A word or a single other character.
  void ReadOther(std::string_view rest) {
    size_t length = 0;
    while (length < rest.size()) {
      const Utf8Char next = FirstChar(rest.substr(length));
      if (!IsWordChar(next.code)) break;
      length += next.length;
    }
    if (length == 0) {
      length = FirstChar(rest).length;
      if (std::string_view("([{").find(rest[0]) != kNone) ++nesting_;
      if (std::string_view(")]}").find(rest[0]) != kNone) --nesting_;
    }
    Keep(at_, at_ + length);
    last_ = Last::kOther;
  }

  // A string that begins here, with its prefix; false: none does.
  bool ReadString(std::string_view rest) {
    const size_t quote = PrefixLength(rest);
    if (quote >= rest.size() || (rest[quote] != '"' && rest[quote] != '\'')) return false;
    const char mark = rest[quote];
    const std::string triple(3, mark);
    string_column_ = at_;
    if (rest.substr(quote).starts_with(triple)) {
      OpenString(triple, quote + 3);
      return true;
    }
    const size_t end = SingleEnd(at_ + quote + 1, mark);
    if (end == kNone) return false;
    if (end == kOpen) {
      OpenString(std::string(1, mark), rest.size());
    } else {
      FinishString(end);
    }
    return true;
  }

  static size_t PrefixLength(std::string_view rest) {
    size_t length = 0;
    while (length < std::min<size_t>(rest.size(), 2) &&
           std::string_view("rRbBuUfF").find(rest[length]) != kNone) {
      ++length;
    }
    std::string prefix(rest.substr(0, length));
    for (char& c : prefix) c = static_cast<char>(c | 0x20);
    static constexpr std::array<std::string_view, 9> kPrefixes = {"",   "r",  "b",  "u", "f",
                                                                  "br", "rb", "fr", "rf"};
    return std::find(kPrefixes.begin(), kPrefixes.end(), prefix) != kPrefixes.end() ? length
                                                                                    : kNone;
  }

  // Behind the next `quote` of the line without a backslash before it, from `from` on.
  size_t StringEnd(size_t from, std::string_view quote) const {
    for (size_t i = from; i < line_.size(); ++i) {
      if (line_[i] == '\\') {
        // A backslash escapes no line end.
        if (i + 1 >= line_.size() || line_[i + 1] == '\n') return kNone;
        ++i;
      } else if (line_.substr(i).starts_with(quote)) {
        return i + quote.size();
      }
    }
    return kNone;
  }

  // Where a string in single quotes that goes on at `from` ends; kOpen: a backslash takes it to the
  // next line; kNone: it is none. All places of a line are found out at once.
  size_t SingleEnd(size_t from, char quote) {
    std::vector<size_t>& ends = quote == '"' ? double_ends_ : single_ends_;
    if (ends.empty()) {
      ends.assign(line_.size() + 1, kNone);
      for (size_t i = line_.size(); i-- > 0;) ends[i] = EndFrom(i, quote, ends);
    }
    return ends[from];
  }

  size_t EndFrom(size_t i, char quote, const std::vector<size_t>& ends) const {
    if (line_[i] == quote) return i + 1;
    if (line_[i] == '\n') return kNone;
    if (line_[i] != '\\') return ends[i + 1];
    const std::string_view rest = line_.substr(i + 1);
    if (rest.empty()) return kNone;
    return rest == "\n" || rest == "\r\n" ? kOpen : ends[i + 2];
  }

  // The string goes on behind `length` bytes; it ends on this line or on another.
  void OpenString(std::string quote, size_t length) {
    const size_t end = StringEnd(at_ + length, quote);
    if (end != kNone) {
      FinishString(end);
      return;
    }
    open_quote_ = std::move(quote);
    open_text_ = line_.substr(at_);
    Space(at_);
    at_ = line_.size();
  }

  void ContinueString() {
    const size_t end = StringEnd(0, open_quote_);
    const bool escaped = line_.ends_with("\\\n") || line_.ends_with("\\\r\n");
    if (end == kNone && (open_quote_.size() == 3 || escaped)) {
      open_text_ += line_;
      at_ = line_.size();
      return;
    }
    // A string in single quotes that no backslash takes further ends as an error, and is kept.
    const bool error = end == kNone;
    at_ = error ? line_.size() : end;
    if (error || IsKept()) kept_ += open_text_ + std::string(line_.substr(0, at_));
    last_ = Last::kOther;
    written_line_ = begin_;
    written_ = at_;
    open_quote_.clear();
  }

  // A string on one line.
  void FinishString(size_t end) {
    const size_t begin = at_;
    Space(begin);
    if (IsKept()) {
      Keep(begin, end);
    } else {
      at_ = written_ = end;
    }
    last_ = Last::kOther;
  }

  // Else it is a docstring, or looks like one.
  bool IsKept() const { return last_ == Last::kOther && string_column_ > 0; }

  std::string_view code_, line_;
  std::vector<size_t> single_ends_, double_ends_;  // of the line; empty: not found out
  size_t begin_ = 0;                               // of the line in the code
  size_t at_ = 0;                                  // in the line
  size_t written_ = 0;  // how much of the line `written_line_` stands in `kept_`
  size_t written_line_ = kNone;
  std::vector<size_t> indents_ = {0};
  int64_t nesting_ = 0;       // of brackets
  bool continued_ = false;    // the line before ended with a backslash
  std::string open_quote_;    // of a string that began on an earlier line; "": none
  std::string open_text_;     // of it
  size_t string_column_ = 0;  // where the string began in its line
  Last last_ = Last::kIndent;
  std::string kept_;
};

}  // namespace

std::optional<std::string> WithoutPythonComments(std::string_view code) {
  Stripper stripper(code);
  if (!stripper.Strip()) return std::nullopt;
  return WithoutBlankLines(stripper.kept());
}

}  // namespace ddpt
