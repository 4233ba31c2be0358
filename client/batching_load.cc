#include "client/batching_load.h"

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/base/status.h"

namespace ddpt {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

std::vector<v1::GenerateRequest> MakeRequests(const BatchingWork& work) {
  constexpr const char* kWords[] = {"return", "the",   "sum",    "of",   "all",   "numbers",
                                    "in",     "list",  "sorted", "by",   "their", "a",
                                    "that",   "words", "and",    "count"};
  std::mt19937 random(1);
  std::vector<v1::GenerateRequest> requests(work.requests);
  for (v1::GenerateRequest& request : requests) {
    std::string& instruction = *request.mutable_instruction();
    for (size_t left = 1 + random() % work.input_tokens; left > 0; --left) {
      if (!instruction.empty()) instruction += ' ';
      instruction += kWords[random() % std::size(kWords)];
    }
    request.mutable_decoding()->set_max_new_tokens(1 + random() % work.output_tokens);
  }
  return requests;
}

// One run: hands out the requests, and collects what became of them.
class Run {
 public:
  // `together`: so many enter at a time, when those before have left; 0: whoever comes.
  Run(const std::vector<v1::GenerateRequest>& requests, size_t together)
      : requests_(requests), together_(together) {}

  absl::Status Go(Client& client, size_t clients, std::chrono::milliseconds deadline,
                  BatchingFigures& figures) {
    arriving_ = std::min(clients, requests_.size());
    const Clock::time_point start = Clock::now();
    std::vector<std::thread> threads;
    for (size_t i = arriving_; i > 0; --i) {
      threads.emplace_back([&] {
        while (const v1::GenerateRequest* request = Next())
          Send(client, *request, deadline, figures);
      });
    }
    for (std::thread& thread : threads) thread.join();
    figures.seconds += Seconds(Clock::now() - start).count();
    return status_;
  }

 private:
  const v1::GenerateRequest* Next() {
    std::lock_guard lock(mutex_);
    return sent_ < requests_.size() && status_.ok() ? &requests_[sent_++] : nullptr;
  }

  void Send(Client& client, const v1::GenerateRequest& request, std::chrono::milliseconds deadline,
            BatchingFigures& figures) {
    const Clock::time_point at = Clock::now();
    absl::Status status = Enter(at + deadline);
    double first = 0;
    uint64_t tokens = 0;
    if (status.ok()) {
      status = client.Generate(request, [&](const v1::GenerateResponse& response) {
        if (tokens == 0) first = Seconds(Clock::now() - at).count();
        tokens += static_cast<uint64_t>(response.token_ids().ids_size());
        return true;
      });
      Leave();
    }
    std::lock_guard lock(mutex_);
    status_.Update(status);
    figures.tokens += tokens;
    figures.first_tokens.push_back(first);
    figures.answers.push_back(Seconds(Clock::now() - at).count());
  }

  absl::Status Enter(Clock::time_point until) {
    if (together_ == 0) return absl::OkStatus();
    std::unique_lock lock(mutex_);
    const uint64_t place = arrived_++;
    if (arrived_ >= arriving_ && running_ == 0) LetIn();
    if (let_in_.wait_until(lock, until, [&] { return place < entered_; })) return absl::OkStatus();
    return absl::DeadlineExceededError("the batch before did not end in time");
  }

  void Leave() {
    std::lock_guard lock(mutex_);
    if (together_ > 0 && --running_ == 0) LetIn();
  }

  void LetIn() {
    running_ = std::min<uint64_t>(together_, arrived_ - entered_);
    entered_ += running_;
    let_in_.notify_all();
  }

  const std::vector<v1::GenerateRequest>& requests_;
  const size_t together_;
  size_t arriving_ = 0;  // clients: the first batch begins when all are there
  std::mutex mutex_;
  std::condition_variable let_in_;
  // Guarded by mutex_:
  size_t sent_ = 0;
  uint64_t arrived_ = 0;
  uint64_t entered_ = 0;
  uint64_t running_ = 0;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<BatchingResult> RunBatchingLoad(const BatchingLoadOptions& options,
                                               const std::function<void(size_t)>& on_run) {
  DDPT_RETURN_IF_ERROR(CheckBatchingWork(options));
  DDPT_RETURN_IF_ERROR(CheckWithin("input-tokens", options.input_tokens, 4096));
  DDPT_RETURN_IF_ERROR(CheckWithin("output-tokens", options.output_tokens, 4096));
  DDPT_ASSIGN_OR_RETURN(const auto client, Client::Create(options.connection));
  const std::vector<v1::GenerateRequest> requests = MakeRequests(options);
  const auto go = [&](size_t together, BatchingFigures& figures) {
    return Run(requests, together)
        .Go(*client, options.clients, options.connection.deadline, figures);
  };

  BatchingResult result;
  BatchingFigures untimed;
  DDPT_RETURN_IF_ERROR(go(0, untimed));
  for (size_t run = 0; run < options.runs; ++run) {
    DDPT_RETURN_IF_ERROR(go(0, result.continuous));
    DDPT_RETURN_IF_ERROR(go(options.batch, result.fixed));
    on_run(run + 1);
  }
  result.Sort();
  return result;
}

}  // namespace ddpt
