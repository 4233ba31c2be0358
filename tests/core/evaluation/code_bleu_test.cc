#include "core/evaluation/code_bleu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace ddpt {
namespace {

using testing::HasSubstr;

CodeBleuCounts Count(const std::string& prediction, const std::string& reference,
                     CodeLanguage language = CodeLanguage::kPython) {
  return CountCodeBleu(ParseCode(prediction, language).value(),
                       ParseCode(reference, language).value(), language);
}

CodeBleu Score(const std::string& prediction, const std::string& reference,
               CodeLanguage language = CodeLanguage::kPython) {
  return ScoreCodeBleu(Count(prediction, reference, language));
}

// The compat figure and the components in the order of the golden file.
void ExpectFigures(const CodeBleu& score, const nlohmann::json& golden, size_t first,
                   const std::string& what) {
  const double ours[] = {score.compat, score.ngram, score.weighted_ngram, score.syntax,
                         score.data_flow};
  for (size_t i = 0; i < 5; ++i) {
    if (golden[first + i].is_null()) continue;
    EXPECT_NEAR(100 * ours[i], golden[first + i].get<double>(), 1e-4) << i << " of " << what;
  }
}

class GoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(GoldenTest, EqualsThePackage) {
  const auto golden =
      nlohmann::json::parse(std::ifstream(DDPT_TEST_DATA "/code_bleu_golden.json"))[GetParam()];
  const CodeLanguage language = *CodeLanguageOf(GetParam());
  ASSERT_EQ(golden["examples"].size(), 70u);
  CodeBleuCounts sum;
  for (const auto& example : golden["examples"]) {
    const CodeBleuCounts counts = Count(example[0], example[1], language);
    ExpectFigures(ScoreCodeBleu(counts), example, 2, example.dump());
    if (!example[2].is_null()) sum += counts;
  }
  ExpectFigures(ScoreCodeBleu(sum), golden["corpus"], 0, "the corpus");
}

INSTANTIATE_TEST_SUITE_P(Languages, GoldenTest,
                         testing::Values("python", "javascript", "java", "c", "cpp"));

// The vectors of the package's own tests (tests/test_codebleu.py), to the tenth that they allow.
TEST(CodeBleuTest, AgreesWithThePackagesOwnTests) {
  const auto expect = [](double wanted, const char* prediction, const char* reference,
                         CodeLanguage language = CodeLanguage::kPython) {
    EXPECT_NEAR(Score(prediction, reference, language).compat, wanted, wanted / 10) << prediction;
  };
  expect(0.25, "some rannnndom words in length more than 3", "def test ( ) :\n pass");
  expect(0.4, "def bar ( y , x ) :\n    a = x * x\n    return a", "def foo ( x ) :\n    return x");
  expect(0.6, "def foo ( x ) :\n    return x * x", "def bar ( x ) :\n    return x");
  expect(0.8, "def bar ( x ) :\n    return x", "def foo ( x ) :\n    return x");
  expect(0.6, "def foo ( x ) :\n    return x", "def bar ( y ) :\n    return y");
  expect(0.6, "public function foo ( x ) { return x }",
         "public function bar ( y ) {\n   return y\n}", CodeLanguage::kJava);
  expect(0.6, "function foo ( x ) { return x }", "function bar ( y ) {\n   return y\n}",
         CodeLanguage::kJavaScript);
  for (const CodeLanguage language : {CodeLanguage::kC, CodeLanguage::kCpp}) {
    expect(0.6, "int foo ( int x ) { return x }", "int bar ( int y ) {\n   return y\n}", language);
  }
}

TEST(CodeBleuTest, StrictLeavesOutDataFlowThatTheReferenceLacks) {
  const CodeBleu score = Score("x", "x");
  EXPECT_EQ(Count("x", "x").data_flow.total, 0u);
  EXPECT_NEAR(score.compat, (score.ngram + score.weighted_ngram + score.syntax + 1) / 4, 1e-12);
  EXPECT_NEAR(score.strict, (score.ngram + score.weighted_ngram + score.syntax) / 3, 1e-12);
}

TEST(CodeBleuTest, StrictGivesNothingForADataFlowThatIsMissed) {
  const CodeBleu score = Score("1", "x = y");
  EXPECT_EQ(score.data_flow, 0);
  EXPECT_NEAR(score.compat - score.strict, 0.25, 1e-12);
}

TEST(CodeBleuTest, IdenticalCodeScoresOne) {
  const std::string code = "def f(a, b):\n    c = a + b\n    return c * 2\n";
  EXPECT_NEAR(Score(code, code).compat, 1, 1e-12);
  EXPECT_NEAR(Score(code, code).strict, 1, 1e-12);
}

TEST(CodeBleuTest, KeywordsWeighFiveTimesAsMuch) {
  EXPECT_EQ(Count("return x", "return y").weighted_matches[0], 5u);
  EXPECT_EQ(Count("return x", "return y").weighted_totals[0], 6u);
  EXPECT_EQ(Count("return x", "yield x").weighted_matches[0], 1u);
  EXPECT_EQ(Count("x", "x").weighted_totals[0], 5u);
}

TEST(CodeBleuTest, DataFlowKnowsNoNames) {
  EXPECT_EQ(Score("a = b\nc = a", "x = y\nz = x").data_flow, 1);
  EXPECT_LT(Score("a = b\nc = b", "x = y\nz = x").data_flow, 1);
}

TEST(CodeBleuTest, CodeThatIsTooLongIsRefused) {
  const std::string code(SyntaxTree::kMaxBytes + 1, 'x');
  const absl::Status status = ParseCode(code, CodeLanguage::kPython).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("code of 65537 bytes; at most 65536 are parsed"));
}

