#include "core/model/decoder_step.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace ddpt {
namespace {

void Enlarge(AlignedFloats* floats, size_t size) {
  if (floats->size() < size) *floats = AlignedFloats(size);
}

}  // namespace

at::Tensor FloatsOf(const at::Tensor& weight) {
  return weight.detach().to(at::kFloat).contiguous();
}

void EmbedToken(const at::Tensor& embedding, int64_t id, float* x) {
  const int64_t width = embedding.size(1);
  if (embedding.scalar_type() == at::kFloat) {
    std::copy_n(embedding.const_data_ptr<float>() + id * width, width, x);
  } else {
    std::copy_n(embedding.const_data_ptr<at::BFloat16>() + id * width, width, x);
  }
}

void PreparedBuffer::Fit(size_t rows, size_t inputs) {
  stride_ = PreparedBytes(inputs);
  Enlarge(&data_, rows * stride_ / sizeof(float));
  Enlarge(&scales_, rows);
}

void KvRows::Buffers::Fit(const StepWidths& wanted, size_t wanted_rows, size_t wanted_tokens) {
  constexpr size_t kTokensMore = 256;
  if (wanted_rows != rows) {
    logits = at::empty({static_cast<int64_t>(wanted_rows), static_cast<int64_t>(wanted.vocabulary)},
                       at::kFloat);
  }
  if (wanted_rows > rows || wanted_tokens > tokens) {
    tokens = std::max(tokens, wanted_tokens + kTokensMore);
    Enlarge(&x, wanted_rows * wanted.model);
    for (AlignedFloats* each : {&query, &key, &value, &attended}) {
      Enlarge(each, wanted_rows * wanted.attention);
    }
    for (AlignedFloats* each : {&inner, &gate}) Enlarge(each, wanted_rows * wanted.inner);
    prepared.Fit(wanted_rows, std::max(wanted.model, wanted.attention));
    prepared_inner.Fit(wanted_rows, wanted.inner);
    members.resize(Team::kMaxHelpers + 1);
    for (OfMember& member : members) {
      const size_t widest = std::max({wanted.model, wanted.attention, wanted.inner});
      for (AlignedFloats* each : {&member.row, &member.query, &member.found}) {
        Enlarge(each, PaddedHead(widest));
      }
      for (AlignedFloats* each : {&member.scores, &member.bias}) {
        Enlarge(each, tokens + kBlockTokens);
      }
      member.keys.reserve(tokens / kBlockTokens + 1);
      member.values.reserve(tokens / kBlockTokens + 1);
    }
  }
  widths = wanted;
  rows = wanted_rows;
}

OutputRange StepMember::Share(size_t outputs) const {
  constexpr size_t kUnit = 16;  // a line of floats, which two members would not write well
  const size_t units = (outputs + kUnit - 1) / kUnit;
  const auto border = [&](size_t part) {
    return std::min(outputs, units * part / member_.parts() * kUnit);
  };
  return {border(member_.part()), border(member_.part() + 1)};
}

void StepMember::Attend(const KvLayout& layout, const KvSequence& there, size_t layer, size_t head,
                        const float* query, float scale, const float* bias, float* out) {
  const size_t width = PaddedHead(layout.head_width);
  std::copy_n(query, layout.head_width, own.query.data());
  std::fill(own.query.data() + layout.head_width, own.query.data() + width, 0.0f);
  there.List(layout, layer, head, own.keys, own.values);
  const AttentionView view{
      own.keys.data(), own.values.data(), layout.bfloat16, width, there.length(), scale, bias};
  kernels.attend(view, own.query.data(), own.scores.data(), own.found.data());
  std::copy_n(own.found.data(), layout.head_width, out);
}

}  // namespace ddpt
