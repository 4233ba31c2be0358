#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/client.h"

namespace ddpt {

// Load on a server: clients that each send a Sample request, wait for the answer, check it and send
// the next, at once or at its time. Tasks are dealt out to the clients in turn; every client takes
// the step counts in turn.
struct LoadOptions {
  Client::Options connection;
  bool retry = false;         // as `connection` says; else every request is made once
  v1::SampleRequest request;  // its task, sampling.steps and sampling.seed are set for each request
  std::vector<std::string> tasks;    // at least one
  std::vector<uint32_t> steps = {};  // empty: those of `request`
  size_t clients = 64;
  // Requests a second of all clients together, sent at even distances of time; latencies then count
  // from that time, also where a client was late. 0: each client sends when it has its answer.
  double rate = 0;
  std::chrono::milliseconds duration{60'000};
  // Requests use the seeds 0..seeds-1 in turn; answers of one task, step count and seed must be
  // equal byte for byte.
  uint64_t seeds = 16;
  // HOST:PORT of the server's metrics, whose counts are compared with the clients'; "": not.
  std::string metrics;
};

struct LoadResult {
  uint64_t ok = 0;
  std::map<std::string, uint64_t> ok_by_task;
  std::map<std::string, uint64_t> errors;  // by name of the status code
  uint64_t mismatches = 0;  // answers that differ from an earlier one of their task, steps, seed
  std::vector<double> latencies;  // seconds, of the successful requests, ascending
  // Seconds until a full server said so (RESOURCE_EXHAUSTED) and when to come back, ascending; they
  // count from the sending itself, not from the request's time. Such refusals are errors, too.
  std::vector<double> refusals;
  std::vector<double> overheads;  // latencies less the time of computing, ascending
  double seconds = 0;             // from the first request to the last answer
  // What the server says it answered in that time: successes and the rest. -1: not asked.
  int64_t server_ok = -1;
  int64_t server_errors = -1;

  uint64_t failed() const;
  // The errors less the refusals.
  uint64_t lost() const { return failed() - refusals.size(); }
  // The successes of the task that had most over those of the one that had fewest.
  double largest_over_smallest_share() const;
  // Whether the server's counts equal the clients'; true where it was not asked. Errors that never
  // reached a server (UNAVAILABLE) or that the client saw first (DEADLINE_EXCEEDED) are not
  // compared.
  bool counts_agree() const;
};

// What `share` (0..1) of the ascending values do not exceed; 0 without any.
double Percentile(const std::vector<double>& values, double share);

// Blocks for `duration` and the requests then in flight. An error means that there was no load: the
// first one of a server that could not be reached or asked for its metrics.
absl::StatusOr<LoadResult> RunLoad(const LoadOptions& options);

// The sum of the samples of `family` in Prometheus text whose labels include all of `labels`
// (written like `grpc_code="OK"`). 0 without any.
double SumOfSamples(const std::string& text, const std::string& family,
                    const std::vector<std::string>& labels);

}  // namespace ddpt
