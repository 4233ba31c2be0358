#include "core/model/language_model.h"

#include <ATen/ATen.h>

#include "core/base/team.h"
#include "core/model/decoder_trunk.h"
#include "core/model/kernels.h"
#include "core/model/kv_rows.h"
#include "core/model/kv_state.h"
#include "core/model/prefixes.h"

namespace ddpt {

at::Tensor LanguageModel::Encode(const at::Tensor& embeddings, const at::Tensor& mask) const {
  return Encode(embeddings, mask, Prefixes());
}

DecoderTrunk LanguageModel::Trunk(const at::Tensor& decoder_ids,
                                  const at::Tensor& positions) const {
  return Trunk(decoder_ids, positions, Prefixes());
}

at::Tensor LanguageModel::Head(const DecoderTrunk& trunk, const at::Tensor& states,
                               const at::Tensor& mask) const {
  return Head(trunk, states, mask, Prefixes());
}

LanguageModel::Prefilled LanguageModel::Prefill(const at::Tensor& states, const at::Tensor& mask,
                                                const at::Tensor& prefix_ids,
                                                std::span<const int64_t> lengths) const {
  return Prefill(states, mask, prefix_ids, lengths, Prefixes(), nullptr);
}

at::Tensor LanguageModel::Step(DecoderState& state, const at::Tensor& ids) const {
  Team alone;
  return Step(state, ids, alone);
}

bool LanguageModel::steps_in_fixed_order() const {
  return geometry().device == "cpu" && BestModelKernels() != nullptr;
}

size_t LanguageModel::KvBytesOf(std::span<const KvNeed> needs) const {
  return steps_in_fixed_order() ? KvRows::BytesOf(geometry(), needs)
                                : KvState::BytesOf(geometry(), needs);
}

}  // namespace ddpt
