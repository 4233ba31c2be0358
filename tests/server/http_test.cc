#include "server/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "client/http_get.h"

namespace ddpt {
namespace {

using testing::HasSubstr;

// What the libraries of a GPU take of every thread's stack, and more.
thread_local char volatile thread_storage[256 << 10];

class HttpTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<HttpEndpoint>> Listen(const std::string& address) {
    return HttpEndpoint::Create({.address = address,
                                 .metrics = [] { return "up 1\n"; },
                                 .ready = [this] { return ready_; },
                                 .state = [] { return "{}\n"; }});
  }
  absl::StatusOr<std::string> Get(const HttpEndpoint& endpoint, const std::string& path) {
    return HttpGet(endpoint.address(), path, std::chrono::seconds(10));
  }

  absl::Status ready_;
};

TEST_F(HttpTest, AnswersWhereThreadsHaveMuchStorageOfTheirOwn) {
  thread_storage[0] = 1;
  const auto endpoint = Listen("127.0.0.1:0");
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  EXPECT_EQ(Get(**endpoint, "/metrics").value(), "up 1\n");
  EXPECT_EQ(Get(**endpoint, "/healthz").value(), "ok\n");
  EXPECT_EQ(Get(**endpoint, "/debug/state").value(), "{}\n");
}

TEST_F(HttpTest, NotReadyIs503) {
  ready_ = absl::UnavailableError("draining");
  const auto endpoint = Listen("127.0.0.1:0").value();
  EXPECT_THAT(Get(*endpoint, "/readyz").status().message(), HasSubstr("503"));
  ready_ = absl::OkStatus();
  EXPECT_EQ(Get(*endpoint, "/readyz").value(), "ready\n");
}

TEST_F(HttpTest, OtherPathsAre404) {
  const auto endpoint = Listen("127.0.0.1:0").value();
  EXPECT_THAT(Get(*endpoint, "/metrics/x").status().message(), HasSubstr("404"));
}

TEST_F(HttpTest, TakenPortIsNamed) {
  const auto first = Listen("127.0.0.1:0").value();
  const absl::Status status = Listen(first->address()).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(status.message(), absl::StrCat("metrics-listen: cannot listen on ", first->address(),
                                           ": Address already in use"));
}

TEST_F(HttpTest, ListensOnIpv6) {
  const auto endpoint = Listen("[::1]:0");
  if (!endpoint.ok()) GTEST_SKIP() << endpoint.status();
  EXPECT_THAT((*endpoint)->address(), testing::StartsWith("[::1]:"));
}

TEST_F(HttpTest, LocalhostIsAHost) { EXPECT_TRUE(Listen("localhost:0").ok()); }

}  // namespace
}  // namespace ddpt
