#include "core/tuning/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <utility>
#include <vector>

namespace ddpt {
namespace {

std::vector<at::Tensor> Values(const std::map<std::string, at::Tensor>& tensors) {
  std::vector<at::Tensor> values;
  for (const auto& [name, tensor] : tensors) values.push_back(tensor);
  return values;
}

}  // namespace

AdamW::AdamW(std::map<std::string, at::Tensor> parameters, Options options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const auto& [name, parameter] : parameters_) {
    first_[name] = at::zeros_like(parameter.detach());
    second_[name] = at::zeros_like(parameter.detach());
  }
}

double AdamW::Step(double learning_rate) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients;
  at::Tensor squares;
  for (const auto& [name, parameter] : parameters_) {
    const at::Tensor& gradient = parameter.grad();
    gradients.push_back(gradient.defined() ? gradient : at::zeros_like(parameter));
    const at::Tensor square = gradients.back().square().sum(at::kDouble);
    squares = squares.defined() ? squares + square : square;
  }
  const double norm = std::sqrt(squares.item<double>());
  if (std::isfinite(norm)) {
    if (norm > options_.clip_norm) {
      for (at::Tensor& gradient : gradients) gradient.mul_(options_.clip_norm / norm);
    }
    ++steps_;
    std::vector<at::Tensor> parameters = Values(parameters_), first = Values(first_),
                            second = Values(second_), none, counts;
    for (const at::Tensor& parameter : parameters) {
      counts.push_back(at::full({}, double(steps_), parameter.options().dtype(at::kFloat)));
    }
    at::_fused_adamw_(parameters, gradients, first, second, none, counts, learning_rate, 0.9, 0.999,
                      options_.weight_decay, 1e-8,
                      /*amsgrad=*/false, /*maximize=*/false);
  }
  for (auto& [name, parameter] : parameters_) parameter.mutable_grad().reset();
  return norm;
}

}  // namespace ddpt
