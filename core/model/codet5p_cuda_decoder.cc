#include "core/model/codet5p_cuda_decoder.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/model/codet5p_layers.h"
#include "core/model/cuda_kernels.h"
#include "core/model/linear.h"

namespace ddpt::codet5p {
namespace {

// Nothing where the kernels have no such elements.
std::optional<cuda::Element> ElementOf(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return cuda::Element::kFloat32;
    case at::kBFloat16:
      return cuda::Element::kBfloat16;
    case at::kHalf:
      return cuda::Element::kFloat16;
    default:
      return std::nullopt;
  }
}

const void* Data(const at::Tensor& x) { return x.defined() ? x.const_data_ptr() : nullptr; }

cuda::Map MapOf(const Linear& linear) {
  const at::Tensor& weight = linear.weight();
  return {Data(weight), Data(linear.bias()), static_cast<int>(weight.size(1)),
          static_cast<int>(weight.size(0))};
}

// What the kernels read by a pointer.
bool IsReadable(const at::Tensor& x, const at::Tensor& like) {
  return !x.defined() || (x.scalar_type() == like.scalar_type() && x.device() == like.device() &&
                          x.is_contiguous() &&
                          reinterpret_cast<uintptr_t>(x.const_data_ptr()) % cuda::kPieceBytes == 0);
}

bool FitsKernels(const Linear& linear, const at::Tensor& like) {
  const at::Tensor& weight = linear.weight();
  return IsReadable(weight, like) && IsReadable(linear.bias(), like) &&
         weight.size(1) * weight.element_size() % cuda::kPieceBytes == 0;
}

bool FitsKernels(const Norm& norm, const at::Tensor& like) {
  return IsReadable(norm.weight, like) && IsReadable(norm.bias, like) &&
         norm.weight.size(0) <= cuda::kMaxNormWidth;
}

Norm NormOf(const StateDict& weights, const std::string& prefix, const Codet5pConfig& config) {
  return {weights.at(prefix + ".weight"), weights.at(prefix + ".bias"), config.decoder.epsilon};
}

struct Layer {
  Layer(const StateDict& weights, const std::string& prefix, const Codet5pConfig& config)
      : norm(NormOf(weights, prefix + "ln_1", config)),
        qkv(weights, prefix + "attn.qkv_proj"),
        out(weights, prefix + "attn.out_proj"),
        inner(weights, prefix + "mlp.fc_in"),
        outer(weights, prefix + "mlp.fc_out") {}
  Norm norm;
  Linear qkv, out, inner, outer;
};

class Decoder : public CudaDecoder {
 public:
  Decoder(const StateDict& weights, const Codet5pConfig& config, const Rotary& rotary,
          cuda::Element element)
      : element_(element),
        heads_(static_cast<int>(config.decoder.heads)),
        head_width_(static_cast<int>(config.decoder.width / config.decoder.heads)),
        embedding_(weights.at(absl::StrCat(kDecoderStack, "wte.weight")).detach()),
        norm_(NormOf(weights, absl::StrCat(kDecoderStack, "ln_f"), config)),
        head_(weights, "decoder.lm_head"),
        cross_query_(weights, CrossPrefix(config) + "q_attn"),
        cross_out_(weights, CrossPrefix(config) + "out_proj"),
        cosine_(rotary.cosine.contiguous()),
        sine_(rotary.sine.contiguous()) {
    for (int64_t i = 0; i < config.decoder.layers; ++i) {
      layers_.emplace_back(weights, absl::StrCat(kDecoderStack, "h.", i, "."), config);
    }
    C10_CUDA_CHECK(cudaDeviceGetAttribute(&capability_, cudaDevAttrComputeCapabilityMajor,
                                          embedding_.device().index()));
  }

  bool Fits() const {
    const auto fits = [&](const auto&... parts) { return (FitsKernels(parts, embedding_) && ...); };
    return capability_ >= cuda::kLeastCapability && IsReadable(embedding_, embedding_) &&
           cuda::Attends(element_, head_width_) && fits(norm_, head_, cross_query_, cross_out_) &&
           std::ranges::all_of(layers_, [&](const Layer& layer) {
             return fits(layer.norm, layer.qkv, layer.out, layer.inner, layer.outer);
           });
  }

  bool Takes(const KvState& state) const override {
    return !state.cross().key.requires_grad() && !state.past(0).key.requires_grad();
  }

