#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace ddpt {

// Calls body(i) for each i below `count`, in any order, from this thread and others, `threads` in
// all. Blocks until all calls have returned. `body` must not throw.
template <typename Body>
void ForEachInParallel(size_t count, size_t threads, const Body& body) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) body(i);
  };
  std::vector<std::jthread> others;
  while (others.size() + 1 < std::min(threads, count)) others.emplace_back(work);
  work();
}

}  // namespace ddpt
