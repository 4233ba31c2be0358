#include "core/base/trace_context.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"

namespace ddpt {
namespace {

constexpr char kHeader[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceContextTest, HeaderIsReadAndWritten) {
  const auto context = ParseTraceparent(kHeader);
  ASSERT_TRUE(context);
  EXPECT_EQ(context->TraceId(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(absl::BytesToHexString(context->TraceBytes()), context->TraceId());
  EXPECT_EQ(absl::BytesToHexString(context->SpanBytes()), "b7ad6b7169203331");
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(Traceparent(*context), kHeader);
}

TEST(TraceContextTest, OnlyTheLowestFlagIsKnown) {
  std::string header = kHeader;
  header.replace(53, 2, "fe");
  EXPECT_FALSE(ParseTraceparent(header)->sampled);
  header.replace(53, 2, "03");
  EXPECT_TRUE(ParseTraceparent(header)->sampled);
}

TEST(TraceContextTest, LaterVersionsMayHaveMoreBehind) {
  std::string header = kHeader;
  header.replace(0, 2, "cc");
  EXPECT_TRUE(ParseTraceparent(header));
  EXPECT_TRUE(ParseTraceparent(header + "-what-comes"));
  EXPECT_FALSE(ParseTraceparent(header + "what-comes"));
}

TEST(TraceContextTest, WhatIsMalformedIsNone) {
  for (const char* header : {
           "",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
           "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
           "00-00000000000000000000000000000000-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
           "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01--",
       }) {
    EXPECT_FALSE(ParseTraceparent(header)) << header;
  }
}

TEST(TraceContextTest, ASpanStaysInItsTrace) {
  const TraceContext root = NewTrace();
  const TraceContext child = NewSpan(root);
  EXPECT_TRUE(root.sampled);
  EXPECT_EQ(child.TraceId(), root.TraceId());
  EXPECT_NE(child.span, root.span);
  EXPECT_NE(NewTrace().TraceId(), root.TraceId());
}

}  // namespace
}  // namespace ddpt