  at::Tensor Step(KvState& state, const at::Tensor& ids) const override {
    const c10::cuda::CUDAGuard guard(embedding_.device());
    Token token = Begin(state, ids);
    for (size_t i = 0; i < layers_.size(); ++i) {
      Normalize(layers_[i].norm, token);
      token.few ? FewRows(i, state, token) : ManyRows(i, state, token);
    }
    state.End();
    LookAtEncoder(state, token);
    Normalize(norm_, token);
    if (!token.few) return head_(token.normed).to(at::kFloat);
    at::Tensor logits = token.Floats(head_.outputs());
    C10_CUDA_CHECK(cuda::Multiply(element_, OfNormed(head_, token, logits, cuda::Output::kFloat),
                                  {}, token.queue));
    return logits;
  }

 private:
  // The numbers of a step on their way from kernel to kernel, [rows, width] each.
  struct Token {
    at::Tensor Floats(int64_t width) const {
      return at::empty({rows, width}, normed.options().dtype(at::kFloat));
    }
    at::Tensor Elements(int64_t width) const { return at::empty({rows, width}, normed.options()); }

    int rows = 0;
    bool few = false;  // so few that cuda::Multiply takes them
    cuda::Queue queue;
    at::Tensor ids, places;  // places and positions: [2, rows] int32
    at::Tensor x, normed;
    at::Tensor product, inner, attended;
    at::Tensor partial, arrived;           // of cuda::Product, where rows are few
    at::Tensor heads_done;                 // of cuda::Attention: of each layer, and of the encoder
    std::vector<at::Tensor> addends = {};  // that x does not have yet
  };

  Token Begin(KvState& state, const at::Tensor& ids) const {
    state.MakeRoom();
    const std::vector<int64_t>&lengths = state.lengths(), &prefixes = state.prefixes();
    std::vector<int32_t> numbers(lengths.begin(), lengths.end());
    for (size_t row = 0; row < lengths.size(); ++row) {
      numbers.push_back(static_cast<int32_t>(lengths[row] - prefixes[row]));
    }
    const int64_t rows = state.rows(), width = embedding_.size(1);
    Token token;
    token.rows = static_cast<int>(rows);
    token.few = rows <= cuda::kMaxRows;
    token.queue = {c10::cuda::getCurrentCUDAStream(embedding_.device().index()).stream(),
                   capability_ >= cuda::kEarlyCapability};
    token.ids = ids.contiguous();
    // From memory that may be swapped: it is copied away before this returns.
    token.places = at::tensor(at::ArrayRef<int32_t>(numbers), at::kInt)
                       .to(embedding_.device(), /*non_blocking=*/true);
    TORCH_CHECK(ids.sizes() == at::IntArrayRef({rows}) && ids.is_cuda(), "ids are not [rows]");
    TORCH_CHECK(*std::max_element(numbers.begin() + rows, numbers.end()) < cosine_.size(0),
                "a row is at the model's last position");
    token.normed = at::empty({rows, width}, embedding_.options());
    token.x = token.Floats(width);
    token.attended = token.Elements(width);
    if (token.few) {
      token.product = token.Elements(3 * width);
      token.inner = token.Elements(layers_[0].inner.outputs());
      const auto size = static_cast<int64_t>(cuda::PartialSize(Sum(layers_[0], token)));
      token.partial = at::empty({size}, token.x.options());
    }
    const auto layers = static_cast<int64_t>(layers_.size());
    const at::Tensor zeros = at::zeros({layers + 1 + width}, token.places.options());
    token.heads_done = zeros.narrow(0, 0, layers + 1);
    token.arrived = zeros.narrow(0, layers + 1, width);
    C10_CUDA_CHECK(cuda::Embed(element_, Data(embedding_), token.ids.const_data_ptr<int64_t>(),
                               token.rows, static_cast<int>(width),
                               token.x.mutable_data_ptr<float>(), token.queue));
    return token;
  }

  void Normalize(const Norm& norm, Token& token) const {
    cuda::NormRows rows{.x = token.x.mutable_data_ptr<float>(),
                        .addends = {},
                        .out = token.normed.mutable_data_ptr(),
                        .rows = token.rows,
                        .width = static_cast<int>(token.x.size(1))};
    for (size_t i = 0; i < token.addends.size(); ++i) rows.addends[i] = Data(token.addends[i]);
    C10_CUDA_CHECK(cuda::Normalize(
        element_, {Data(norm.weight), Data(norm.bias), static_cast<float>(norm.epsilon)}, rows,
        token.queue));
    token.addends.clear();
  }

  // y = W normed + b.
  static cuda::Product OfNormed(const Linear& linear, const Token& token, const at::Tensor& out,
                                cuda::Output output = cuda::Output::kElement) {
    return {.map = MapOf(linear),
            .in = Data(token.normed),
            .out = out.mutable_data_ptr(),
            .output = output,
            .rows = token.rows};
  }

