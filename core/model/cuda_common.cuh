#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

#include "core/model/cuda_kernels.h"

// What the kernels of cuda_kernels.cu have in common (inside of that file).
namespace ddpt::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kWarp;
constexpr int kLineBytes = 128;
constexpr unsigned kAll = 0xffffffff;

// What a kernel before this one wrote is there from here on. Each block of each kernel waits before
// it ends, so that a kernel's end is the end of all before it.
__device__ void WaitForInputs() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// The next kernel's blocks may take the room that is left.
__device__ void LetNextBegin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Adds one; whether that makes `all`, after which the count goes on from zero. What this block
// wrote before a barrier before this is there for the block that makes `all`, behind a barrier.
__device__ bool Arrive(unsigned* count, unsigned all) {
  unsigned before;
  asm volatile("atom.acq_rel.gpu.global.inc.u32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(count), "r"(all - 1)
               : "memory");
  return before + 1 == all;
}

// Copies a piece into shared memory, or zeros. Copies end in groups, in the order in which they
// were begun.
__device__ void Fetch(unsigned to, const char* from, bool is_there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(is_there ? kPieceBytes : 0)
               : "memory");
}
__device__ void EndGroup() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until no more than kLeft groups of this thread's are on their way.
template <int kLeft>
__device__ void WaitForGroups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

// Adds one, and the other waits until that was done `all` times. Memory as above.
__device__ void Announce(unsigned* count) {
  asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(count) : "memory");
}
__device__ void WaitFor(const unsigned* count, unsigned all) {
  unsigned now = 0;
  while (true) {
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(count) : "memory");
    if (now >= all) return;
    __nanosleep(50);
  }
}

__device__ float Float(float x) { return x; }
__device__ float Float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ float Float(__half x) { return __half2float(x); }

template <typename T>
__device__ T As(float x) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    return __float2bfloat16_rn(x);
  } else if constexpr (std::is_same_v<T, __half>) {
    return __float2half_rn(x);
  } else {
    return x;
  }
}

// What stands in a piece.
template <typename T>
constexpr int kOfPiece = kPieceBytes / sizeof(T);
template <typename T>
__device__ void Unpack(const uint4& piece, float (&to)[kOfPiece<T>]) {
  const T* const from = reinterpret_cast<const T*>(&piece);
#pragma unroll
  for (int i = 0; i < kOfPiece<T>; ++i) to[i] = Float(from[i]);
}
template <typename T>
__device__ uint4 Piece(const T* at) {
  return *reinterpret_cast<const uint4*>(at);
}

__device__ float SumOfWarp(float x) {
  for (int lane = kWarp / 2; lane > 0; lane /= 2) x += __shfl_xor_sync(kAll, x, lane);
  return x;
}

__device__ float MaxOfWarp(float x) {
  for (int lane = kWarp / 2; lane > 0; lane /= 2) x = fmaxf(x, __shfl_xor_sync(kAll, x, lane));
  return x;
}

}  // namespace
}  // namespace ddpt::cuda
