#include "client/machine_peak.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

namespace ddpt {
namespace {

constexpr int kRuns = 5;
constexpr double kRunSeconds = 0.05;
constexpr size_t kLanes = 16;  // floats of the widest vector

using Seconds = std::chrono::duration<double>;
using Vector = float __attribute__((vector_size(kLanes * sizeof(float)), may_alias));
using Narrow = float __attribute__((vector_size(kLanes * sizeof(float) / 2), may_alias));

std::atomic<float> g_sink;  // keeps the optimiser from dropping the loops

// Twelve chains hide the latency of an addition or multiply-add on every processor of today. This
// file is compiled with contraction, so that a * m + c is one instruction where there is one.
template <typename V>
[[gnu::always_inline]] inline float FmaLoop(size_t rounds) {
  V a[12];
  for (int i = 0; i < 12; ++i) a[i] = V{} + static_cast<float>(i);
  const V m = V{} + 0.999f, c = V{} + 0.001f;
  for (size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) a[i] = a[i] * m + c;
    asm volatile("");
  }
  float sum = 0;
  for (int i = 0; i < 12; ++i) sum += a[i][0];
  return sum;
}

template <typename V>
[[gnu::always_inline]] inline float SumLoop(const float* data, size_t count) {
  const V* const vectors = reinterpret_cast<const V*>(data);
  const size_t blocks = count * sizeof(float) / sizeof(V) / 8;
  V sums[8] = {};
  for (size_t block = 0; block < blocks; ++block) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) sums[i] += vectors[block * 8 + i];
  }
  float sum = 0;
  for (const V& part : sums) sum += part[0];
  return sum;
}

struct Loops {
  size_t lanes;
  float (*fma)(size_t rounds);
  float (*sum)(const float* data, size_t count);
};

#if defined(__x86_64__)
[[gnu::target("avx512f,fma")]] float Fma512(size_t rounds) { return FmaLoop<Vector>(rounds); }
[[gnu::target("avx512f,fma")]] float Sum512(const float* data, size_t count) {
  return SumLoop<Vector>(data, count);
}
[[gnu::target("avx2,fma")]] float Fma256(size_t rounds) { return FmaLoop<Narrow>(rounds); }
[[gnu::target("avx2,fma")]] float Sum256(const float* data, size_t count) {
  return SumLoop<Narrow>(data, count);
}

Loops BestLoops() {
  if (__builtin_cpu_supports("avx512f")) return {kLanes, Fma512, Sum512};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return {kLanes / 2, Fma256, Sum256};
  }
  using Quarter = float __attribute__((vector_size(kLanes * sizeof(float) / 4), may_alias));
  return {kLanes / 4, [](size_t rounds) { return FmaLoop<Quarter>(rounds); },
          [](const float* data, size_t count) { return SumLoop<Quarter>(data, count); }};
}
#else
Loops BestLoops() {
  using Quarter = float __attribute__((vector_size(kLanes * sizeof(float) / 4), may_alias));
  return {kLanes / 4, [](size_t rounds) { return FmaLoop<Quarter>(rounds); },
          [](const float* data, size_t count) { return SumLoop<Quarter>(data, count); }};
}
#endif

// The best rate, in units a second, at which `threads` threads together do `work`, which returns
// the units that it has done.
double BestRate(size_t threads, const std::function<double(size_t thread)>& work) {
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::barrier start(static_cast<std::ptrdiff_t>(threads));
    std::vector<double> rates(threads);
    std::vector<std::thread> workers;
    for (size_t t = 0; t < threads; ++t) {
      workers.emplace_back([&, t] {
        start.arrive_and_wait();
        const auto begin = std::chrono::steady_clock::now();
        double units = 0, elapsed = 0;
        while (elapsed < kRunSeconds) {
          units += work(t);
          elapsed = Seconds(std::chrono::steady_clock::now() - begin).count();
        }
        rates[t] = units / elapsed;
      });
    }
    for (std::thread& worker : workers) worker.join();
    double rate = 0;
    for (double part : rates) rate += part;
    best = std::max(best, rate);
  }
  return best;
}

}  // namespace

double MeasureFlops(size_t threads) {
  const Loops loops = BestLoops();
  constexpr size_t kRounds = 100'000;
  return BestRate(threads, [&](size_t) {
    g_sink = loops.fma(kRounds);
    return 2.0 * 12 * static_cast<double>(loops.lanes) * kRounds;
  });
}

double MeasureReadBandwidth(size_t threads, size_t bytes) {
  constexpr size_t kBlock = 8 * kLanes;  // floats that the widest loop reads at a time
  const Loops loops = BestLoops();
  const size_t count = std::max<size_t>(1, bytes / sizeof(float) / kBlock) * kBlock;
  std::vector<std::vector<float>> data(threads, std::vector<float>(count + kLanes, 1.0f));
  const auto aligned = [](std::vector<float>& values) {
    constexpr size_t kAlignment = kLanes * sizeof(float);
    const size_t past = reinterpret_cast<uintptr_t>(values.data()) % kAlignment;
    return values.data() + (past == 0 ? 0 : (kAlignment - past) / sizeof(float));
  };
  return BestRate(threads, [&](size_t thread) {
    g_sink = loops.sum(aligned(data[thread]), count);
    return static_cast<double>(count * sizeof(float));
  });
}

}  // namespace ddpt
