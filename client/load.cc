#include "client/load.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <thread>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "client/http_get.h"
#include "core/base/digest.h"
#include "core/base/status.h"
#include "core/runtime/admission.h"

namespace ddpt {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

struct ServerCounts {
  double ok = 0;
  double all = 0;
};

absl::StatusOr<ServerCounts> Scrape(const std::string& address) {
  DDPT_ASSIGN_OR_RETURN(const std::string text,
                        HttpGet(address, "/metrics", std::chrono::seconds(10)));
  const std::string method = "grpc_method=\"Sample\"";
  return ServerCounts{
      .ok = SumOfSamples(text, "grpc_server_handled_total", {method, "grpc_code=\"OK\""}),
      .all = SumOfSamples(text, "grpc_server_handled_total", {method})};
}

std::string DigestOf(const v1::SampleResponse& response) {
  Sha256 digest;
  for (const v1::Prompt& prompt : response.prompts()) digest.Update(prompt.embedding().data());
  return digest.Finish();
}

// What the clients write together.
class Tally {
 public:
  explicit Tally(const std::vector<std::string>& tasks) {
    for (const std::string& task : tasks) result_.ok_by_task[task] = 0;
  }

  void Succeeded(const v1::SampleRequest& request, const v1::SampleResponse& response,
                 double seconds) {
    const std::string digest = DigestOf(response);
    const v1::SamplingOptions& sampling = request.sampling();
    std::lock_guard lock(mutex_);
    ++result_.ok;
    ++result_.ok_by_task[request.task()];
    result_.latencies.push_back(seconds);
    result_.overheads.push_back(seconds - response.receipt().compute_seconds());
    const auto [first, fresh] =
        digests_.try_emplace({request.task(), sampling.steps(), sampling.seed()}, digest);
    if (!fresh && first->second != digest) ++result_.mismatches;
  }

  void Failed(const absl::Status& status, double seconds) {
    std::lock_guard lock(mutex_);
    ++result_.errors[absl::StatusCodeToString(status.code())];
    if (absl::IsResourceExhausted(status) && RetryAfter(status)) {
      result_.refusals.push_back(seconds);
    }
  }

  LoadResult Finish(double seconds) {
    std::sort(result_.latencies.begin(), result_.latencies.end());
    std::sort(result_.overheads.begin(), result_.overheads.end());
    std::sort(result_.refusals.begin(), result_.refusals.end());
    result_.seconds = seconds;
    return std::move(result_);
  }

 private:
  std::mutex mutex_;
  LoadResult result_;
  std::map<std::tuple<std::string, uint32_t, uint64_t>, std::string> digests_;
};

// At a rate whoever is free sends the next request, `due` of which have been: a client that waits
// for its answer holds up none.
void RunClient(Client& client, const LoadOptions& options, size_t index, Clock::time_point start,
               std::atomic<uint64_t>& due, Tally& tally) {
  v1::SampleRequest request = options.request;
  v1::SamplingOptions& sampling = *request.mutable_sampling();
  request.set_task(options.tasks[index % options.tasks.size()]);
  const Clock::time_point end = start + options.duration;
  for (uint64_t turn = index;; ++turn) {
    auto begin = Clock::now();
    if (options.rate > 0) {
      turn = due++;
      begin = start + std::chrono::duration_cast<Clock::duration>(
                          Seconds(static_cast<double>(turn) / options.rate));
    }
    if (begin >= end) return;
    std::this_thread::sleep_until(begin);
    sampling.set_seed(turn % options.seeds);
    if (!options.steps.empty()) sampling.set_steps(options.steps[turn % options.steps.size()]);
    const auto sent = Clock::now();
    const auto response = client.Sample(request);
    if (response.ok()) {
      tally.Succeeded(request, *response, Seconds(Clock::now() - begin).count());
    } else {
      tally.Failed(response.status(), Seconds(Clock::now() - sent).count());
    }
  }
}

// A server counts a call when it is over, which may be after the client has its answer: the counts
// get a second to settle.
absl::Status Compare(const LoadOptions& options, const ServerCounts& before, LoadResult& result) {
  const auto end = Clock::now() + std::chrono::seconds(1);
  do {
    DDPT_ASSIGN_OR_RETURN(const ServerCounts after, Scrape(options.metrics));
    result.server_ok = std::llround(after.ok - before.ok);
    result.server_errors = std::llround(after.all - before.all) - result.server_ok;
  } while (!result.counts_agree() && Clock::now() < end);
  return absl::OkStatus();
}

}  // namespace

uint64_t LoadResult::failed() const {
  uint64_t sum = 0;
  for (const auto& [code, count] : errors) sum += count;
  return sum;
}

double LoadResult::largest_over_smallest_share() const {
  uint64_t smallest = ok, largest = 0;
  for (const auto& [task, count] : ok_by_task) {
    smallest = std::min(smallest, count);
    largest = std::max(largest, count);
  }
  return static_cast<double>(largest) / static_cast<double>(smallest);
}

bool LoadResult::counts_agree() const {
  if (server_ok < 0) return true;
  const bool comparable =
      errors.count("UNAVAILABLE") == 0 && errors.count("DEADLINE_EXCEEDED") == 0;
  return server_ok == static_cast<int64_t>(ok) &&
         (!comparable || server_errors == static_cast<int64_t>(failed()));
}

double Percentile(const std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const double rank = std::ceil(share * static_cast<double>(values.size()));
  const size_t index = rank < 1 ? 0 : static_cast<size_t>(rank) - 1;
  return values[std::min(index, values.size() - 1)];
}

absl::StatusOr<LoadResult> RunLoad(const LoadOptions& options) {
  Client::Options connection = options.connection;
  if (!options.retry) connection.retry.max_attempts = 1;
  DDPT_ASSIGN_OR_RETURN(const auto client, Client::Create(connection));
  for (const std::string& name : options.tasks) {
    v1::GetTaskRequest task;
    task.set_task(name);
    DDPT_RETURN_IF_ERROR(client->GetTask(task).status());
  }
  ServerCounts before;
  if (!options.metrics.empty()) {
    DDPT_ASSIGN_OR_RETURN(before, Scrape(options.metrics));
  }
  Tally tally(options.tasks);
  const auto begin = Clock::now();
  std::vector<std::thread> clients;
  std::atomic<uint64_t> due = 0;
  for (size_t i = 0; i < options.clients; ++i) {
    clients.emplace_back([&, i] { RunClient(*client, options, i, begin, due, tally); });
  }
  for (std::thread& thread : clients) thread.join();
  LoadResult result = tally.Finish(Seconds(Clock::now() - begin).count());
  if (!options.metrics.empty()) DDPT_RETURN_IF_ERROR(Compare(options, before, result));
  return result;
}

double SumOfSamples(const std::string& text, const std::string& family,
                    const std::vector<std::string>& labels) {
  double sum = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(line, family + "{")) continue;
    const bool wanted = std::all_of(labels.begin(), labels.end(), [&](const std::string& label) {
      return absl::StrContains(line, label);
    });
    double value = 0;
    if (wanted && absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) sum += value;
  }
  return sum;
}

}  // namespace ddpt
