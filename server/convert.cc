#include "server/convert.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr int64_t kDefaultSteps = 2000;
// Of elements that callers send: a thousand times what prompts and noise are made of, and far below
// where what is computed from them is no number any more.
constexpr float kLargestElement = 1e4F;

}  // namespace

DataType FromProto(v1::DataType dtype) {
  switch (dtype) {
    case v1::DATA_TYPE_FLOAT16:
      return DataType::kFloat16;
    case v1::DATA_TYPE_BFLOAT16:
      return DataType::kBFloat16;
    default:
      return DataType::kFloat32;
  }
}

v1::DataType ToProto(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat16:
      return v1::DATA_TYPE_FLOAT16;
    case DataType::kBFloat16:
      return v1::DATA_TYPE_BFLOAT16;
    case DataType::kFloat32:
      break;
  }
  return v1::DATA_TYPE_FLOAT32;
}

v1::Sampler ToProto(Sampler sampler) {
  switch (sampler) {
    case Sampler::kAncestral:
      return v1::SAMPLER_ANCESTRAL;
    case Sampler::kDpmSolverPp2M:
      return v1::SAMPLER_DPM_SOLVER_PP_2M;
    case Sampler::kResidual:
      return v1::SAMPLER_RESIDUAL;
    case Sampler::kDdim:
      break;
  }
  return v1::SAMPLER_DDIM;
}

v1::Reading ToProto(Reading reading) {
  switch (reading) {
    case Reading::kX0Residual:
      return v1::READING_X0_RESIDUAL;
    case Reading::kResidual:
      return v1::READING_RESIDUAL;
    case Reading::kX0:
      break;
  }
  return v1::READING_X0;
}

Reading FromProto(v1::Reading reading) {
  switch (reading) {
    case v1::READING_X0_RESIDUAL:
      return Reading::kX0Residual;
    case v1::READING_RESIDUAL:
      return Reading::kResidual;
    default:
      return Reading::kX0;
  }
}

absl::StatusOr<SamplingOptions> FromProto(const v1::SamplingOptions& sampling,
                                          const DenoiserSpec& spec) {
  SamplingOptions options;
  switch (sampling.sampler()) {
    case v1::SAMPLER_ANCESTRAL:
      options.sampler = Sampler::kAncestral;
      break;
    case v1::SAMPLER_DDIM:
      options.sampler = Sampler::kDdim;
      break;
    case v1::SAMPLER_DPM_SOLVER_PP_2M:
      options.sampler = Sampler::kDpmSolverPp2M;
      break;
    case v1::SAMPLER_RESIDUAL:
      options.sampler = Sampler::kResidual;
      break;
    default:
      options.sampler = DefaultSampler(spec.reading);
  }
  options.steps =
      sampling.has_steps() ? sampling.steps() : std::min(kDefaultSteps, spec.train_steps);
  options.eta = sampling.eta();
  options.guidance_scale = sampling.has_guidance_scale() ? sampling.guidance_scale() : 1;
  DDPT_RETURN_IF_ERROR(ValidateSampling(options, spec));
  return options;
}

absl::StatusOr<Tensor> FromProto(const v1::Tensor& tensor, std::string_view field,
                                 std::span<const int64_t> expected) {
  DDPT_ASSIGN_OR_RETURN(
      Tensor decoded,
      DecodeTensor(field, {tensor.shape().data(), static_cast<size_t>(tensor.shape_size())},
                   FromProto(tensor.dtype()), tensor.data(), expected));
  const auto large = std::find_if(decoded.data.begin(), decoded.data.end(),
                                  [](float value) { return std::abs(value) > kLargestElement; });
  if (large == decoded.data.end()) return decoded;
  return FieldError(
      field, absl::StrCat("element ", large - decoded.data.begin(), " of ", decoded.data.size(),
                          " is ", *large, ", outside -", kLargestElement, "..", kLargestElement));
}

void ToProto(const Tensor& tensor, DataType dtype, v1::Tensor* out) {
  out->mutable_shape()->Assign(tensor.shape.begin(), tensor.shape.end());
  out->set_dtype(ToProto(dtype));
  *out->mutable_data() = EncodeElements(tensor.data, dtype);
}

std::vector<TrainingExample> FromProto(const v1::Examples& examples) {
  std::vector<TrainingExample> all;
  all.reserve(examples.examples_size());
  for (const v1::Example& example : examples.examples()) {
    all.push_back({example.instruction(),
                   example.code(),
                   {example.attributes().begin(), example.attributes().end()}});
  }
  return all;
}

uint64_t RandomSeed() {
  thread_local std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace ddpt
