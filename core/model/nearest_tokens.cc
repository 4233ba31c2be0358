#include "core/model/nearest_tokens.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "core/model/batch.h"
#include "core/model/language_model.h"

namespace ddpt {
namespace {

constexpr int64_t kRowsAtATime = 16, kTokensAtATime = 4096;
constexpr double kLeastNorm = 1e-12;

at::Tensor Normalized(const at::Tensor& rows) {
  const at::Tensor wide = rows.to(at::kFloat);
  return wide / at::clamp_min(wide.norm(2, {1}, /*keepdim=*/true), kLeastNorm);
}

// [rows, vocabulary] on the processor.
at::Tensor Cosines(const LanguageModel& model, const at::Tensor& rows) {
  const int64_t vocabulary = model.geometry().vocabulary_size;
  const at::Tensor directions = Normalized(rows);
  std::vector<at::Tensor> parts;
  for (int64_t first = 0; first < vocabulary; first += kTokensAtATime) {
    const at::Tensor ids = at::arange(first, std::min(first + kTokensAtATime, vocabulary),
                                      rows.options().dtype(at::kLong));
    parts.push_back(at::matmul(directions, Normalized(model.EmbedEncoderTokens(ids)).t()));
  }
  return at::cat(parts, 1).to(at::kCPU).contiguous();
}

}  // namespace

std::vector<std::vector<NearToken>> NearestTokens(const LanguageModel& model, const Tensor& vectors,
                                                  const std::function<bool(uint32_t)>& is_token,
                                                  size_t count) {
  const at::NoGradGuard no_grad;
  const auto vocabulary = static_cast<uint32_t>(model.geometry().vocabulary_size);
  std::vector<uint32_t> tokens;
  for (uint32_t id = 0; id < vocabulary; ++id) {
    if (is_token(id)) tokens.push_back(id);
  }
  count = std::min(count, tokens.size());
  const at::Tensor rows = ToTorch(vectors, model.geometry().device);
  std::vector<std::vector<NearToken>> nearest;
  for (int64_t first = 0; first < rows.size(0); first += kRowsAtATime) {
    const int64_t taken = std::min(kRowsAtATime, rows.size(0) - first);
    const at::Tensor cosines = Cosines(model, rows.narrow(0, first, taken));
    for (int64_t row = 0; row < taken; ++row) {
      const float* cosine = cosines.const_data_ptr<float>() + row * vocabulary;
      std::partial_sort(tokens.begin(), tokens.begin() + static_cast<int64_t>(count), tokens.end(),
                        [cosine](uint32_t a, uint32_t b) {
                          return cosine[a] != cosine[b] ? cosine[a] > cosine[b] : a < b;
                        });
      std::vector<NearToken>& near = nearest.emplace_back();
      for (size_t i = 0; i < count; ++i) near.push_back({tokens[i], cosine[tokens[i]]});
    }
  }
  return nearest;
}

Tensor TokenVectors(const LanguageModel& model, std::span<const uint32_t> ids) {
  const at::NoGradGuard no_grad;
  const std::vector<uint32_t> row(ids.begin(), ids.end());
  const at::Tensor padded = PadIds({&row, 1}, model.geometry().device).ids;
  const at::Tensor vectors =
      model.EmbedEncoderTokens(padded)[0].to(at::kCPU, at::kFloat).contiguous();
  const float* values = vectors.const_data_ptr<float>();
  return {vectors.sizes().vec(), {values, values + vectors.numel()}};
}

}  // namespace ddpt
