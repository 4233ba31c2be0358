#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace ddpt {

// Tables of a report made of what other commands printed with --json, as HTML for HtmlPage. Of each
// method its name and its file. Block on the file system. InvalidArgument names a file that holds
// something else. "" without methods.

using NamedFiles = std::vector<std::pair<std::string, std::string>>;

// Of `ddpt --json evaluate --problems`: pass@k, and what became of the programs.
absl::StatusOr<std::string> PassSection(const NamedFiles& files);

// Of `ddpt --json safety`: in how many of 1,000 samples each rule finds something.
absl::StatusOr<std::string> SafetySection(const NamedFiles& files);

}  // namespace ddpt
