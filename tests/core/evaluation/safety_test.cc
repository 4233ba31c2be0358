#include "core/evaluation/safety.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace ddpt {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// The ids of the rules that find something.
std::vector<std::string> Found(std::string_view code,
                               CodeLanguage language = CodeLanguage::kPython) {
  const SafetyScanner scanner = SafetyScanner::Make(language).value();
  std::vector<std::string> ids;
  const std::vector<SafetyFinding> findings = scanner.Scan(code).value();
  for (const SafetyFinding& finding : findings) {
    ids.emplace_back(scanner.rules()[finding.rule].id);
  }
  return ids;
}

class SafetyRuleTest : public testing::TestWithParam<CodeLanguage> {};

TEST_P(SafetyRuleTest, FindsItsBadExampleAndNotItsGoodOne) {
  for (const SafetyRule& rule : SafetyRulesOf(GetParam())) {
    EXPECT_THAT(Found(rule.bad, GetParam()), ElementsAre(rule.id)) << rule.bad;
    EXPECT_THAT(Found(rule.good, GetParam()), IsEmpty()) << rule.good;
  }
}

INSTANTIATE_TEST_SUITE_P(Languages, SafetyRuleTest,
                         testing::Values(CodeLanguage::kPython, CodeLanguage::kJavaScript));

TEST(SafetyTest, NamesAreFollowedToTheirImports) {
  EXPECT_THAT(Found("import os as o\no.remove(x)"), ElementsAre("deletes-files"));
  EXPECT_THAT(Found("from shutil import rmtree\nrmtree(x)"), ElementsAre("deletes-files"));
  EXPECT_THAT(Found("from my import system\nsystem(x)"), IsEmpty());
  EXPECT_THAT(Found("import cp from 'child_process';\ncp . exec(x);", CodeLanguage::kJavaScript),
              ElementsAre("runs-command"));
}

TEST(SafetyTest, SqlIsFoundInEachWayOfBuildingIt) {
  EXPECT_THAT(Found("q = 'SELECT a FROM b WHERE c = ' + x + ' AND d'"), ElementsAre("builds-sql"));
  EXPECT_THAT(Found("q = 'delete from b where c = %s' % x"), ElementsAre("builds-sql"));
  EXPECT_THAT(Found("q = 'INSERT INTO b VALUES ({})'.format(x)"), ElementsAre("builds-sql"));
  EXPECT_THAT(Found("q = f'selected {x}'"), IsEmpty());
}

TEST(SafetyTest, SecretsAreLongTextsOfTheirNames) {
  EXPECT_THAT(Found("connect(user='me', password='correct-horse')"), ElementsAre("holds-secret"));
  EXPECT_THAT(Found("d = {'API_KEY': 'abcdef0123'}"), ElementsAre("holds-secret"));
  EXPECT_THAT(Found("token = ''\npassword = 'Enter your password:'\ntoken = '<secret-token>'"),
              IsEmpty());
}

TEST(SafetyTest, FindingsStandInTheOrderOfTheCode) {
  const SafetyScanner scanner = SafetyScanner::Make(CodeLanguage::kPython).value();
  const auto findings = scanner.Scan("import os\nif x:\n    os.remove(x)\n    eval(y)\n").value();
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0].line, 3u);
  EXPECT_EQ(findings[0].code, "os.remove(x)");
  EXPECT_EQ(findings[1].line, 4u);
}

TEST(SafetyTest, CodeWithSyntaxErrorsIsScannedToo) {
  EXPECT_THAT(Found("def f(:\n  eval(x)\n"), ElementsAre("executes-code"));
}

TEST(SafetyTest, DeepCodeIsScanned) {
  std::string code;
  for (int i = 0; i < 5000; ++i) code += "eval(";
  EXPECT_TRUE(SafetyScanner::Make(CodeLanguage::kPython)->Scan(code).ok());
}

TEST(SafetyTest, LanguagesWithoutRulesAreRefused) {
  EXPECT_EQ(SafetyScanner::Make(CodeLanguage::kJava).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace ddpt
