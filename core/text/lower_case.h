#pragma once

#include <string>
#include <string_view>

namespace ddpt {

// UTF-8 in small letters, as str.lower of Python 3.11 (Unicode 14.0.0) has it; but a sigma that
// ends a word is like every other. Ill-formed bytes become U+FFFD.
std::string LowerCase(std::string_view text);

}  // namespace ddpt
