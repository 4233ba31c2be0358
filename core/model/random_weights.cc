#include "core/model/random_weights.h"

#include <ATen/ATen.h>

#include "core/base/philox.h"

namespace ddpt {
namespace {

at::Tensor RandomWeight(const std::string& name, const std::vector<int64_t>& shape,
                        const NoiseKey& key, float scale) {
  const at::Tensor weight = at::zeros(shape);
  if (shape.size() == 1) {
    const bool norm = name.find("ln_") != std::string::npos && name.ends_with(".weight");
    return norm ? at::ones(shape) : weight;
  }
  FillNormal(key, {weight.mutable_data_ptr<float>(), static_cast<size_t>(weight.numel())});
  return at::mul(weight, scale);
}

}  // namespace

StateDict RandomCodet5pWeights(const Codet5pConfig& config, uint64_t seed, float scale) {
  StateDict weights;
  NoiseKey key{.seed = seed};
  for (const auto& [name, shape] : Codet5pTensorShapes(config)) {
    weights[name] = RandomWeight(name, shape, key, scale);
    ++key.sample;
  }
  return weights;
}

}  // namespace ddpt
