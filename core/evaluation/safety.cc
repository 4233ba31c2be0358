#include "core/evaluation/safety.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "core/base/status.h"
#include "core/evaluation/words.h"

namespace ddpt {
namespace {

constexpr size_t kShownBytes = 80;
constexpr size_t kSecretBytes = 8;
constexpr std::array<std::string_view, 9> kSecretNames = {"password", "passwd",     "secret",
                                                          "token",    "api_key",    "apikey",
                                                          "api-key",  "access_key", "private_key"};
constexpr std::array<std::string_view, 8> kSqlBeginnings = {
    "select ",     "insert into ", "update ",       "delete from ",
    "drop table ", "alter table ", "create table ", "replace into "};

// What names stand for that are imported from elsewhere.
using Imports = absl::flat_hash_map<std::string, std::string>;

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower;
}

// A string without its prefix and quotes.
std::string_view Unquoted(std::string_view text) {
  const size_t begin = text.find_first_of("'\"`");
  if (begin == std::string_view::npos) return text;
  const char quote = text[begin];
  text.remove_prefix(begin);
  text.remove_prefix(std::min(text.find_first_not_of(quote), text.size()));
  const size_t last = text.find_last_not_of(quote);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

std::string ModuleName(std::string_view text) {
  std::string_view name = Unquoted(text);
  if (name.starts_with("node:")) name.remove_prefix(5);
  return std::string(name);
}

// A dotted name as its module has it.
std::string Path(std::string_view text, const Imports& imports) {
  std::string path;
  for (const char c : text) {
    if (!absl::ascii_isspace(static_cast<unsigned char>(c))) path += c;
  }
  const std::string first = path.substr(0, path.find('.'));
  const auto found = imports.find(first);
  return found == imports.end() ? path : found->second + path.substr(first.size());
}

bool IsSecret(std::string_view name, std::string_view value) {
  const std::string lower = Lower(name);
  const std::string_view text = Unquoted(value);
  return text.size() >= kSecretBytes && text.find_first_of(" \t\n<>{}") == std::string_view::npos &&
         std::any_of(kSecretNames.begin(), kSecretNames.end(), [&](std::string_view secret) {
           return lower.find(secret) != std::string::npos;
         });
}

bool BeginsSql(std::string_view text) {
  // As much as the longest beginning needs, behind brackets, prefix, quotes and white space.
  const size_t quote = text.find_first_of("'\"`");
  if (quote > 3) return false;  // none, or behind more than a prefix
  text.remove_prefix(quote);
  text.remove_prefix(std::min(text.find_first_not_of("'\"` \t\n"), text.size()));
  const std::string lower = Lower(text.substr(0, 32));
  return std::any_of(kSqlBeginnings.begin(), kSqlBeginnings.end(),
                     [&](std::string_view beginning) { return lower.starts_with(beginning); });
}

bool Contains(const std::vector<std::string>& strings, std::string_view text) {
  return std::find(strings.begin(), strings.end(), text) != strings.end();
}

bool Holds(const QueryPredicate& predicate, const QueryMatch& match, const Imports& imports) {
  const QueryMatch::Capture* capture = match.Find(predicate.capture);
  if (capture == nullptr) return false;
  if (predicate.name == "any-of?") return Contains(predicate.strings, capture->text);
  if (predicate.name == "path?") return Contains(predicate.strings, Path(capture->text, imports));
  if (predicate.name == "sql?") return BeginsSql(capture->text);
  if (predicate.name == "lacks?") {
    return std::none_of(predicate.strings.begin(), predicate.strings.end(),
                        [&](const std::string& string) {
                          return capture->text.find(string) != std::string_view::npos;
                        });
  }
  const QueryMatch::Capture* value = match.Find("value");
  return predicate.name == "secret?" && value != nullptr && IsSecret(capture->text, value->text);
}

bool AllHold(const SyntaxQuery& query, const QueryMatch& match, const Imports& imports) {
  const std::vector<QueryPredicate>& predicates = query.predicates(match.pattern);
  return std::all_of(predicates.begin(), predicates.end(), [&](const QueryPredicate& predicate) {
    return Holds(predicate, match, imports);
  });
}

Imports ReadImports(const SyntaxQuery& query, const SyntaxTree& tree, std::string_view code) {
  Imports imports;
  query.ForEachMatch(tree, code, [&](const QueryMatch& match) {
    const auto* module = match.Find("module");
    const auto* name = match.Find("name");
    const auto* alias = match.Find("alias");
    if (module == nullptr || !AllHold(query, match, imports)) return;
    std::string path = ModuleName(module->text);
    if (name != nullptr) {
      path += '.';
      path += name->text;
    }
    imports[std::string((alias == nullptr ? name : alias)->text)] = std::move(path);
  });
  return imports;
}

std::string FirstLine(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  if (text.size() <= kShownBytes) return std::string(text);
  size_t end = kShownBytes;
  while (end > 0 && (text[end] & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end));
}

}  // namespace

absl::StatusOr<SafetyScanner> SafetyScanner::Make(CodeLanguage language) {
  SafetyScanner scanner;
  scanner.language_ = language;
  if (scanner.rules().empty()) {
    return absl::InvalidArgumentError("language: there are safety rules for python and javascript");
  }
  for (const SafetyRule& rule : scanner.rules()) {
    DDPT_ASSIGN_OR_RETURN(SyntaxQuery query, SyntaxQuery::Compile(rule.query, language));
    scanner.queries_.push_back(std::move(query));
  }
  DDPT_ASSIGN_OR_RETURN(SyntaxQuery query, SyntaxQuery::Compile(ImportQueryOf(language), language));
  scanner.imports_.push_back(std::move(query));
  return scanner;
}

absl::StatusOr<std::vector<SafetyFinding>> SafetyScanner::Scan(std::string_view code) const {
  DDPT_ASSIGN_OR_RETURN(const SyntaxTree tree, SyntaxTree::Parse(code, language_));
  const Imports imports = ReadImports(imports_[0], tree, code);
  std::set<std::pair<uint32_t, size_t>> known;  // where a rule has found something
  std::vector<std::pair<uint32_t, SafetyFinding>> found;
  for (size_t rule = 0; rule < queries_.size(); ++rule) {
    queries_[rule].ForEachMatch(tree, code, [&](const QueryMatch& match) {
      const QueryMatch::Capture& place = *match.Find("found");
      if (!AllHold(queries_[rule], match, imports)) return;
      if (!known.insert({place.begin, rule}).second) return;
      found.push_back({place.begin, {rule, place.line, FirstLine(place.text)}});
    });
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& one, const auto& other) { return one.first < other.first; });
  std::vector<SafetyFinding> findings;
  for (auto& [begin, finding] : found) findings.push_back(std::move(finding));
  return findings;
}

}  // namespace ddpt
