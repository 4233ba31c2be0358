#include "core/runtime/stream_pool.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/runtime/fault.h"

namespace ddpt {
namespace {

using std::chrono::steady_clock;

constexpr size_t kMaxThreads = 256;
constexpr std::chrono::microseconds kGlance{200};

}  // namespace

StreamPool::StreamPool(Options options)
    : options_(std::move(options)), queue_(options_.queue_limit) {}

absl::StatusOr<std::unique_ptr<StreamPool>> StreamPool::Create(Options options) {
  if (options.threads > kMaxThreads) {
    return FieldError("threads", absl::StrCat(options.threads, " is outside 0..", kMaxThreads));
  }
  if (options.queue_limit == 0) return FieldError("queue_limit", "0 is below 1");
  std::unique_ptr<StreamPool> pool(new StreamPool(std::move(options)));
  const size_t streams = std::max<size_t>(pool->options_.threads, 1);
  for (size_t i = 0; i < streams; ++i) {
    DDPT_ASSIGN_OR_RETURN(auto stream, Stream::Create(pool->options_.device));
    pool->streams_.push_back(std::move(stream));
  }
  for (size_t i = 0; i < pool->options_.threads; ++i) {
    pool->threads_.emplace_back(&StreamPool::RunThread, pool.get(), std::ref(*pool->streams_[i]));
  }
  return pool;
}

StreamPool::~StreamPool() {
  queue_.DropAll(absl::UnavailableError("the server stopped before this work was done"));
  for (std::thread& thread : threads_) thread.join();
}

absl::Status StreamPool::Submit(Work work) {
  DDPT_RETURN_IF_ERROR(queue_.Push(Item{std::move(work), steady_clock::now()}));
  if (threads_.empty()) RunInline();
  return absl::OkStatus();
}

absl::Status StreamPool::Stop(TimePoint deadline) {
  queue_.Close();
  {
    std::unique_lock lock(mutex_);
    const auto all_exited = [this] { return exited_ == threads_.size(); };
    if (exited_changed_.wait_until(lock, deadline, all_exited)) return absl::OkStatus();
  }
  queue_.DropAll(absl::UnavailableError("the server stopped before this work was done"));
  return absl::DeadlineExceededError(
      absl::StrCat(busy(), " works were still running at the end of the time to stop"));
}

void StreamPool::GiveWay() const {
  if (options_.behind == nullptr) return;
  const TimePoint end = steady_clock::now() + options_.patience;
  while (!options_.behind->has_spare_thread() && steady_clock::now() < end) {
    std::this_thread::sleep_for(kGlance);
  }
}

absl::Status StreamPool::health() const {
  std::lock_guard lock(mutex_);
  return health_;
}

void StreamPool::RunThread(Stream& stream) {
  stream.Bind();
  while (std::optional<Item> item = queue_.Pop(TimePoint::max())) {
    RunItem(*std::move(item), stream);
  }
  std::lock_guard lock(mutex_);
  ++exited_;
  exited_changed_.notify_all();
}

// Work submitted by work, or by another thread meanwhile, only queues: whoever runs takes it next.
void StreamPool::RunInline() {
  while (queue_.size() > 0 && !inline_running_.exchange(true)) {
    while (std::optional<Item> item = queue_.Pop(TimePoint::min())) {
      RunItem(*std::move(item), *streams_.front());
    }
    inline_running_ = false;
  }
}

void StreamPool::RunItem(Item item, Stream& stream) {
  if (options_.on_wait) options_.on_wait(steady_clock::now() - item.queued);
  Progress progress = Progress::kDone;
  busy_.fetch_add(1, std::memory_order_relaxed);
  const absl::Status status = RunGuarded(item, stream, progress);
  busy_.fetch_sub(1, std::memory_order_relaxed);
  if (!status.ok()) {
    CheckDevice(stream, status);
    item.on_error(status);
  } else if (progress == Progress::kYield) {
    item.queued = steady_clock::now();
    queue_.Requeue(std::move(item));
  }
}

absl::Status StreamPool::RunGuarded(Item& item, Stream& stream, Progress& progress) {
  try {
    progress = item.run(stream);
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return FromException(error);
  }
}

void StreamPool::CheckDevice(Stream& stream, const absl::Status& error) {
  const absl::Status status = ReasonOf(error) == kReasonDeviceLost ? error : stream.Synchronize();
  if (status.ok()) return;
  {
    std::lock_guard lock(mutex_);
    if (!health_.ok()) return;
    health_ = status;
  }
  if (options_.on_device_lost) options_.on_device_lost(status);
}

}  // namespace ddpt
