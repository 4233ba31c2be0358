#pragma once

#include <cstddef>
#include <functional>

#include "absl/status/statusor.h"
#include "client/bench_batching.h"
#include "client/client.h"

namespace ddpt {

// What continuous batching is worth through a server: the work as Generate requests, each sent as
// soon as its client has its last answer, and sent `batch` at a time, the next when all of them
// have ended, which is all that static batching would let a server do. Times count from the
// client's turn to ask on. Greedy code under no prompt.
struct BatchingLoadOptions : BatchingWork {
  Client::Options connection;  // its deadline is that of a request, and of the wait before it
};

// Blocks for all runs, and one more that is not timed. An instruction of n tokens is one of n words
// here, and an answer may end before its last token. INVALID_ARGUMENT names the option; else the
// first request's error, after which clients send no more.
absl::StatusOr<BatchingResult> RunBatchingLoad(const BatchingLoadOptions& options,
                                               const std::function<void(size_t)>& on_run);

}  // namespace ddpt
