#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/safetensors.h"
#include "core/diffusion/denoiser_spec.h"

namespace ddpt {

// The tensors of a denoiser, row-major, [out, in]; D = n * w, h = latent, F = time_features,
// C = condition_width. In the comments, their names in the file.
//   g(x, t, c) = U phi + u,  a_0 = silu(W x + b + tau(t) + kappa(c)),
//   a_l = a_{l-1} + silu(V_l a_{l-1} + d_l),  phi = a_layers,
//   tau(t) = B2 silu(B1 s(t) + c1) + c2,  kappa(c) = K c, or `condition_null` without a condition.
struct DenoiserWeights {
  struct Layer {
    std::vector<float> weight;  // hidden.N.weight [h, h], N = 1..layers: V_N
    std::vector<float> bias;    // hidden.N.bias [h]: d_N
  };
  std::vector<float> down_weight;      // down.weight [h, D]: W
  std::vector<float> down_bias;        // down.bias [h]: b
  std::vector<float> time_in_weight;   // time.1.weight [h, F]: B1
  std::vector<float> time_in_bias;     // time.1.bias [h]: c1
  std::vector<float> time_out_weight;  // time.2.weight [h, h]: B2
  std::vector<float> time_out_bias;    // time.2.bias [h]: c2
  std::vector<Layer> hidden;
  std::vector<float> up_weight;         // up.weight [D, h]: U
  std::vector<float> up_bias;           // up.bias [D]: u
  std::vector<float> condition_weight;  // condition.weight [h, C]: K; absent where C = 0
  std::vector<float> condition_null;    // condition.null [h]; absent where C = 0
  std::vector<float> context;           // context [n, w]: E, the context tokens' embedding
  std::vector<float> reference;         // reference [n, w]: x_ref at the end of training; optional
};

// Zeros of the right sizes for a valid `spec`, without a reference.
DenoiserWeights ZeroWeights(const DenoiserSpec& spec);

// A denoiser file in memory: checked once, then immutable, thread-safe and shared.
class Denoiser {
 public:
  // Reads and checks a file: metadata (SpecFromMetadata), exactly the tensors of DenoiserWeights,
  // float32, of the shapes that the metadata imply, finite, and zero where `method` says so.
  // INVALID_ARGUMENT names the file, the key or tensor, its value and the limit. Load blocks on the
  // file system; Parse copies what it needs of `bytes`.
  static absl::StatusOr<std::shared_ptr<const Denoiser>> Load(const std::string& path);
  static absl::StatusOr<std::shared_ptr<const Denoiser>> Parse(std::string_view bytes,
                                                               std::string_view name);

  // The bytes of a file; deterministic. INVALID_ARGUMENT where Parse would refuse them.
  static absl::StatusOr<std::string> Serialize(const DenoiserSpec& spec,
                                               const DenoiserWeights& weights);

  const DenoiserSpec& spec() const { return spec_; }
  const DenoiserWeights& weights() const { return weights_; }
  // E, [n, w].
  std::span<const float> context() const { return weights_.context; }
  // 64 hexadecimal digits: SHA-256 of the file's bytes.
  const std::string& digest() const { return digest_; }

 private:
  Denoiser(DenoiserSpec spec, DenoiserWeights weights, std::string digest)
      : spec_(std::move(spec)), weights_(std::move(weights)), digest_(std::move(digest)) {}
  static absl::StatusOr<std::shared_ptr<const Denoiser>> FromFile(const SafetensorsFile& file,
                                                                  std::string_view bytes);

  DenoiserSpec spec_;
  DenoiserWeights weights_;
  std::string digest_;
};

}  // namespace ddpt
