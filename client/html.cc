#include "client/html.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/line_chart.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr char kPageStyle[] = R"css(
:root { --sheet: #fff; --text: #1c2128; --quiet: #57606a; --line: #d8dce1; --bad: #b3261e; --good: #1a7f4b;
  color-scheme: light dark; }
@media screen and (prefers-color-scheme: dark) {
  :root { --sheet: #14181d; --text: #e3e7ec; --quiet: #a3adb8; --line: #333a43; --bad: #ff8a80; --good: #5fd39a; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 1040px; background: var(--sheet); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.6rem; line-height: 1.25; }
h2 { margin: 2rem 0 0.75rem; font-size: 1.1rem; break-after: avoid; }
code { font: 0.87em ui-monospace, "DejaVu Sans Mono", monospace; }
.state { margin-left: 0.4em; padding: 0.1em 0.6em; border: 1px solid; border-radius: 1em; font-size: 0.9rem;
  font-weight: 600; vertical-align: 0.2em; color: var(--quiet); white-space: nowrap; }
.succeeded { color: var(--good); }
.failed, .error { color: var(--bad); }
.error { padding-left: 0.8em; border-left: 3px solid; white-space: pre-line; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.5rem; margin: 0; }
dt { color: var(--quiet); }
dd { margin: 0; }
dl + table { margin-top: 1rem; }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.75rem 20px; }
.charts > :first-child { grid-column: 1 / -1; }
figcaption { margin-bottom: 0.4rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0 0.3rem 1.75rem; border-bottom: 1px solid var(--line); text-align: right; }
th { color: var(--quiet); font-weight: 400; vertical-align: bottom; overflow-wrap: normal; }
th:first-child, td:first-child { padding-left: 0; }
tr { break-inside: avoid; }
h3 { margin: 0 0 0.4rem; font-size: 1rem; }
td small { display: block; color: var(--quiet); font-weight: 400; }
td.best { font-weight: 700; }
.wide { overflow-x: auto; }
.figures th, .figures td { padding-left: 0.8rem; vertical-align: top; }
.figures td { white-space: nowrap; }
.figures thead th { min-width: 4.5rem; max-width: 11rem; overflow-wrap: break-word; vertical-align: bottom; }
.figures tbody th { padding: 0.3rem 0.5rem 0.3rem 0; background: var(--sheet); text-align: left; white-space: nowrap; }
@media screen { .figures tbody th { position: sticky; left: 0; } }
.notes { margin: 0.6rem 0 1.25rem; color: var(--quiet); font-size: 0.9rem; }
.token { display: inline-block; margin-right: 1em; }
.even > :first-child { grid-column: auto; }
article { margin: 0 0 1.75rem; break-inside: avoid; }
.instruction { margin: 0 0 0.6rem; white-space: pre-line; }
.codes { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 310px), 1fr)); gap: 0.75rem; }
.codes figure { margin: 0; min-width: 0; }
.codes figcaption { color: var(--quiet); font-size: 0.9rem; }
pre { margin: 0; padding: 0.6rem 0.75rem; border: 1px solid var(--line); border-radius: 4px; white-space: pre-wrap; tab-size: 4;
  font: 0.82rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
tr.best { font-weight: 700; }
.words th, .words td { text-align: left; }
.messages td { white-space: pre-line; }
.messages td:first-child { white-space: nowrap; }
@media screen and (max-width: 720px) {
  .charts { grid-template-columns: minmax(0, 1fr); }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.5rem; }
  th, td { padding-left: 0.8rem; }
}
@media print {
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .figures { font-size: 7.5pt; }
  .figures thead th, .figures td { padding-left: 0.5rem; }
  .figures thead th { min-width: 0; }
}
)css";

}  // namespace

std::string EscapeHtml(std::string_view text) {
  return absl::StrReplaceAll(
      Piece(text),
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string CodeElement(std::string_view text) {
  return absl::StrCat("<code>", EscapeHtml(text), "</code>");
}

std::string Fact(std::string_view name, std::string_view html) {
  return absl::StrCat("<dt>", EscapeHtml(name), "</dt><dd>", Piece(html), "</dd>\n");
}

std::string HtmlPage(std::string_view title, std::string_view html) {
  return absl::StrCat("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
                      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ",
                      "style-src 'unsafe-inline'\">\n",
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
                      "<title>", EscapeHtml(title), "</title>\n<style>", kPageStyle,
                      kLineChartStyle, "</style>\n</head>\n<body>\n", Piece(html),
                      "</body>\n</html>\n");
}

}  // namespace ddpt
