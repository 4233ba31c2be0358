#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace ddpt {

// A problem that a program solves if its tests pass, in the form of HumanEval (Chen et al. 2021).
struct Problem {
  std::string task_id;
  std::string instruction;  // what the model is given; the prompt where there is no field
  std::string prompt;       // how the program begins
  std::string suffix = {};  // how it ends; "" where there is no field
  std::string entry_point;  // the function that is tested
  std::string test;         // defines check(candidate)
  std::string canonical_solution = {};  // a completion that passes; "" where there is no field
};

// The whole program: prompt, completion, a line's end, suffix.
std::string ProgramOf(const Problem& problem, std::string_view completion);

// What a model wrote for one problem.
struct Completion {
  std::string task_id;
  std::string completion;
};

// Limits of both files; errors name them.
inline constexpr uint64_t kMaxProblemFileBytes = 256u << 20;
inline constexpr size_t kMaxProblems = 10'000;
inline constexpr size_t kMaxCompletions = 1'000'000;
inline constexpr size_t kMaxTaskIdBytes = 256;
inline constexpr size_t kMaxTextBytes = 1u << 20;  // of every other field

// Read JSON Lines, an object of the fields above a line; other fields are ignored. Block on the
// file. Errors: those of ReadFile; INVALID_ARGUMENT names file, line and field, also where a
// task_id is there twice (of problems), is that of no problem (of completions), or the file is
// empty.
absl::StatusOr<std::vector<Problem>> ReadProblems(const std::string& path);
absl::StatusOr<std::vector<Completion>> ReadCompletions(const std::string& path,
                                                        const std::vector<Problem>& problems);

}  // namespace ddpt
