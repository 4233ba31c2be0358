#include "core/model/batch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

namespace ddpt {
namespace {

using IdRows = std::span<const std::vector<uint32_t>>;

int64_t Longest(IdRows rows) {
  size_t longest = 1;
  for (const auto& row : rows) longest = std::max(longest, row.size());
  return static_cast<int64_t>(longest);
}

// [1, n, w] or [B, n, w] -> [B, n, w] in the dtype of `like`.
at::Tensor PromptRows(const at::Tensor& rows, const at::Tensor& like) {
  return rows.to(like.device(), like.scalar_type()).expand({like.size(0), -1, -1});
}

}  // namespace

PaddedIds PadIds(IdRows rows, const std::string& device) {
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t width = Longest(rows);
  PaddedIds padded{at::zeros({count, width}, at::kLong), at::zeros({count, width}, at::kBool)};
  auto* ids = padded.ids.mutable_data_ptr<int64_t>();
  auto* mask = padded.mask.mutable_data_ptr<bool>();
  for (int64_t row = 0; row < count; ++row) {
    std::copy(rows[row].begin(), rows[row].end(), ids + row * width);
    std::fill_n(mask + row * width, rows[row].size(), true);
  }
  return {padded.ids.to(at::Device(device)), padded.mask.to(at::Device(device))};
}

EncoderBatch WithPrompt(const LanguageModel& model, const at::Tensor& prompt,
                        const PaddedIds& ids) {
  const at::Tensor embedded = model.EmbedEncoderTokens(ids.ids);
  const at::Tensor rows = prompt.dim() == 2 ? prompt.unsqueeze(0) : prompt;
  if (PrefixOfWidth(model.geometry(), rows.size(2))) {
    return {embedded, ids.mask, UnpackPrefixes(model.geometry(), rows.unbind())};
  }
  const at::Tensor front = PromptRows(rows, embedded);
  const at::Tensor ones = at::ones({front.size(0), front.size(1)}, ids.mask.options());
  return {at::cat({front, embedded}, 1), at::cat({ones, ids.mask}, 1)};
}

EncoderBatch WithoutPrompt(const LanguageModel& model, const PaddedIds& ids) {
  return {model.EmbedEncoderTokens(ids.ids), ids.mask};
}

EncoderBatch WithPrompts(const LanguageModel& model, std::span<const Tensor* const> prompts,
                         IdRows ids) {
  const std::string& device = model.geometry().device;
  const at::Tensor embedded = model.EmbedEncoderTokens(PadIds(ids, device).ids);
  std::vector<at::Tensor> rows, prefixes(ids.size());
  std::vector<std::vector<uint32_t>> filled;  // one id for each vector, for the mask's sake
  for (size_t row = 0; row < ids.size(); ++row) {
    const auto length = static_cast<int64_t>(ids[row].size());
    at::Tensor tokens = embedded[static_cast<int64_t>(row)].narrow(0, 0, length);
    if (prompts[row] != nullptr) {
      const at::Tensor prompt = ToTorch(*prompts[row], device);
      if (PrefixOfWidth(model.geometry(), prompt.size(1))) {
        prefixes[row] = prompt;
      } else {
        tokens = at::cat({prompt.to(tokens.scalar_type()), tokens}, 0);
      }
    }
    filled.emplace_back(tokens.size(0), 0);
    rows.push_back(std::move(tokens));
  }
  return {at::pad_sequence(rows, /*batch_first=*/true), PadIds(filled, device).mask,
          UnpackPrefixes(model.geometry(), prefixes)};
}

TargetBatch BuildTargets(IdRows prefixes, IdRows answers, const std::string& device) {
  std::vector<std::vector<uint32_t>> inputs, positions;
  for (size_t row = 0; row < prefixes.size(); ++row) {
    std::vector<uint32_t>& input = inputs.emplace_back(prefixes[row]);
    input.insert(input.end(), answers[row].begin(), answers[row].end() - 1);
    std::vector<uint32_t>& places = positions.emplace_back();
    for (size_t i = 0; i < answers[row].size(); ++i) {
      places.push_back(static_cast<uint32_t>(prefixes[row].size() - 1 + i));
    }
  }
  PaddedIds targets = PadIds(answers, device);
  return {PadIds(inputs, device).ids, PadIds(positions, device).ids, std::move(targets.ids),
          std::move(targets.mask)};
}

at::Tensor TargetLogProbs(const at::Tensor& logits, const at::Tensor& targets) {
  const at::Tensor log_probs = at::log_softmax(logits, -1, at::kFloat);
  return at::gather(log_probs, -1, targets.unsqueeze(-1)).squeeze(-1);
}

at::Tensor MeanNll(const at::Tensor& log_probs, const at::Tensor& mask) {
  const at::Tensor weights = mask.to(log_probs.scalar_type());
  return -(log_probs * weights).sum() / weights.sum();
}

at::Tensor ToTorch(const Tensor& tensor, const std::string& device) {
  const at::Tensor copy = at::empty(tensor.shape, at::kFloat);
  if (!tensor.data.empty()) {
    std::memcpy(copy.mutable_data_ptr<float>(), tensor.data.data(),
                tensor.data.size() * sizeof(float));
  }
  return copy.to(at::Device(device));
}

Tensor FromTorch(const at::Tensor& tensor) {
  const at::Tensor values = tensor.detach().to(at::Device(at::kCPU), at::kFloat).contiguous();
  const auto* data = values.const_data_ptr<float>();
  return {values.sizes().vec(), std::vector<float>(data, data + values.numel())};
}

}  // namespace ddpt