// Code that is deep, long or ambiguous enough to overflow a stack or to take an age.
class HostileTest : public testing::TestWithParam<CodeLanguage> {};

std::string Repeated(const std::string& text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST_P(HostileTest, IsScored) {
  const std::string codes[] = {
      Repeated("(", 20'000),
      "x = " + Repeated("[", 5'000) + Repeated("]", 5'000),
      "x = 1" + Repeated(" + x", 5'000),
      Repeated("a.", 5'000),
      Repeated("while (x) ", 1'000),
      Repeated("if (x) ", 2'000) + "x = 1;",
      Repeated("for (var x of x) { x = x; ", 500),
      Repeated("'\\", 10'000),
      Repeated("/*", 8'000),
      "x = '" + std::string(20'000, 'a') + "'",
      Repeated("\xC3\xA4 = x; ", 3'000),
      Repeated("a, ", 2'000) + "b = f(" + Repeated("a, ", 2'000) + ")",
  };
  for (const std::string& code : codes) {
    const auto parsed = ParseCode(code, GetParam());
    ASSERT_TRUE(parsed.ok()) << code.substr(0, 20) << ": " << parsed.status();
    const CodeBleuCounts counts = CountCodeBleu(*parsed, *parsed, GetParam());
    EXPECT_EQ(counts.syntax.matches, counts.syntax.total);
  }
}

TEST(CodeBleuTest, LoopsInLoopsHaveNoDataFlow) {
  std::string code;
  for (size_t depth = 0; depth < 40; ++depth) code += std::string(depth, ' ') + "while x:\n";
  code += std::string(40, ' ') + "x = y\n";
  EXPECT_EQ(Count(code, code).data_flow.total, 0u);
}

INSTANTIATE_TEST_SUITE_P(Languages, HostileTest,
                         testing::Values(CodeLanguage::kPython, CodeLanguage::kJavaScript,
                                         CodeLanguage::kJava, CodeLanguage::kC,
                                         CodeLanguage::kCpp));

}  // namespace
}  // namespace ddpt
