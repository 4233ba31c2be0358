#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "core/registry/postgres_database.h"

namespace ddpt {

// Tells what has changed in a database, on a thread and a connection of its own: at once by its
// notifications, and where they were missed, a poll later. The calls do not overlap.
class PostgresWatcher {
 public:
  struct Options {
    std::chrono::milliseconds poll{1000};
    // A task, or a job, was changed by any server, this one too; "": any may have been. An error
    // brings the same again after a poll.
    std::function<absl::Status(const std::string& task)> on_task;
    std::function<absl::Status(const std::string& job)> on_job;
    // The database was lost, or is there (again): at the start, too.
    std::function<void(const absl::Status&)> on_reach;
  };

  // `database` must outlive the watcher.
  PostgresWatcher(const PostgresDatabase& database, Options options);
  ~PostgresWatcher();

 private:
  void Run();
  void Watch();
  bool Pause(std::chrono::milliseconds time);
  bool stopping() const;

  const PostgresDatabase& database_;
  const Options options_;
  // Of the thread alone:
  std::map<std::string, int64_t> seen_;  // revisions that were told of
  bool told_ = false;                    // that the database cannot be reached, since it was

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace ddpt
