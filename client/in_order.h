#pragma once

#include <cstddef>
#include <deque>
#include <future>

#include "absl/status/status.h"
#include "core/base/status.h"

namespace ddpt {

// Calls `make(i)`, which returns a StatusOr, for each i below `count`, for up to `concurrency` of
// them at a time on threads of their own, and `use` with each value on this one, in order. Blocks;
// the first error, in that order, ends it.
template <typename Make, typename Use>
absl::Status InOrder(size_t count, size_t concurrency, const Make& make, const Use& use) {
  std::deque<std::future<decltype(make(size_t{}))>> on_their_way;
  for (size_t next = 0; next < count || !on_their_way.empty();) {
    if (next < count && on_their_way.size() < concurrency) {
      on_their_way.push_back(std::async(std::launch::async, make, next++));
      continue;
    }
    auto result = on_their_way.front().get();
    on_their_way.pop_front();
    DDPT_RETURN_IF_ERROR(result.status());
    use(*std::move(result));
  }
  return absl::OkStatus();
}

}  // namespace ddpt
