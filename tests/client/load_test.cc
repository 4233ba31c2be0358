#include "client/load.h"

#include <gtest/gtest.h>

#include "client/http_get.h"

namespace ddpt {
namespace {

constexpr char kMetrics[] =
    "# TYPE grpc_server_handled_total counter\n"
    "grpc_server_handled_total{grpc_method=\"Sample\",grpc_code=\"OK\"} 12\n"
    "grpc_server_handled_total{grpc_method=\"Sample\",grpc_code=\"NotFound\"} 3\n"
    "grpc_server_handled_total{grpc_method=\"GetTask\",grpc_code=\"OK\"} 100\n"
    "grpc_server_handled_total_more{grpc_method=\"Sample\",grpc_code=\"OK\"} 1000\n";

TEST(SumOfSamplesTest, SumsTheSamplesWithTheLabels) {
  EXPECT_EQ(SumOfSamples(kMetrics, "grpc_server_handled_total", {"grpc_method=\"Sample\""}), 15);
}

TEST(SumOfSamplesTest, NeedsAllLabels) {
  EXPECT_EQ(SumOfSamples(kMetrics, "grpc_server_handled_total",
                         {"grpc_method=\"Sample\"", "grpc_code=\"OK\""}),
            12);
}

TEST(LoadResultTest, PercentileIsTheNearestRank) {
  LoadResult result;
  result.latencies = {1, 2, 3, 4};
  EXPECT_EQ(Percentile(result.latencies, 0.5), 2);
  EXPECT_EQ(Percentile(result.latencies, 0.99), 4);
  EXPECT_EQ(Percentile(result.latencies, 0), 1);
  EXPECT_EQ(Percentile({}, 0.5), 0);
}

TEST(LoadResultTest, CountsMustAgree) {
  LoadResult result;
  result.ok = 5;
  result.errors = {{"RESOURCE_EXHAUSTED", 2}};
  result.server_ok = 5;
  result.server_errors = 2;
  EXPECT_TRUE(result.counts_agree());
  result.server_errors = 1;
  EXPECT_FALSE(result.counts_agree());
}

TEST(LoadResultTest, ErrorsThatMayNotHaveReachedTheServerAreNotCompared) {
  LoadResult result;
  result.errors = {{"UNAVAILABLE", 2}};
  result.server_ok = 0;
  result.server_errors = 0;
  EXPECT_TRUE(result.counts_agree());
}

TEST(HttpGetTest, NamesAnAddressWhereNobodyAnswers) {
  const absl::Status status = HttpGet("127.0.0.1:1", "/", std::chrono::seconds(1)).status();
  EXPECT_EQ(status, absl::UnavailableError("127.0.0.1:1: nobody answers"));
}

}  // namespace
}  // namespace ddpt
