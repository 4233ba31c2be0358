#include "client/metrics_lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ddpt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kSound[] =
    "# HELP a_total What.\n# TYPE a_total counter\na_total{task=\"x y\"} 3\na_total{task=\"z\"} "
    "4e9\n"
    "# HELP b_seconds How long.\n# TYPE b_seconds histogram\n"
    "b_seconds_bucket{rpc=\"S\",le=\"1\"} 1\nb_seconds_bucket{rpc=\"S\",le=\"+Inf\"} 2\n"
    "b_seconds_sum{rpc=\"S\"} 5\nb_seconds_count{rpc=\"S\"} 2\n"
    "# HELP c_bytes Size.\n# TYPE c_bytes gauge\nc_bytes NaN\n";

TEST(MetricsLintTest, ASoundScrapeHasNoFaults) {
  EXPECT_THAT(LintMetrics(kSound, {"a_total", "b_seconds", "c_bytes"}), IsEmpty());
}

TEST(MetricsLintTest, AMissingFamilyIsNamed) {
  EXPECT_THAT(LintMetrics(kSound, {"d_total"}), ElementsAre("d_total is missing"));
}

TEST(MetricsLintTest, SamplesNeedHelpAndTypeBefore) {
  EXPECT_THAT(LintMetrics("a 1\n", {}),
              ElementsAre(HasSubstr("a has no HELP"), HasSubstr("a has no TYPE")));
}

TEST(MetricsLintTest, NamesFollowTypesAndUnits) {
  EXPECT_THAT(LintMetrics("# HELP a x\n# TYPE a counter\na 1\n", {}),
              ElementsAre(HasSubstr("a is a counter without _total")));
  EXPECT_THAT(LintMetrics("# HELP a_total x\n# TYPE a_total gauge\na_total 1\n", {}),
              ElementsAre(HasSubstr("is no counter")));
  EXPECT_THAT(LintMetrics("# HELP a_ms x\n# TYPE a_ms gauge\na_ms 1\n", {}),
              ElementsAre(HasSubstr("is not in a base unit")));
}

TEST(MetricsLintTest, ASeriesComesOnce) {
  EXPECT_THAT(LintMetrics("# HELP a x\n# TYPE a gauge\na{b=\"c\"} 1\na{b=\"c\"} 2\n", {}),
              ElementsAre(HasSubstr("a{b=\"c\"} comes twice")));
}

TEST(MetricsLintTest, TheLastBucketIsTheCount) {
  const std::string head = "# HELP a x\n# TYPE a histogram\n";
  EXPECT_THAT(LintMetrics(head + "a_bucket{le=\"+Inf\"} 2\na_sum 1\na_count 3\n", {}),
              ElementsAre(HasSubstr("the bucket +Inf is not the count")));
  EXPECT_THAT(LintMetrics(head + "a_sum 1\na_count 3\n", {}),
              ElementsAre(HasSubstr("no bucket +Inf")));
}

TEST(MetricsLintTest, AValueIsANumber) {
  EXPECT_THAT(LintMetrics("# HELP a x\n# TYPE a gauge\na many\n", {}),
              ElementsAre(HasSubstr("has no number")));
}

}  // namespace
}  // namespace ddpt
