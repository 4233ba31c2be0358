#pragma once

#include "absl/status/status.h"
#include "core/text/json_node.h"
#include "core/text/spec_builder.h"

namespace ddpt {

// Fills `builder` from the one-file layout, tokenizer.json. See ReadTokenizerFiles.
absl::Status ReadTokenizerJson(const JsonNode& root, SpecBuilder* builder);

}  // namespace ddpt
