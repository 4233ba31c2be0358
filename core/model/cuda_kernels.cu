#include "core/model/cuda_attention.cuh"
#include "core/model/cuda_common.cuh"
#include "core/model/cuda_kernels.h"
#include "core/model/cuda_product.cuh"

namespace ddpt::cuda {
namespace {

constexpr int kNormThreads = 512;
constexpr int kBlocks = 3;  // of a multiprocessor, for the registers
constexpr int kStepShared = kRingBytes;
static_assert(kAttentionBytes<float> <= kStepShared);

template <typename T>
__global__ void __launch_bounds__(kThreads)
    EmbedKernel(const T* embedding, const int64_t* ids, int width, float* x) {
  LetNextBegin();
  WaitForInputs();
  const size_t row = blockIdx.x;
  const T* const from = embedding + static_cast<size_t>(ids[row]) * width;
  for (int i = threadIdx.x; i < width; i += kThreads) x[row * width + i] = Float(from[i]);
}

template <typename T>
__global__ void __launch_bounds__(kNormThreads) NormalizeKernel(Norm norm, NormRows rows) {
  constexpr int kMine = kMaxNormWidth / kNormThreads;
  __shared__ float shared[kNormThreads / kWarp];
  LetNextBegin();
  const T* const weight = static_cast<const T*>(norm.weight);
  const T* const bias = static_cast<const T*>(norm.bias);
  T weights[kMine], biases[kMine];
#pragma unroll
  for (int i = 0; i < kMine; ++i) {
    const int at = i * kNormThreads + threadIdx.x;
    if (at >= rows.width) continue;
    weights[i] = weight[at];
    biases[i] = bias[at];
  }
  WaitForInputs();
  const size_t first = static_cast<size_t>(blockIdx.x) * rows.width;
  float mine[kMine], sum = 0;
#pragma unroll
  for (int i = 0; i < kMine; ++i) {
    const int at = i * kNormThreads + threadIdx.x;
    mine[i] = 0;
    if (at >= rows.width) continue;
    mine[i] = rows.x[first + at];
    bool added = false;
#pragma unroll
    for (const void* addend : rows.addends) {
      if (addend == nullptr) continue;
      mine[i] += Float(static_cast<const T*>(addend)[first + at]);
      added = true;
    }
    if (added) rows.x[first + at] = mine[i];
    sum += mine[i];
  }
  const auto of_block = [&](float x) {
    x = SumOfWarp(x);
    __syncthreads();
    if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = x;
    __syncthreads();
    const int lane = threadIdx.x % kWarp;
    return SumOfWarp(lane < kNormThreads / kWarp ? shared[lane] : 0);
  };
  const float mean = of_block(sum) / rows.width;
  float squares = 0;
#pragma unroll
  for (int i = 0; i < kMine; ++i) {
    const float off = i * kNormThreads + threadIdx.x < rows.width ? mine[i] - mean : 0;
    squares = __fmaf_rn(off, off, squares);
  }
  const float scale = rsqrtf(of_block(squares) / rows.width + norm.epsilon);
#pragma unroll
  for (int i = 0; i < kMine; ++i) {
    const int at = i * kNormThreads + threadIdx.x;
    if (at >= rows.width) continue;
    static_cast<T*>(rows.out)[first + at] =
        As<T>(__fmaf_rn((mine[i] - mean) * scale, Float(weights[i]), Float(biases[i])));
  }
}

// Its blocks are, in this order, those of the attention, of the product, whose first map waits for
// them, and of the second product. They begin in that order, so none waits for one that has no
// room.
template <typename T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    StepKernel(const __grid_constant__ Attention attention, const __grid_constant__ Product product,
               const __grid_constant__ Product second) {
  extern __shared__ __align__(kLineBytes) char shared[];
  const int attending = attention.rows * attention.heads, units = Units(product);
  const int unit = static_cast<int>(blockIdx.x) - attending;
  if (unit < 0) {
    AttendUnit<T>(attention, blockIdx.x, shared);
    return;
  }
  // Not one call with either of them, which would read it through a pointer.
  if (unit >= units) {
    MultiplyUnit<T>(second, unit - units, {}, shared);
    return;
  }
  const bool waits = attending > 0;
  MultiplyUnit<T>(product, unit,
                  {waits ? attention.attended : nullptr, static_cast<unsigned>(attending)}, shared);
}

template <typename... Parameters, typename... Arguments>
cudaError_t Launch(void (*kernel)(Parameters...), int blocks, int threads, int shared,
                   const Queue& queue, const Arguments&... arguments) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared;
  config.stream = queue.stream;
  config.attrs = &early;
  config.numAttrs = queue.early ? 1 : 0;
  // The same for all calls of a kernel, as other threads may be between these two.
  const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
  if (allowed != cudaSuccess) return allowed;
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

// f(T()) for the type of the elements.
template <typename F>
cudaError_t WithType(Element element, const F& f) {
  switch (element) {
    case Element::kFloat32:
      return f(float());
    case Element::kBfloat16:
      return f(__nv_bfloat16());
    case Element::kFloat16:
      return f(__half());
  }
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t Embed(Element element, const void* embedding, const int64_t* ids, int rows, int width,
                  float* x, const Queue& queue) {
  return WithType(element, [&]<typename T>(T) {
    return Launch(EmbedKernel<T>, rows, kThreads, 0, queue, static_cast<const T*>(embedding), ids,
                  width, x);
  });
}

cudaError_t Normalize(Element element, const Norm& norm, const NormRows& rows, const Queue& queue) {
  return WithType(element, [&]<typename T>(T) {
    return Launch(NormalizeKernel<T>, rows.rows, kNormThreads, 0, queue, norm, rows);
  });
}

size_t PartialSize(const Product& product) {
  const size_t rows = product.rows, outputs = product.map.outputs;
  return Parts(product) * rows * outputs;
}

bool Attends(Element element, int head_width) {
  bool attends = false;
  WithType(element, [&]<typename T>(T) {
    attends = head_width * sizeof(T) % kPieceBytes == 0 && head_width <= kMaxHeadWidth;
    return cudaSuccess;
  });
  return attends;
}

namespace {

cudaError_t Step(Element element, const Attention& attention, const Product& product,
                 const Product& second, const Queue& queue) {
  const int attending = attention.rows * attention.heads;
  return WithType(element, [&]<typename T>(T) {
    return Launch(StepKernel<T>, attending + Units(product) + Units(second), kThreads, kStepShared,
                  queue, attention, product, second);
  });
}

}  // namespace

cudaError_t Multiply(Element element, const Product& product, const Product& second,
                     const Queue& queue) {
  return Step(element, {}, product, second, queue);
}

cudaError_t Attend(Element element, const Attention& attention, const Queue& queue) {
  return Step(element, attention, {}, {}, queue);
}

cudaError_t AttendAndMultiply(Element element, const Attention& attention, const Product& product,
                              const Queue& queue) {
  return Step(element, attention, product, {}, queue);
}

}  // namespace ddpt::cuda
