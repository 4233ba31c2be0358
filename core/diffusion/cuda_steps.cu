#include <algorithm>

#include "core/diffusion/cuda_kernels.h"
#include "core/diffusion/cuda_products.cuh"
#include "core/diffusion/cuda_walk.cuh"

// The kernel of TakeSteps, and how a launch of it is cut.
namespace ddpt::cuda {
namespace {

constexpr int kMaxThreads = 256;
constexpr int kUsualLatent = 256;

template <class Product, bool kGuided, bool kResident, int kLatent>
__global__ void __launch_bounds__(kMaxThreads, 1) StepsKernel(const Task task) {
  extern __shared__ uint4 shared[];
  Walk<Product, kGuided, kResident, kLatent> walk(task);
  if (!walk.Open(shared)) return;
  walk.LoadDraws();
  for (int s = 0; s < task.steps; ++s) walk.TakeStep(s);
  walk.StoreDraws();
}

// How a launch is cut: blocks in a cluster, branches in a tile, shared memory of a block.
struct Cut {
  int cluster = 1;
  int tile_rows = 1;
  int rounds = 0;  // tiles of a cluster, one after another; 0: this cannot be done
  bool resident = false;
  size_t shared_bytes = 0;
};

int CeilOf(int count, int part) { return (count + part - 1) / part; }

// The cut with the fewest tiles one after another, then with the smallest cluster: its blocks
// exchange least. Tiles are as wide as they must be for that number.
template <class Product>
Cut CutFor(const Latent& latent, int branches, bool guided, bool noise, const Device& device) {
  const int all_panels = latent.latent / kPanel;
  const int step = guided ? std::max(Product::kTileStep, 2) : Product::kTileStep;
  const size_t row_bytes = (noise ? 3 : 2) * RowBytes(latent.latent);
  const size_t map_bytes =
      (latent.layers + (noise ? 2 : 1)) * PanelBytesPerInput(Product::kType) * latent.latent;
  Cut best;
  for (const Device::Clusters& clusters : device.clusters) {
    if (clusters.together == 0 || clusters.size > all_panels) break;
    const int panels = CeilOf(all_panels, clusters.size);
    Cut cut;
    cut.cluster = clusters.size;
    cut.shared_bytes = kArrivalsBytes + (latent.layers + 1) * panels * kPanel * sizeof(float);
    cut.resident = cut.shared_bytes + panels * map_bytes + step * row_bytes <= device.shared_bytes;
    if (cut.resident) cut.shared_bytes += panels * map_bytes;
    const int room = static_cast<int>((device.shared_bytes - cut.shared_bytes) / row_bytes);
    const int most =
        std::min(room, kMaxThreads / Product::Threads(step, panels) * step) / step * step;
    if (most == 0) continue;
    cut.rounds = CeilOf(branches, most * clusters.together);
    cut.tile_rows = CeilOf(CeilOf(branches, clusters.together * cut.rounds), step) * step;
    cut.shared_bytes += cut.tile_rows * row_bytes;
    if (best.rounds == 0 || cut.resident > best.resident ||
        (cut.resident == best.resident && cut.rounds < best.rounds)) {
      best = cut;
    }
  }
  return best;
}

cudaError_t AllowShared(const void* kernel, size_t bytes) {
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(bytes));
}

cudaLaunchAttribute ClusterOf(int blocks) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {static_cast<unsigned>(blocks), 1, 1};
  return attribute;
}

