#include "core/model/habits.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr Habits kHabits[] = {
    {.name = "t5",
     .source =
         "CodeT5+ 220M and 770M as T5ForConditionalGeneration is used, with their tokenizer's "
         "defaults",
     .special_tokens = true},
    {.name = "codet5p",
     .source = "training of CodeT5+ 2B, 6B, 16B: the decoder reads the labels behind the start "
               "token",
     .spaces_as_tabs = true,
     .instruction_in_decoder = true},
    {.name = "codet5p-humaneval",
     .source = "generate_codet5p.py of the CodeT5+ repository: no start token before the prefix",
     .spaces_as_tabs = true,
     .instruction_in_decoder = true,
     .start_token = false},
    {.name = "instructcodet5p",
     .source = "training of InstructCodeT5+ 16B: Alpaca's template without an input",
     .before = "Below is an instruction that describes a task. Write a response that appropriately "
               "completes the request.\n\n### Instruction:\n",
     .after = "\n\n### Response:",
     .spaces_as_tabs = true,
     .instruction_in_decoder = true},
    {.name = "instructcodet5p-humaneval",
     .source = "generate_codet5p.py: a third newline, a sentence before the problem, no start "
               "token; there the decoder reads the problem's code behind this, which no preset "
               "does",
     .before = "Below is an instruction that describes a task. Write a response that appropriately "
               "completes the request.\n\n\n### Instruction:\nCreate a Python script for this "
               "problem:\n",
     .after = "\n\n### Response:",
     .spaces_as_tabs = true,
     .instruction_in_decoder = true,
     .start_token = false},
};

}  // namespace

std::span<const Habits> AllHabits() { return kHabits; }

absl::StatusOr<Habits> FindHabits(std::string_view name) {
  std::string known;
  for (const Habits& habits : kHabits) {
    if (habits.name == name) return habits;
    absl::StrAppend(&known, known.empty() ? "" : ", ", Piece(habits.name));
  }
  return FieldError("habits", absl::StrCat("\"", Piece(name), "\" is none of ", known));
}

Habits ParallelHabits(std::string_view checkpoint) {
  const bool instruct =
      absl::StrContains(absl::AsciiStrToLower(Piece(checkpoint)), "instructcodet5p");
  return FindHabits(instruct ? "instructcodet5p" : "codet5p").value();
}

}  // namespace ddpt
