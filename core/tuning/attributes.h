#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace ddpt {

// What a conditional task is conditioned on besides the instruction, by name, e.g. style.
using Attributes = std::map<std::string, std::string>;

inline constexpr size_t kMaxAttributes = 16;
inline constexpr size_t kMaxAttributeBytes = 64;

// Names are 1..64 of [A-Za-z0-9_.-], values 1..64 bytes of UTF-8 without control characters. The
// message of INVALID_ARGUMENT tells what is wrong, but no field.
absl::Status ValidateAttributes(const Attributes& attributes);

// What the encoder reads of them: a line "NAME: VALUE" each, in the order of the names.
std::string AttributeText(const Attributes& attributes);

// The names that a version was trained with, in its denoiser's metadata under this key.
inline constexpr char kAttributeNames[] = "condition_attributes";
std::string JoinNames(const std::set<std::string>& names);
std::set<std::string> SplitNames(std::string_view joined);

}  // namespace ddpt