  // What a layer adds to the residual stream.
  static cuda::Product Sum(const Layer& layer, const Token& token) {
    return {.map = MapOf(layer.out),
            .other = MapOf(layer.outer),
            .in = Data(token.attended),
            .other_in = Data(token.inner),
            .out = token.x.mutable_data_ptr(),
            .output = cuda::Output::kAdd,
            .rows = token.rows,
            .partial = token.partial.defined() ? token.partial.mutable_data_ptr<float>() : nullptr,
            .arrived = token.arrived.defined() ? Counts(token.arrived) : nullptr};
  }

  static unsigned* Counts(const at::Tensor& counts) {
    return reinterpret_cast<unsigned*>(counts.mutable_data_ptr<int32_t>());
  }

  // In layer i.
  cuda::Attention Attention(size_t i, const Heads& heads, const at::Tensor& product,
                            const Token& token) const {
    const auto* const places = token.places.const_data_ptr<int32_t>();
    return {.product = Data(product),
            .own = true,
            .keys = heads.key.mutable_data_ptr(),
            .values = heads.value.mutable_data_ptr(),
            .capacity = static_cast<int>(heads.key.size(2)),
            .bias = nullptr,
            .places = places,
            .positions = places + token.rows,
            .cosine = cosine_.const_data_ptr<float>(),
            .sine = sine_.const_data_ptr<float>(),
            .pairs = static_cast<int>(cosine_.size(1)),
            .out = token.attended.mutable_data_ptr(),
            .rows = token.rows,
            .heads = heads_,
            .head_width = head_width_,
            .attended = Counts(token.heads_done) + i};
  }

  void FewRows(size_t i, const KvState& state, const Token& token) const {
    const Layer& layer = layers_[i];
    C10_CUDA_CHECK(cuda::Multiply(element_, OfNormed(layer.qkv, token, token.product),
                                  OfNormed(layer.inner, token, token.inner, cuda::Output::kGelu),
                                  token.queue));
    C10_CUDA_CHECK(cuda::AttendAndMultiply(element_,
                                           Attention(i, state.past(i), token.product, token),
                                           Sum(layer, token), token.queue));
  }

  void ManyRows(size_t i, const KvState& state, Token& token) const {
    const Layer& layer = layers_[i];
    const at::Tensor product = layer.qkv(token.normed);
    C10_CUDA_CHECK(
        cuda::Attend(element_, Attention(i, state.past(i), product, token), token.queue));
    const at::Tensor inner = at::gelu(layer.inner(token.normed), "tanh");
    token.addends = {layer.out(token.attended), layer.outer(inner)};
  }

  void LookAtEncoder(const KvState& state, Token& token) const {
    const at::Tensor query = token.few ? token.product : cross_query_(token.normed);
    cuda::Attention attention = Attention(layers_.size(), state.cross(), query, token);
    attention.own = false;
    attention.bias = state.cross_bias().const_data_ptr<float>();
    if (!token.few) {
      C10_CUDA_CHECK(cuda::Attend(element_, attention, token.queue));
      token.addends.push_back(cross_out_(token.attended));
      return;
    }
    const cuda::Product out{.map = MapOf(cross_out_),
                            .in = Data(token.attended),
                            .out = token.x.mutable_data_ptr(),
                            .output = cuda::Output::kAdd,
                            .rows = token.rows};
    C10_CUDA_CHECK(cuda::Multiply(element_, OfNormed(cross_query_, token, query), {}, token.queue));
    C10_CUDA_CHECK(cuda::AttendAndMultiply(element_, attention, out, token.queue));
  }

  const cuda::Element element_;
  const int heads_, head_width_;
  const at::Tensor embedding_;
  std::vector<Layer> layers_;
  const Norm norm_;
  const Linear head_, cross_query_, cross_out_;
  const at::Tensor cosine_, sine_;  // [positions, rotary_dim / 2] float32
  int capability_ = 0;              // compute capability, the first number
};

}  // namespace

std::unique_ptr<const CudaDecoder> CudaDecoder::Create(const StateDict& weights,
                                                       const Codet5pConfig& config,
                                                       const Rotary& rotary) {
  const at::Tensor& embedding = weights.at(absl::StrCat(kDecoderStack, "wte.weight"));
  const auto element = ElementOf(embedding.scalar_type());
  if (!embedding.is_cuda() || !element) return nullptr;
  auto decoder = std::make_unique<const Decoder>(weights, config, rotary, *element);
  return decoder->Fits() ? std::move(decoder) : nullptr;
}

}  // namespace ddpt::codet5p
