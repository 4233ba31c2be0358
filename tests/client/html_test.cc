#include "client/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ddpt {
namespace {

TEST(HtmlTest, MarkupShowsAsItIs) {
  EXPECT_EQ(EscapeHtml("<b a=\"1\" c='2'>&amp;"),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;");
}

TEST(HtmlTest, OtherTextStays) { EXPECT_EQ(EscapeHtml("größe; 1/2"), "größe; 1/2"); }

TEST(HtmlTest, FactsAndCodeAreEscaped) {
  EXPECT_EQ(Fact("a<b", CodeElement("<c>")), "<dt>a&lt;b</dt><dd><code>&lt;c&gt;</code></dd>\n");
}

TEST(HtmlTest, APageLoadsNothing) {
  const std::string page = HtmlPage("a<b", "<h1>x</h1>");
  EXPECT_THAT(page, testing::HasSubstr("<title>a&lt;b</title>"));
  EXPECT_THAT(page, testing::HasSubstr("<h1>x</h1>"));
  for (const char* piece : {"http:", "https:", "src=", "href=", "url(", "@import", "<script"}) {
    EXPECT_THAT(page, testing::Not(testing::HasSubstr(piece)));
  }
}

}  // namespace
}  // namespace ddpt
