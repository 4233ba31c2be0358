#include "core/decoding/kv_need.h"

#include <span>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/language_model.h"

namespace ddpt {

KvNeed KvNeedOf(const PromptedRequest& request, const DecodingOptions& options,
                const ModelGeometry& geometry) {
  KvNeed need{.past = DecoderIds(request, geometry).size() + options.max_new_tokens - 1,
              .cross = InputTokens(request, geometry),
              .rows = options.num_beams};
  if (request.soft_prompt == nullptr) return need;
  const std::vector<int64_t>& shape = request.soft_prompt->shape;
  const auto place = PrefixOfWidth(geometry, shape[1]);
  if (!place) return need;
  need.past += static_cast<size_t>(shape[0]);
  if (*place == PrefixPlace::kAll) need.cross += static_cast<size_t>(shape[0]);
  return need;
}

absl::Status CheckKvNeed(const KvNeed& need, const LanguageModel& model, size_t limit) {
  const size_t bytes = model.KvBytesOf(std::span(&need, 1));
  if (bytes <= limit) return absl::OkStatus();
  return FieldError(
      "decoding.max_new_tokens",
      absl::StrCat(need.past, " tokens in the decoder, with what precedes the answer",
                   need.rows > 1 ? absl::StrCat(", in ", need.rows, " beams") : "", ", and ",
                   need.cross, " in the encoder need ", bytes,
                   " bytes of keys and values, above the limit of ", limit, " (kv-cache-bytes)"));
}

}  // namespace ddpt
