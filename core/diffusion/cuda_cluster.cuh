#pragma once

#include <cstdint>

// Thread blocks that work together: how they find, wait for and write to each other. GPUs before
// compute capability 9.0 have clusters of one block.
namespace ddpt::cuda {

inline __device__ int ClusterRank() {
#if __CUDA_ARCH__ >= 900
  int rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
#else
  return 0;
#endif
}

inline __device__ int ClusterSize() {
#if __CUDA_ARCH__ >= 900
  int size;
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
#else
  return 1;
#endif
}

// All threads of the cluster.
inline __device__ void ClusterSync() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release;\n\tbarrier.cluster.wait.acquire;" ::: "memory");
#else
  __syncthreads();
#endif
}

// Counts bytes that the blocks of a cluster store here, phase by phase. A block that is alone
// synchronises its threads instead: with `alone`, the same in all calls. Lies in shared memory.
struct Arrivals {
  // One thread; followed by ClusterSync().
  __device__ void Init() {
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(Address()) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
  }
  // One thread, once a phase: how many bytes end it.
  __device__ void Expect(bool alone, int bytes) {
    if (alone) return;
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(Address()),
                 "r"(bytes)
                 : "memory");
#endif
  }
  // All threads that have not returned.
  __device__ void Wait(bool alone, int phase) {
    if (alone) return __syncthreads();
#if __CUDA_ARCH__ >= 900
    uint32_t done = 0;
    while (done == 0) {
      asm volatile(
          "{\n\t.reg .pred p;\n\t"
          "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\t"
          "selp.u32 %0, 1, 0, p;\n\t}"
          : "=r"(done)
          : "r"(Address()), "r"(phase & 1)
          : "memory");
    }
#endif
  }
  // Stores x at `at` in block `rank` of the cluster.
  __device__ void Store(bool alone, char* at, int rank, const uint4& x) {
    if (alone) {
      *reinterpret_cast<uint4*>(at) = x;
      return;
    }
#if __CUDA_ARCH__ >= 900
    const auto here = static_cast<uint32_t>(__cvta_generic_to_shared(at));
    uint32_t there;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(rank));
    const uint32_t arrivals = there + (Address() - here);
    asm volatile(
        "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, "
        "[%5];" ::"r"(there),
        "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w), "r"(arrivals)
        : "memory");
#endif
  }

 private:
  __device__ uint32_t Address() {
    return static_cast<uint32_t>(__cvta_generic_to_shared(&barrier_));
  }
  uint64_t barrier_;
};

}  // namespace ddpt::cuda
