#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/registry/denoiser_files.h"
#include "core/registry/postgres_database.h"
#include "core/registry/registry.h"

namespace ddpt {

struct PostgresRegistryOptions {
  std::string state_directory;  // created where it is missing
  RegistryLimits limits = {};
};

// A registry that several servers share: records and denoiser files in a database, the files that
// this server has used also in DenoiserFiles of its own. Changes follow one after the other.
class PostgresRegistry final : public Registry {
 public:
  // `database` must outlive the registry. Removes the local files that no version has any more.
  static absl::StatusOr<std::unique_ptr<PostgresRegistry>> Open(PostgresDatabase& database,
                                                                PostgresRegistryOptions options);

  absl::StatusOr<TaskVersion> ImportVersion(const std::string& task, std::string_view denoiser,
                                            const std::map<std::string, std::string>& attributes,
                                            Promotion promotion) override;
  absl::StatusOr<TaskPage> ListTasks(uint32_t page_size,
                                     std::string_view page_token) const override;
  absl::StatusOr<TaskRecord> GetTask(const std::string& name) const override;
  absl::StatusOr<std::vector<TaskVersion>> ListVersions(const std::string& name) const override;
  absl::StatusOr<TaskVersion> GetVersion(const std::string& name, uint64_t version) const override;
  absl::StatusOr<std::string> FetchDenoiser(const std::string& digest) override;
  absl::StatusOr<TaskRecord> PromoteTask(const std::string& name, uint64_t version,
                                         std::optional<uint64_t> expected_version) override;
  absl::StatusOr<TaskRecord> RollbackTask(const std::string& name,
                                          std::optional<uint64_t> expected_version) override;
  absl::Status DeleteTask(const std::string& name,
                          std::optional<uint64_t> expected_version) override;

 private:
  PostgresRegistry(PostgresDatabase& database, PostgresRegistryOptions options,
                   std::unique_ptr<DenoiserFiles> files)
      : database_(database), options_(std::move(options)), files_(std::move(files)) {}

  // Runs `body`, alone among those that change tasks, and tells the other servers of the task.
  template <typename Result>
  absl::StatusOr<Result> Change(
      const std::string& task,
      const std::function<absl::StatusOr<Result>(PostgresTransaction&)>& body) const;

  PostgresDatabase& database_;
  const PostgresRegistryOptions options_;
  const std::unique_ptr<DenoiserFiles> files_;
};

}  // namespace ddpt
