#include "core/registry/postgres_watcher.h"

#include <algorithm>
#include <pqxx/pqxx>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace ddpt {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kFirstBackoff{100};
constexpr milliseconds kLastBackoff{2'000};
// The longest that a watcher's end waits for its thread.
constexpr milliseconds kTick{100};

// Payloads, as they come.
class Inbox final : public pqxx::notification_receiver {
 public:
  explicit Inbox(pqxx::connection& connection)
      : pqxx::notification_receiver(connection, kPostgresChannel) {}
  void operator()(const std::string& payload, int) override { payloads.insert(payload); }

  std::set<std::string> payloads;
};

}  // namespace

PostgresWatcher::PostgresWatcher(const PostgresDatabase& database, Options options)
    : database_(database), options_(std::move(options)), thread_([this] { Run(); }) {}

PostgresWatcher::~PostgresWatcher() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool PostgresWatcher::stopping() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

// False: the watcher ends.
bool PostgresWatcher::Pause(milliseconds time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [this] { return stopping_; });
}

void PostgresWatcher::Run() {
  milliseconds backoff{0};
  while (true) {
    const auto start = steady_clock::now();
    try {
      Watch();
      return;
    } catch (const std::exception& error) {
      const bool was_there = steady_clock::now() - start > options_.poll;
      if (!told_) {
        options_.on_reach(absl::UnavailableError(
            absl::StrCat("database ", database_.address(), ": ", error.what())));
      }
      told_ = true;
      backoff = was_there ? kFirstBackoff : std::clamp(2 * backoff, kFirstBackoff, kLastBackoff);
    }
    if (!Pause(backoff)) return;
  }
}

// Until the watcher ends, or throws.
void PostgresWatcher::Watch() {
  pqxx::connection connection(database_.connection_string());
  Inbox inbox(connection);
  options_.on_reach(absl::OkStatus());
  told_ = false;
  seen_.clear();
  auto next_poll = steady_clock::now();
  while (!stopping()) {
    if (steady_clock::now() >= next_poll) {
      const pqxx::result rows =
          pqxx::nontransaction(connection).exec("SELECT kind, number FROM revisions");
      for (const auto& row : rows) {
        const auto kind = row[0].as<std::string>();
        const auto number = row[1].as<int64_t>();
        const auto known = seen_.find(kind);
        if (known != seen_.end() && known->second == number) continue;
        if ((kind == "tasks" ? options_.on_task : options_.on_job)("").ok()) seen_[kind] = number;
      }
      next_poll = steady_clock::now() + options_.poll;
    }
    connection.await_notification(0, std::chrono::microseconds(kTick).count());
    for (const std::string& payload : std::exchange(inbox.payloads, {})) {
      const size_t space = payload.find(' ');
      const std::string name = payload.substr(space + 1);
      const bool is_task = absl::StartsWith(payload, "tasks ");
      if (!(is_task ? options_.on_task : options_.on_job)(name).ok()) {
        seen_.erase(is_task ? "tasks" : "jobs");
      }
    }
  }
}

}  // namespace ddpt
