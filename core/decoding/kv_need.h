#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "core/decoding/options.h"
#include "core/decoding/request.h"
#include "core/model/kv_memory.h"

namespace ddpt {

class LanguageModel;

// What one choice of a valid request, or all of its beams, come to keep at most: what stands before
// the answer, and max_new_tokens but the last, which nothing looks at.
KvNeed KvNeedOf(const PromptedRequest& request, const DecodingOptions& options,
                const ModelGeometry& geometry);

// A FieldError "decoding.max_new_tokens" where that alone is more than `limit` bytes, so that it
// would wait for ever.
absl::Status CheckKvNeed(const KvNeed& need, const LanguageModel& model, size_t limit);

}  // namespace ddpt
