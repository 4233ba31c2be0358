#pragma once

#include <nlohmann/json.hpp>

#include "deploy/tiny/corpus.h"

namespace ddpt::tiny {

// What code for a request is put to work on. JSON that Python reads as a literal.
struct ProblemInputs {
  nlohmann::ordered_json arguments;  // of a Python function: a list
  nlohmann::ordered_json files;      // texts by name
  nlohmann::ordered_json tables;     // of a database: lists of rows by name
};

// Data in which what the request asks for makes a difference: numbers on both sides of its number,
// its words and others, more lines than it counts. Depends on the arguments alone.
ProblemInputs DrawInputs(const Request& request, uint64_t index);

}  // namespace ddpt::tiny
