#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ddpt {

// Type URL of the payload that names the offending field of an INVALID_ARGUMENT error, e.g.
// "sampling.steps".
inline constexpr std::string_view kFieldPayload = "type.ddpt/field";

// INVALID_ARGUMENT "<field>: <problem>", with `field` as payload too. `problem` says the value and
// the limit:
//   FieldError("sampling.steps", "2001 is outside 1..2000")
absl::Status FieldError(std::string_view field, std::string_view problem);

// The field of a FieldError, or "" for any other status.
std::string FieldOf(const absl::Status& status);

// Type URL of the payload with the UPPER_SNAKE_CASE reason of an error, e.g. "QUEUE_FULL", which
// callers can tell apart where the code alone does not say enough.
inline constexpr std::string_view kReasonPayload = "type.ddpt/reason";

// The status, which is an error, with a reason; one that it already has stays.
absl::Status WithReason(absl::Status status, std::string_view reason);

// The reason of a status, or "" where there is none.
std::string ReasonOf(const absl::Status& status);

// The same characters for absl::StrCat and its kin: the distribution's Abseil has a string_view
// type of its own.
inline absl::string_view Piece(std::string_view text) { return {text.data(), text.size()}; }

// The same status (code, payloads) with "<context>: " before its message. OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

}  // namespace ddpt

// Leaves the enclosing function with the status of `expression` unless that is OK.
#define DDPT_RETURN_IF_ERROR(expression)                                                \
  do {                                                                                  \
    if (absl::Status ddpt_status = (expression); !ddpt_status.ok()) return ddpt_status; \
  } while (false)

#define DDPT_CONCAT_INNER(a, b) a##b
#define DDPT_CONCAT(a, b) DDPT_CONCAT_INNER(a, b)
#define DDPT_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                        \
  if (!result.ok()) return std::move(result).status();               \
  declaration = *std::move(result)

// DDPT_ASSIGN_OR_RETURN(auto file, ReadFile(path)): declares `file`, or leaves with the error.
#define DDPT_ASSIGN_OR_RETURN(declaration, expression) \
  DDPT_ASSIGN_OR_RETURN_INNER(DDPT_CONCAT(ddpt_result_, __LINE__), declaration, expression)
