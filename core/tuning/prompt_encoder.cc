#include "core/tuning/prompt_encoder.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/philox.h"
#include "core/model/batch.h"

namespace ddpt {
namespace {

constexpr uint32_t kEncoderStage = 0xBu << 28;  // apart from all other stages of training
constexpr int64_t kLstmLayers = 2;
constexpr char kPrefix[] = "prompt_encoder.";

std::string Name(const std::string& layer, const char* part) {
  return absl::StrCat(kPrefix, layer, ".", part);
}

at::Tensor Layer(const PromptEncoder::Tensors& weights, const std::string& layer,
                 const at::Tensor& x) {
  return at::linear(x, weights.at(Name(layer, "weight")), weights.at(Name(layer, "bias")));
}

// Layer by layer, forwards then backwards: what at::lstm takes.
std::vector<std::string> LstmNames() {
  std::vector<std::string> names;
  for (int64_t layer = 0; layer < kLstmLayers; ++layer) {
    for (const char* direction : {"forward", "backward"}) {
      for (const char* part : {"input.weight", "hidden.weight", "input.bias", "hidden.bias"}) {
        names.push_back(Name(absl::StrCat("lstm.", layer, ".", direction), part));
      }
    }
  }
  return names;
}

// Matrices [out, in] keep the variance of their inputs, vectors are zero.
void Fill(PromptEncoder::Tensors& weights, uint64_t seed) {
  uint64_t sample = 0;
  for (auto& [name, tensor] : weights) {
    ++sample;
    if (tensor.dim() < 2) continue;
    Tensor values{tensor.sizes().vec(), std::vector<float>(tensor.numel())};
    FillNormal({.seed = seed, .sample = sample, .stage = kEncoderStage}, values.data);
    tensor.copy_(ToTorch(values, "cpu"));
    if (name != absl::StrCat(kPrefix, "embedding")) tensor.div_(std::sqrt(double(tensor.size(1))));
  }
}

}  // namespace

PromptEncoder::Tensors PromptEncoder::InitialWeights(uint64_t seed,
                                                     const std::string& device) const {
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  const bool lstm = kind_ == Kind::kLstm;
  const int64_t inner = lstm ? 2 * hidden_ : hidden_;
  Tensors weights = {{absl::StrCat(kPrefix, "embedding"), at::empty({length_, width_}, options)}};
  const auto add = [&](const std::string& layer, int64_t in, int64_t out) {
    weights[Name(layer, "weight")] = at::zeros({out, in}, options);
    weights[Name(layer, "bias")] = at::zeros({out}, options);
  };
  if (!lstm) add("1", width_, inner);
  add("2", inner, inner);
  for (const std::string& name : lstm ? LstmNames() : std::vector<std::string>()) {
    const bool first = name.find("lstm.0") != std::string::npos;
    const int64_t in = name.find("input") == std::string::npos ? hidden_ : first ? width_ : inner;
    const bool bias = name.ends_with("bias");
    weights[name] =
        bias ? at::zeros({4 * hidden_}, options) : at::zeros({4 * hidden_, in}, options);
  }
  Fill(weights, seed);
  add("last", inner, width_);
  return weights;
}

at::Tensor PromptEncoder::Forward(const Tensors& weights) const {
  at::Tensor x = weights.at(absl::StrCat(kPrefix, "embedding"));
  if (kind_ == Kind::kLstm) {
    std::vector<at::Tensor> parameters;
    for (const std::string& name : LstmNames()) parameters.push_back(weights.at(name));
    const at::Tensor zero = at::zeros({2 * kLstmLayers, 1, hidden_}, x.options());
    x = std::get<0>(at::lstm(x.unsqueeze(0), {zero, zero}, parameters, /*has_biases=*/true,
                             kLstmLayers, /*dropout=*/0, /*train=*/true, /*bidirectional=*/true,
                             /*batch_first=*/true))
            .squeeze(0);
  } else {
    x = at::relu(Layer(weights, "1", x));
  }
  return Layer(weights, "last", at::relu(Layer(weights, "2", x)));
}

}  // namespace ddpt