template <class Product, bool kGuided>
cudaError_t Launch(Task task, const Cut& cut, cudaStream_t stream) {
  if (cut.rounds == 0) return cudaErrorInvalidConfiguration;
  task.tile_rows = cut.tile_rows;
  const int panels = CeilOf(task.latent.latent / kPanel, cut.cluster);
  const bool usual = task.latent.latent == kUsualLatent && cut.cluster > 1;
  const auto kernel = !cut.resident ? StepsKernel<Product, kGuided, false, 0>
                      : usual       ? StepsKernel<Product, kGuided, true, kUsualLatent>
                                    : StepsKernel<Product, kGuided, true, 0>;
  const cudaError_t error = AllowShared(reinterpret_cast<const void*>(kernel), cut.shared_bytes);
  if (error != cudaSuccess) return error;
  cudaLaunchAttribute cluster = ClusterOf(cut.cluster);
  cudaLaunchConfig_t config = {};
  config.gridDim = CeilOf(task.count * (kGuided ? 2 : 1), cut.tile_rows) * cut.cluster;
  config.blockDim = CeilOf(Product::Threads(cut.tile_rows, panels), 32) * 32;
  config.dynamicSmemBytes = cut.shared_bytes;
  config.stream = stream;
  config.attrs = &cluster;
  config.numAttrs = task.clustered ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, task);
}

template <bool kGuided>
cudaError_t Launch(const Task& task, const Device& device, cudaStream_t stream) {
  using Narrow = NarrowProduct<kGuided ? 2 : 1>;
  const int branches = task.count * (kGuided ? 2 : 1);
  const auto cut_for = [&]<class Product>(Product*) {
    return CutFor<Product>(task.latent, branches, kGuided, task.noise, device);
  };
  if (task.latent.type == WeightType::kBfloat16) {
    return Launch<Bfloat16Product, kGuided>(task, cut_for(static_cast<Bfloat16Product*>(nullptr)),
                                            stream);
  }
  const Cut narrow = cut_for(static_cast<Narrow*>(nullptr));
  if (narrow.rounds == 1) return Launch<Narrow, kGuided>(task, narrow, stream);
  return Launch<WideProduct, kGuided>(task, cut_for(static_cast<WideProduct*>(nullptr)), stream);
}

}  // namespace

bool Fits(const Latent& latent, const Device& device) {
  const auto fits = [&](const Cut& cut) { return cut.rounds > 0; };
  if (latent.type == WeightType::kBfloat16) {
    return fits(CutFor<Bfloat16Product>(latent, 1, /*guided=*/true, /*noise=*/true, device));
  }
  return fits(CutFor<WideProduct>(latent, 1, /*guided=*/true, /*noise=*/true, device));
}

cudaError_t Describe(int number, Device* device) {
  int shared = 0, blocks = 0, major = 0, minor = 0;
  for (const auto& [attribute, value] :
       {std::pair{cudaDevAttrMaxSharedMemoryPerBlockOptin, &shared},
        {cudaDevAttrMultiProcessorCount, &blocks},
        {cudaDevAttrComputeCapabilityMajor, &major},
        {cudaDevAttrComputeCapabilityMinor, &minor}}) {
    const cudaError_t error = cudaDeviceGetAttribute(value, attribute, number);
    if (error != cudaSuccess) return error;
  }
  device->capability = 10 * major + minor;
  device->shared_bytes = shared;
  device->clusters[0].together = blocks;
  if (major < 9) return cudaSuccess;
  const auto kernel = reinterpret_cast<const void*>(StepsKernel<WideProduct, false, true, 0>);
  cudaError_t error = AllowShared(kernel, shared);
  for (Device::Clusters& clusters : device->clusters) {
    if (error != cudaSuccess) return error;
    cudaLaunchAttribute cluster = ClusterOf(clusters.size);
    cudaLaunchConfig_t config = {};
    config.gridDim = clusters.size;
    config.blockDim = kMaxThreads;
    config.dynamicSmemBytes = shared;
    config.attrs = &cluster;
    config.numAttrs = 1;
    error = cudaOccupancyMaxActiveClusters(&clusters.together, kernel, &config);
  }
  return error;
}

cudaError_t TakeSteps(const Latent& latent, const State& state, const Row* rows, int count,
                      int steps, bool guided, bool noise, int* failed, const Device& device,
                      cudaStream_t stream) {
  const bool clustered = device.clusters[1].together > 0;
  const Task task = {latent, state, rows, count, steps, noise, failed, clustered, 0};
  return guided ? Launch<true>(task, device, stream) : Launch<false>(task, device, stream);
}

}  // namespace ddpt::cuda
