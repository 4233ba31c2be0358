#include "client/load.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "client/http_get.h"
#include "core/base/digest.h"
#include "core/base/status.h"

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
  explicit Tally(uint64_t seeds) : digests_(seeds) {}

  void Succeeded(uint64_t seed, std::string digest, double seconds) {
    std::lock_guard lock(mutex_);
    ++result_.ok;
    result_.latencies.push_back(seconds);
    if (digests_[seed].empty()) digests_[seed] = digest;
    if (digests_[seed] != digest) ++result_.mismatches;
  }

  void Failed(const absl::Status& status) {
    std::lock_guard lock(mutex_);
    ++result_.errors[absl::StatusCodeToString(status.code())];
  }

  LoadResult Finish(double seconds) {
    std::sort(result_.latencies.begin(), result_.latencies.end());
    result_.seconds = seconds;
    return std::move(result_);
  }

 private:
  std::mutex mutex_;
  LoadResult result_;
  std::vector<std::string> digests_;
};

void RunClient(Client& client, const LoadOptions& options, size_t index, Clock::time_point end,
               Tally& tally) {
  v1::SampleRequest request = options.request;
  for (uint64_t turn = index; Clock::now() < end; ++turn) {
    const uint64_t seed = turn % options.seeds;
    request.mutable_sampling()->set_seed(seed);
    const auto begin = Clock::now();
    const auto response = client.Sample(request);
    if (response.ok()) {
      tally.Succeeded(seed, DigestOf(*response), Seconds(Clock::now() - begin).count());
    } else {
      tally.Failed(response.status());
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

bool LoadResult::counts_agree() const {
  if (server_ok < 0) return true;
  const bool comparable =
      errors.count("UNAVAILABLE") == 0 && errors.count("DEADLINE_EXCEEDED") == 0;
  return server_ok == static_cast<int64_t>(ok) &&
         (!comparable || server_errors == static_cast<int64_t>(failed()));
}

double LoadResult::Percentile(double share) const {
  if (latencies.empty()) return 0;
  const double rank = std::ceil(share * static_cast<double>(latencies.size()));
  const size_t index = rank < 1 ? 0 : static_cast<size_t>(rank) - 1;
  return latencies[std::min(index, latencies.size() - 1)];
}

absl::StatusOr<LoadResult> RunLoad(const LoadOptions& options) {
  Client::Options connection = options.connection;
  connection.retry.max_attempts = 1;
  DDPT_ASSIGN_OR_RETURN(const auto client, Client::Create(connection));
  v1::GetTaskRequest task;
  task.set_task(options.request.task());
  DDPT_RETURN_IF_ERROR(client->GetTask(task).status());
  ServerCounts before;
  if (!options.metrics.empty()) {
    DDPT_ASSIGN_OR_RETURN(before, Scrape(options.metrics));
  }
  Tally tally(options.seeds);
  const auto begin = Clock::now();
  std::vector<std::thread> clients;
  for (size_t i = 0; i < options.clients; ++i) {
    clients.emplace_back(
        [&, i] { RunClient(*client, options, i, begin + options.duration, tally); });
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
