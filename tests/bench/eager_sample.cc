// The peer of `ddpt bench sample`: DDIM in all D dimensions as one writes it with LibTorch,
// operator by operator, on the same denoiser and from the same x_T.
//
//   eager-sample DENOISER.safetensors BENCH.safetensors [THREADS [RUNS]]
//
// BENCH is what `ddpt bench sample --write` wrote. Prints one JSON object with the times and the
// largest difference from our prompts, relative to the largest element of a prompt. In favour of
// the peer: the embeddings of all time steps are a table made before the clock starts, the
// coefficients are plain numbers, and nothing in the loop waits or copies.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/safetensors.h"
#include "core/base/status.h"
#include "core/diffusion/denoiser.h"
#include "core/diffusion/schedule.h"

namespace ddpt {
namespace {

struct Network {
  at::Tensor down, up, up_bias;            // [h, D], [D, h], [D]
  std::vector<at::Tensor> biases;          // b + tau(t), [h] for each t
  std::vector<at::Tensor> hidden, shifts;  // [h, h], [h] for each layer
  at::Tensor context;                      // [D]
};

struct Step {
  int64_t t;
  double p, q;  // x' = p x + q x0_hat
};

at::Tensor Copy(const std::vector<float>& values, std::vector<int64_t> shape) {
  return at::from_blob(const_cast<float*>(values.data()), shape).clone();
}

Network MakeNetwork(const Denoiser& denoiser) {
  const DenoiserSpec& spec = denoiser.spec();
  const DenoiserWeights& weights = denoiser.weights();
  const int64_t h = spec.latent, size = spec.size(), features = spec.time_features;
  Network network{.down = Copy(weights.down_weight, {h, size}),
                  .up = Copy(weights.up_weight, {size, h}),
                  .up_bias = Copy(weights.up_bias, {size}),
                  .biases = {},
                  .hidden = {},
                  .shifts = {},
                  .context = Copy(weights.context, {size})};
  const at::Tensor time =
      Copy(TimeFeatures(spec.train_steps, features), {spec.train_steps, features});
  const at::Tensor inner = at::silu(at::linear(time, Copy(weights.time_in_weight, {h, features}),
                                               Copy(weights.time_in_bias, {h})));
  const at::Tensor table =
      at::linear(inner, Copy(weights.time_out_weight, {h, h}), Copy(weights.time_out_bias, {h}));
  network.biases = (table + Copy(weights.down_bias, {h})).unbind(0);
  for (const DenoiserWeights::Layer& layer : weights.hidden) {
    network.hidden.push_back(Copy(layer.weight, {h, h}));
    network.shifts.push_back(Copy(layer.bias, {h}));
  }
  return network;
}

std::vector<Step> DdimSteps(const DenoiserSpec& spec, int64_t count) {
  const std::vector<double> alpha_bars = AlphaBars(spec);
  const std::vector<int64_t> times = TrailingTimesteps(spec.train_steps, count);
  std::vector<Step> steps;
  for (size_t i = 0; i < times.size(); ++i) {
    const double now = alpha_bars[times[i]];
    const double next = i + 1 < times.size() ? alpha_bars[times[i + 1]] : 1.0;
    const double p = std::sqrt((1 - next) / (1 - now));
    steps.push_back({times[i], p, std::sqrt(next) - p * std::sqrt(now)});
  }
  return steps;
}

at::Tensor Sample(const Network& network, const std::vector<Step>& steps, at::Tensor x) {
  for (const Step& step : steps) {
    at::Tensor a = at::silu(at::linear(x, network.down, network.biases[step.t]));
    for (size_t l = 0; l < network.hidden.size(); ++l) {
      a = a + at::silu(at::linear(a, network.hidden[l], network.shifts[l]));
    }
    const at::Tensor direction = at::linear(a, network.up, network.up_bias);
    x = x.mul(step.p).add(direction, step.q);
  }
  return x + network.context;
}

absl::StatusOr<at::Tensor> Read(const SafetensorsFile& file, const std::string& name,
                                int64_t size) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end()) return absl::NotFoundError("no tensor " + name);
  return Copy(found->second.ToTensor().data, {found->second.shape[0], size});
}

// The best rate of a product of two matrices of 1536 x 1536.
double MatrixProductRate() {
  constexpr int64_t kSize = 1536;
  constexpr int kProducts = 20;
  const at::Tensor a = at::rand({kSize, kSize}), b = at::rand({kSize, kSize});
  at::Tensor c = at::mm(a, b);
  double best = 0;
  for (int product = 0; product < kProducts; ++product) {
    const auto begin = std::chrono::steady_clock::now();
    at::mm_out(c, a, b);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    best = std::max(best, 2.0 * kSize * kSize * kSize / time.count());
  }
  return best;
}

absl::StatusOr<nlohmann::ordered_json> Run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) return absl::InvalidArgumentError("DENOISER and BENCH are needed");
  const int threads = arguments.size() > 2 ? std::atoi(arguments[2].c_str()) : 2;
  const int runs = arguments.size() > 3 ? std::atoi(arguments[3].c_str()) : 3;
  DDPT_ASSIGN_OR_RETURN(const auto denoiser, Denoiser::Load(arguments[0]));
  DDPT_ASSIGN_OR_RETURN(const auto bench, SafetensorsFile::Open(arguments[1]));
  if (denoiser->spec().reading != Reading::kX0 || bench->metadata().at("sampler") != "ddim") {
    return absl::InvalidArgumentError("only reading x0 under ddim has this loop");
  }
  DDPT_ASSIGN_OR_RETURN(const at::Tensor noise,
                        Read(*bench, "initial_noise", denoiser->spec().size()));
  DDPT_ASSIGN_OR_RETURN(const at::Tensor ours, Read(*bench, "prompts", denoiser->spec().size()));
  const Network network = MakeNetwork(*denoiser);
  const std::vector<Step> steps =
      DdimSteps(denoiser->spec(), std::atoi(bench->metadata().at("steps").c_str()));
  at::set_num_threads(threads);
  Sample(network, {steps.begin(), steps.begin() + std::min<size_t>(steps.size(), 50)}, noise);
  std::vector<double> seconds;
  at::Tensor prompts;
  for (int run = 0; run < runs; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    prompts = Sample(network, steps, noise);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    seconds.push_back(time.count());
  }
  std::sort(seconds.begin(), seconds.end());
  const double difference = ((prompts - ours).abs().max() / ours.abs().max()).item<double>();
  return nlohmann::ordered_json{{"median_seconds", seconds[seconds.size() / 2]},
                                {"best_seconds", seconds.front()},
                                {"runs", seconds.size()},
                                {"batch", noise.size(0)},
                                {"threads", threads},
                                {"steps", steps.size()},
                                {"max_relative_difference", difference},
                                {"matrix_product_flop_per_second", MatrixProductRate()}};
}

}  // namespace
}  // namespace ddpt

int main(int argc, char** argv) {
  const c10::InferenceMode no_autograd;
  const auto report = ddpt::Run(std::vector<std::string>(argv + 1, argv + argc));
  if (!report.ok()) {
    std::cerr << "eager-sample: " << report.status().message() << "\n";
    return 1;
  }
  std::cout << report->dump() << "\n";
  return 0;
}
