#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/runtime/step_batcher.h"
#include "tests/core/runtime/step_fakes.h"

namespace ddpt {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr int kSubmitters = 4;
constexpr int kJobsEach = 5'000;

// Submitters with jobs of random size, key, deadline and moment of cancellation on four pool
// threads, with a group that fails now and then.
class StepStress {
 public:
  StepStress() {
    world_.capacity = 8;
    world_.on_finish = [this](const std::string&) {
      return finished_.fetch_add(1) % 500 == 499 ? absl::DataLossError("") : absl::OkStatus();
    };
    world_.on_step = [this](size_t) {
      if (steps_.fetch_add(1) % 2000 == 1999) throw std::runtime_error("now and then");
    };
    world_.useful_helpers = 2;
    world_.on_help = [](const std::function<bool()>& leave) {
      for (int looks = 0; looks < 100 && !leave(); ++looks) std::this_thread::yield();
    };
  }

  void Run() {
    std::vector<std::thread> submitters;
    for (int i = 0; i < kSubmitters; ++i) submitters.emplace_back([this, i] { Submit(i); });
    for (std::thread& thread : submitters) thread.join();
    admission_.Close();
    EXPECT_TRUE(admission_.WaitIdle(steady_clock::now() + seconds(300)));
    EXPECT_TRUE(pool_->Stop(steady_clock::now() + seconds(300)).ok());
  }

  void Check() {
    EXPECT_EQ(outcomes_.size() + refused_, size_t{kSubmitters * kJobsEach});
    std::map<absl::StatusCode, int> codes;
    for (const auto& outcome : outcomes_) {
      ASSERT_EQ(outcome->done, 1);
      ++codes[outcome->status.code()];
    }
    EXPECT_GT(codes[absl::StatusCode::kOk], 0);
    EXPECT_GT(codes[absl::StatusCode::kCancelled], 0);
    EXPECT_GT(codes[absl::StatusCode::kDeadlineExceeded], 0);
    EXPECT_GT(codes[absl::StatusCode::kInternal], 0);
    EXPECT_EQ(codes.size(), 4u + codes.count(absl::StatusCode::kDataLoss));
    EXPECT_EQ(admission_.waiting() + admission_.running(), 0u);
    EXPECT_EQ(pool_->busy(), 0u);
  }

 private:
  void Submit(int submitter) {
    std::mt19937 random(submitter);
    std::vector<StopSource> recent;
    for (int i = 0; i < kJobsEach; ++i) {
      const std::string key = std::to_string(random() % 5);
      auto ticket = admission_.Admit(key);
      while (!ticket.ok() && random() % 1000 > 0) {
        std::this_thread::yield();
        ticket = admission_.Admit(key);
      }
      if (!ticket.ok()) {
        ++refused_;
        continue;
      }
      StopSource source(random() % 4 == 0 ? steady_clock::now() + microseconds(random() % 300)
                                          : TimePoint::max());
      if (random() % 8 == 0) source.Cancel();
      batcher_.Submit(key, MakeJob(random, source), *std::move(ticket));
      recent.push_back(source);
      if (random() % 4 == 0) recent[random() % recent.size()].Cancel();
      if (recent.size() > 32) recent.clear();
    }
  }

  std::unique_ptr<FakeJob> MakeJob(std::mt19937& random, const StopSource& source) {
    auto job = std::make_unique<FakeJob>();
    job->world = &world_;
    job->row_count = 1 + random() % 4;
    job->steps_per_row = 1 + random() % 12;
    job->token = source.token();
    std::lock_guard lock(mutex_);
    outcomes_.push_back(job->outcome);
    return job;
  }

  FakeWorld world_;
  std::atomic<int> finished_{0}, steps_{0};
  std::atomic<size_t> refused_{0};
  std::mutex mutex_;
  std::vector<std::shared_ptr<FakeOutcome>> outcomes_;
  Admission admission_{{.limit = 64, .limit_per_key = 32}};
  std::unique_ptr<StreamPool> pool_ = *StreamPool::Create({.threads = 4});
  StepBatcher batcher_{*pool_, {.slice_steps = 7}};
};

TEST(StepStressTest, EveryOneOfTwentyThousandJobsEndsExactlyOnce) {
  StepStress stress;
  stress.Run();
  stress.Check();
}

}  // namespace
}  // namespace ddpt
