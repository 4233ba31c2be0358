#pragma once

#include <string>
#include <string_view>

namespace ddpt {

// Pieces of HTML pages. `html` is markup, everything else text, which shows as it is and is never
// markup. Thread-safe.

// `text` as the content of an HTML or SVG element or of a quoted attribute.
std::string EscapeHtml(std::string_view text);

// `text` in the font of code.
std::string CodeElement(std::string_view text);

// A name and what it is, for a <dl>.
std::string Fact(std::string_view name, std::string_view html);

// A whole page that needs no network and no script: for a light and a dark screen, a narrow one and
// paper. It has the style of headings, facts, tables and charts (line_chart.h, scatter_plot.h).
std::string HtmlPage(std::string_view title, std::string_view html);

}  // namespace ddpt
