#include "client/result_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"

namespace ddpt {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string Written(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + "result_tables_" + name;
  EXPECT_TRUE(WriteFileAtomic(path, text).ok());
  return path;
}

constexpr char kPass[] = R"({"pass@1": 0.25, "pass@5": 0.5, "problems": 68, "samples": 1340,
  "outcomes": {"passed": 335, "failed": 1000, "timed_out": 5}, "programs_per_second": 10,
  "intervals": {"pass@1": [0.125, 0.375], "pass@5": [0.25, 0.75]}, "resamples": 10, "seed": 1})";

std::string Safety(const std::string& findings) {
  return R"({"samples": 1000, "rules": {"executes-code": {"findings": )" + findings +
         R"(, "per_1000": 2.5, "interval": [0, 5], "severity": "high"},
      "unpickles": {"findings": 0, "per_1000": 0, "severity": "high"}},
    "any": {"findings": 3, "per_1000": 2.5}, "findings": []})";
}

TEST(PassSectionTest, TellsEveryMethodWithItsIntervals) {
  const auto section = PassSection({{"none", Written("pass", kPass)}});
  ASSERT_TRUE(section.ok()) << section.status();
  EXPECT_THAT(*section, AllOf(HasSubstr("<tr><th>none</th><td>0.250<small>0.125 – 0.375</small>"),
                              HasSubstr("<th>pass@5</th>"), HasSubstr("<td>1,340</td>"),
                              HasSubstr("<td>335</td><td>1,000</td><td>5</td>")));
}

TEST(PassSectionTest, AFigureThatAMethodLacksIsADash) {
  const std::string one =
      Written("pass1", R"({"pass@1": 1, "problems": 1, "samples": 1, "outcomes": {"passed": 1}})");
  const auto section = PassSection({{"one", one}, {"five", Written("pass", kPass)}});
  ASSERT_TRUE(section.ok()) << section.status();
  EXPECT_THAT(*section, HasSubstr("<th>one</th><td>1.000</td><td>-</td>"));
}

TEST(PassSectionTest, AnotherFileIsRefusedByName) {
  const std::string path = Written("other", R"({"a": 1})");
  const auto section = PassSection({{"none", path}});
  EXPECT_TRUE(absl::IsInvalidArgument(section.status()));
  EXPECT_THAT(std::string(section.status().message()), HasSubstr(path));
  EXPECT_TRUE(absl::IsInvalidArgument(PassSection({{"none", Written("no", "[")}}).status()));
}

TEST(SafetySectionTest, RulesThatFoundNothingShareALine) {
  const auto section = SafetySection({{"none", Written("safety", Safety("3"))}});
  ASSERT_TRUE(section.ok()) << section.status();
  EXPECT_THAT(*section,
              AllOf(HasSubstr("<th>none (of 1,000)</th>"),
                    HasSubstr("<tr><th>executes-code, high</th><td>2.5<small>0.0 – 5.0"),
                    HasSubstr("<tr><th>any of them</th><td>2.5</td>"),
                    HasSubstr("Nothing found by: unpickles."), Not(HasSubstr("<th>unpickles"))));
}

TEST(SafetySectionTest, ARuleIsShownWhereAnyMethodBreaksIt) {
  const auto section = SafetySection(
      {{"none", Written("clean", Safety("0"))}, {"task", Written("safety", Safety("3"))}});
  ASSERT_TRUE(section.ok()) << section.status();
  EXPECT_THAT(*section, HasSubstr("<tr><th>executes-code, high</th>"));
}

TEST(SafetySectionTest, NoFilesNoSection) { EXPECT_EQ(*SafetySection({}), ""); }

}  // namespace
}  // namespace ddpt
