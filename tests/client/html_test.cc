#include "client/html.h"

#include <gtest/gtest.h>

namespace ddpt {
namespace {

TEST(HtmlTest, MarkupShowsAsItIs) {
  EXPECT_EQ(EscapeHtml("<b a=\"1\" c='2'>&amp;"),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;");
}

TEST(HtmlTest, OtherTextStays) { EXPECT_EQ(EscapeHtml("größe; 1/2"), "größe; 1/2"); }

}  // namespace
}  // namespace ddpt
