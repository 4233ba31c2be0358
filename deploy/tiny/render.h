#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ddpt::tiny {

// A placeholder of a template: "@list" (piece 0: the whole value) or "@list.1", "@list.2" (one of
// its two pieces). Names are lower-case letters.
struct Placeholder {
  std::string name;
  int piece = 0;
};

// The placeholders of `text` in their order, repeats included.
std::vector<Placeholder> Placeholders(std::string_view text);

// `text` with every placeholder replaced by what `value` gives for it.
std::string Expand(std::string_view text,
                   const std::function<std::string(const Placeholder&)>& value);

enum class Naming { kSnake, kCamel };

// "sum values" -> "sum_values" or "sumValues".
std::string Identifier(std::string_view words, Naming naming);

}  // namespace ddpt::tiny
