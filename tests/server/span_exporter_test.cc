#include "server/span_exporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "absl/strings/str_cat.h"
#include "tests/fakes/span_collector.h"

namespace ddpt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

// Where nobody listens.
constexpr char kNowhere[] = "127.0.0.1:1";

class SpanExporterTest : public testing::Test {
 protected:
  std::unique_ptr<SpanExporter> Start(SpanExporter::Options options) {
    return std::make_unique<SpanExporter>(std::move(options), metrics_, log_);
  }

  static void AddSpans(SpanExporter& exporter, int count) {
    const Trace trace(&exporter, NewTrace());
    for (int i = 0; i < count; ++i) trace.Begin("part");
  }

  static TimePoint Soon() { return steady_clock::now() + seconds(60); }

  void ExpectCounts(int exported, int dropped) {
    const std::string text = prometheus::TextSerializer().Serialize(registry_->Collect());
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\nddpt_spans_exported_total ", exported, "\n")));
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\nddpt_spans_dropped_total ", dropped, "\n")));
  }

  std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  Metrics metrics_{registry_};
  const Log log_{"off"};
  SpanCollector collector_;
};

TEST_F(SpanExporterTest, NothingIsLostAtStop) {
  const auto exporter = Start({.endpoint = collector_.address, .interval = hours(1)});
  AddSpans(*exporter, 1000);
  exporter->Stop(Soon());
  EXPECT_EQ(collector_.spans().size(), 1000u);
  ExpectCounts(1000, 0);
}

TEST_F(SpanExporterTest, AFullBatchDoesNotWait) {
  const auto exporter = Start({.endpoint = collector_.address, .batch = 10, .interval = hours(1)});
  AddSpans(*exporter, 10);
  collector_.AwaitSpans(10);
}

TEST_F(SpanExporterTest, ASpanWaitsForOthersForAnInterval) {
  const auto exporter = Start({.endpoint = collector_.address, .interval = milliseconds(1)});
  AddSpans(*exporter, 1);
  collector_.AwaitSpans(1);
}

TEST_F(SpanExporterTest, WhatHasNoRoomIsDroppedAndCounted) {
  const auto exporter = Start({.endpoint = kNowhere, .queue_limit = 10, .batch = 5});
  AddSpans(*exporter, 100);
  exporter->Stop(steady_clock::now());
  AddSpans(*exporter, 1);
  ExpectCounts(0, 101);
}

TEST_F(SpanExporterTest, ADeadCollectorGetsTimeAndIsGivenUp) {
  const auto exporter = Start({.endpoint = kNowhere, .batch = 5, .deadline = milliseconds(1)});
  AddSpans(*exporter, 20);
  exporter->Stop(Soon());
  ExpectCounts(0, 20);
}

TEST_F(SpanExporterTest, StopDoesNotWaitForACollectorThatHangs) {
  collector_.Hold();
  const auto exporter = Start({.endpoint = collector_.address, .batch = 5});
  AddSpans(*exporter, 5);
  collector_.AwaitExports(1);
  AddSpans(*exporter, 5);
  exporter->Stop(steady_clock::now() + milliseconds(1));
  ExpectCounts(0, 10);
}

TEST_F(SpanExporterTest, ACollectorThatIsBusyIsAskedAgain) {
  collector_.failures = 1;
  const auto exporter = Start({.endpoint = collector_.address});
  AddSpans(*exporter, 3);
  exporter->Stop(Soon());
  EXPECT_EQ(collector_.spans().size(), 3u);
  ExpectCounts(3, 0);
}

TEST_F(SpanExporterTest, WhatTheCollectorDoesNotTakeIsDropped) {
  collector_.rejected = 2;
  const auto exporter = Start({.endpoint = collector_.address});
  AddSpans(*exporter, 3);
  exporter->Stop(Soon());
  ExpectCounts(1, 2);
}

TEST_F(SpanExporterTest, NothingIsRecordedThatNobodyWants) {
  const auto exporter = Start({.endpoint = collector_.address});
  TraceContext unsampled = NewTrace();
  unsampled.sampled = false;
  EXPECT_FALSE(Trace(exporter.get(), unsampled).Begin("part").recording());
  EXPECT_FALSE(Trace(nullptr, NewTrace()).Begin("part").recording());
  EXPECT_FALSE(Trace().Begin("part").recording());
}

TEST_F(SpanExporterTest, TextIsCutBetweenCharacters) {
  const auto exporter = Start({.endpoint = collector_.address});
  {
    Span span = Trace(exporter.get(), NewTrace()).Begin("part");
    std::string text(255, 'a');
    span.Set("text", text + "\xc3\xbc");
  }
  exporter->Stop(Soon());
  ASSERT_EQ(collector_.spans().size(), 1u);
  EXPECT_EQ(AttributesOf(collector_.spans()[0].attributes())["text"], std::string(255, 'a'));
}

TEST_F(SpanExporterTest, TellsWhoSends) {
  const auto exporter = Start({.endpoint = collector_.address});
  AddSpans(*exporter, 1);
  exporter->Stop(Soon());
  auto resource = AttributesOf(collector_.resource().attributes());
  EXPECT_EQ(resource["service.name"], "ddpt");
  EXPECT_NE(resource["service.version"], "");
  EXPECT_NE(resource["service.instance.id"], "");
}

}  // namespace
}  // namespace ddpt
