#pragma once

#include <string>
#include <string_view>

namespace ddpt {

// `text` as the content of an HTML or SVG element or of a quoted attribute: it shows as it is and
// is never markup. Thread-safe.
std::string EscapeHtml(std::string_view text);

}  // namespace ddpt
