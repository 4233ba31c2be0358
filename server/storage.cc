#include "server/storage.h"

#include "core/base/status.h"
#include "core/registry/file_dataset_store.h"
#include "core/registry/postgres_dataset_store.h"
#include "core/registry/postgres_job_store.h"
#include "core/registry/postgres_registry.h"
#include "core/registry/sqlite_job_store.h"
#include "core/registry/sqlite_registry.h"

namespace ddpt {
namespace {

absl::StatusOr<Storage> OpenDirectory(const Config& config, bool training) {
  Storage storage;
  DDPT_ASSIGN_OR_RETURN(storage.registry,
                        SqliteRegistry::Open({.state_directory = config.state,
                                              .limits = {.versions_kept = config.versions_kept}}));
  if (!training) return storage;
  DDPT_ASSIGN_OR_RETURN(storage.datasets,
                        FileDatasetStore::Open({.directory = config.state + "/datasets"}));
  DDPT_ASSIGN_OR_RETURN(storage.jobs, SqliteJobStore::Open({.state_directory = config.state,
                                                            .max_unfinished = config.train_limit}));
  return storage;
}

absl::StatusOr<Storage> OpenDatabase(const Config& config, bool training) {
  Storage storage;
  DDPT_ASSIGN_OR_RETURN(storage.database, PostgresDatabase::Open({.url = config.database}));
  PostgresDatabase& database = *storage.database;
  DDPT_ASSIGN_OR_RETURN(
      storage.registry,
      PostgresRegistry::Open(database, {.state_directory = config.state,
                                        .limits = {.versions_kept = config.versions_kept}}));
  if (!training) return storage;
  DDPT_ASSIGN_OR_RETURN(storage.datasets, PostgresDatasetStore::Open(database));
  DDPT_ASSIGN_OR_RETURN(storage.jobs,
                        PostgresJobStore::Open(database, {.max_unfinished = config.train_limit,
                                                          .lease = config.job_lease}));
  return storage;
}

}  // namespace

absl::StatusOr<Storage> OpenStorage(const Config& config, bool training) {
  return config.database.empty() ? OpenDirectory(config, training) : OpenDatabase(config, training);
}

}  // namespace ddpt
